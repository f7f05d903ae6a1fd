"""When something is due next: pure functions of a timing, a time zone and a moment. Moments in ns since the epoch.

Around a change to or from summer time a cron line keeps to Debian's habit: what has an hour of its own comes once on
that day, also when its hour is skipped or comes twice; what comes every hour or more often goes on by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim

from sidecar.config import Every, Never, Settings, SourceTiming, Timing
from sidecar.jobs.job import Action, Cause, Request
from sidecar.models import NS
from sidecar.values import dataclass

LOCALTIME = "/etc/localtime"


def zone_of(name: str, env: Mapping[str, str], localtime: str = LOCALTIME) -> tzinfo:
    """The time zone of the settings: `local` is TZ where it names one, else what /etc/localtime says, else UTC."""
    if name != "local":
        return ZoneInfo(name)
    try:
        return ZoneInfo(env.get("TZ", "").removeprefix(":"))
    except (ValueError, OSError, KeyError):
        try:
            with open(localtime, "rb") as file:
                return ZoneInfo.from_file(file, key="local")
        except (ValueError, OSError):
            return UTC


def next_fire(timing: Timing, after_ns: int, zone: tzinfo, anchor_ns: int = 0) -> int | None:
    """The first moment later than `after_ns` that is due, None for never. `@every` counts from `anchor_ns`."""
    if isinstance(timing, Never):
        return None
    if isinstance(timing, Every):
        return anchor_ns + ((after_ns - anchor_ns) // timing.pause_ns + 1) * timing.pause_ns
    after = datetime.fromtimestamp(after_ns // NS, UTC).astimezone(zone)
    for moment in CronSim(timing.line, after):
        due_ns = int(moment.timestamp()) * NS
        if due_ns > after_ns:  # in an hour that comes twice cronsim may answer with the first time round
            return due_ns
    return None


@dataclass(frozen=True, slots=True)
class Timed:
    """What is asked for, and when."""

    request: Request
    timing: Timing


def timed_jobs(settings: Settings) -> list[Timed]:
    """The jobs that the settings want by themselves.

    A purge without a time of its own goes with each sync of its source, as a `run`; a source with times of its own is
    left out of what goes for all.
    """
    s = settings.schedule
    general = SourceTiming(sync=s.sync or Every(s.every or DEFAULT_EVERY_NS), purge=s.purge, verify=s.verify)
    own = {name: source.schedule for name, source in settings.sources.items()
           if source.enabled and source.schedule != SourceTiming()}  # fmt: skip
    found = _jobs(general, (), tuple(sorted(own)), purging=settings.purge.enabled)
    for name, timing in sorted(own.items()):
        merged = SourceTiming(sync=timing.sync or general.sync, purge=timing.purge or general.purge,
                              verify=timing.verify or general.verify)  # fmt: skip
        found += _jobs(merged, (name,), (), purging=settings.purge.enabled)
    return found


def _jobs(timing: SourceTiming, sources: tuple[str, ...], without: tuple[str, ...], *, purging: bool) -> list[Timed]:
    together = timing.purge is None
    wanted = [
        (Action.RUN if together else Action.SYNC, timing.sync),
        (Action.PURGE, timing.purge if purging else None),
        (Action.VERIFY, timing.verify),
    ]
    return [Timed(Request(action, Cause.SCHEDULE, sources, without=without), when)
            for action, when in wanted if when is not None and not isinstance(when, Never)]  # fmt: skip


DEFAULT_EVERY_NS = 60 * NS


class Timetable:
    """When each of several jobs is due next. `chance` gives numbers from 0 up to 1, for the jitter."""

    def __init__(self, jobs: Sequence[Timed], zone: tzinfo, jitter_ns: int, chance: Callable[[], float],
                 now_ns: int) -> None:  # fmt: skip
        self._jobs = jobs
        self._zone = zone
        self._jitter_ns = jitter_ns
        self._chance = chance
        self._anchor_ns = self._last_ns = now_ns
        self._due: list[tuple[int, int] | None] = [self._next(job.timing, now_ns) for job in jobs]

    def _next(self, timing: Timing, after_ns: int) -> tuple[int, int] | None:
        """The next due moment, without and with its jitter."""
        due_ns = next_fire(timing, after_ns, self._zone, self._anchor_ns)
        return None if due_ns is None else (due_ns, due_ns + int(self._jitter_ns * self._chance()))

    def due(self, now_ns: int) -> list[Request]:
        """What is due now, each once however late it is. A clock that went back makes everything count anew."""
        if now_ns < self._last_ns - NS:
            self._due = [self._next(job.timing, now_ns) for job in self._jobs]
        self._last_ns = now_ns
        found = []
        for number, (job, due) in enumerate(zip(self._jobs, self._due, strict=True)):
            if due is not None and due[1] <= now_ns:
                found.append(job.request)
                self._due[number] = self._next(job.timing, now_ns)
        return found

    def next_ns(self) -> int | None:
        """The next moment at which something is due; None when nothing ever is."""
        return min((due[1] for due in self._due if due is not None), default=None)
