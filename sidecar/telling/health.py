"""Whether `serve` is alive and does what it should: the signs that it leaves, and the judgement on them.

Judged are passes, the jobs that come by themselves: a small pull that an event asked for says nothing about them. What
of a pass is a fault, and what a warning, is ruled in outcomes.py.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from loguru import logger

from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.host.locks import LOCK, is_locked
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import PASSING, Action, JobState
from sidecar.jobs.outcomes import left_to_others, verdict
from sidecar.jobs.report import first_reasons
from sidecar.manifest import JobRow, Manifest
from sidecar.models import NS
from sidecar.values import dataclass

BEAT = 15.0  # seconds between signs of life
SILENT_NS = 2 * 60 * NS  # several beats: a busy disk may hold one up
LATE_NS = 2 * 60 * NS  # how late a pass may begin
HANGS_NS = 10 * 60 * NS  # without anything moving, at least
UNUSUAL = 5  # times the usual length of a pass, without anything moving
JUDGED = 100  # newest passes that tell how long passes take
_NOTE = "serve"


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of life. `after_job`: jobs up to this number are of an earlier serve.

    `due_ns` is when the next pass is due, None for never. `still_ns` is since when the oldest job under way has not
    moved, None where there is none: all others may wait for that one, and younger ones that move do not hide it.
    """

    beat_ns: int
    after_job: int
    due_ns: int | None = None
    still_ns: int | None = None


class Heart:
    """Leaves signs of life in the manifest while `serve` runs. `due` tells when the next pass is due."""

    def __init__(self, manifest: Manifest, desk: JobDesk, due: Callable[[], int | None],
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._manifest = manifest
        self._desk = desk
        self._due = due
        self._clock_ns = clock_ns
        self._after_job = next((job.number for job in manifest.jobs(1)), 0)
        self._moved_ns = clock_ns()
        self._seen: object = None

    async def beat(self, seconds: float = BEAT) -> None:
        """A sign every so many seconds, for ever. Raises ManifestDamaged."""
        while True:
            await self.sign()
            await asyncio.sleep(seconds)

    async def sign(self) -> None:
        """One sign now."""
        note = json.dumps(asdict(self._now()))
        try:
            await asyncio.to_thread(self._manifest.set_note, _NOTE, note)
        except ManifestDamaged:
            raise
        except MediaSyncError as error:  # a full disk: the passes meet it, too, and it may mend
            logger.error("no sign of life: {}", error.line())

    def _now(self) -> Sign:
        now_ns, running = self._clock_ns(), [job for job in self._desk.running() if not job.request.dry_run]
        oldest = min(running, key=lambda job: job.started_ns or 0, default=None)
        progress = None if oldest is None else self._desk.progress(oldest.id)
        seen = (oldest and oldest.id, progress and (progress.bytes_done, progress.files_done))
        if seen != self._seen:
            self._seen, self._moved_ns = seen, now_ns
        return Sign(now_ns, self._after_job, self._due(), None if oldest is None else self._moved_ns)


def read_sign(manifest: Manifest) -> Sign | None:
    """The last sign; None when `serve` never ran with this state."""
    note = manifest.note(_NOTE)
    if note is None:
        return None
    told = json.loads(note)
    return Sign(told["beat_ns"], told.get("after_job", 0), told.get("due_ns"), told.get("still_ns"))


class Health(NamedTuple):
    """Whether `serve` is well, the sentence that says so, and what somebody should look at all the same."""

    ok: bool
    sentence: str
    warnings: tuple[str, ...] = ()


def health(state: Path, now_ns: int) -> Health:
    """How the `serve` of this state folder is. For another process."""
    manifest = Manifest.open_existing(state)
    if manifest is None:
        return Health(False, f"no manifest in {state}: nothing has run yet")
    try:
        sign, passes = read_sign(manifest), passes_of(manifest)
    finally:
        manifest.close()
    if sign is None:
        return Health(False, "serve has not started yet")
    if not is_locked(state / LOCK):
        return Health(False, "serve is not running")
    return judged(sign, passes, now_ns)


def own_health(manifest: Manifest, now_ns: int) -> Health:
    """The same for `serve` itself."""
    sign = read_sign(manifest)
    if sign is None:
        return Health(False, "serve has not started yet")
    return judged(sign, passes_of(manifest), now_ns)


def passes_of(manifest: Manifest) -> list[JobRow]:
    """The newest passes, newest first, and of each kind the last one, however long ago that was."""
    newest = manifest.jobs(JUDGED, causes=sorted(PASSING))
    known = {job.number for job in newest}
    return newest + [job for job in manifest.last_jobs(sorted(PASSING)) if job.number not in known]


def judged(sign: Sign, passes: Sequence[JobRow], now_ns: int) -> Health:
    """The judgement on one sign and the passes that are known. Of each kind of pass the last one counts."""
    silence_ns = abs(now_ns - sign.beat_ns)  # either way: a clock that went back must not hide a serve that hangs
    if silence_ns > SILENT_NS:
        return Health(False, f"serve gave no sign of life for {silence_ns // NS} s")
    ended = [job for job in passes if job.ended_ns is not None and job.number > sign.after_job]
    if sign.still_ns is not None and now_ns - sign.still_ns > max(HANGS_NS, UNUSUAL * usual_ns(ended)):
        return Health(False, f"work hangs: nothing moved for {(now_ns - sign.still_ns) // NS} s")
    if sign.due_ns is not None and now_ns - sign.due_ns > LATE_NS:
        return Health(False, f"a pass was due {(now_ns - sign.due_ns) // NS} s ago and did not begin")
    if not ended:
        return Health(True, "serve is at its first pass")
    last: dict[tuple[str, tuple[str, ...]], JobRow] = {}
    for job in ended:
        if job.state != JobState.CANCELLED and not _open(job):  # being told to stop is no failure, and no success
            last.setdefault((job.action, job.sources), job)
    warnings: list[str] = []
    for job in last.values():
        faults, lesser = _judged_job(job)
        if faults:
            what = "pass" if job.action in ("run", "sync") else job.action
            return Health(False, f"the last {what} failed: {'; '.join(faults)}")
        warnings += (one for one in lesser if one not in warnings)
    well = "ended, and all else is safe" if warnings else "ended well"
    return Health(True, f"the last pass {well} {(now_ns - (ended[0].ended_ns or 0)) // NS} s ago", tuple(warnings))


def _judged_job(job: JobRow) -> tuple[Sequence[str], Sequence[str]]:
    """Faults and warnings of a job that ended."""
    if job.ok:
        return (), ()
    told = json.loads(job.report or "{}")
    found = verdict(Action(job.action), told.get("result"), str(told.get("problem") or ""))
    if not found.faults and not found.warnings:  # what cannot be told is not called well
        return first_reasons(told) or [f"{told.get('failed', 0)} files failed"], ()
    return found.faults, found.warnings


def _open(job: JobRow) -> bool:
    """Whether a pass that ended well shows nothing: other jobs had its sources, and may yet fail."""
    return bool(job.ok) and left_to_others(json.loads(job.report or "{}").get("result"))


def usual_ns(ended: Sequence[JobRow]) -> int:
    """How long passes take, by the middle of those that are known; 0 while none is."""
    lengths = [
        job.ended_ns - job.started_ns for job in ended if job.ended_ns is not None and job.started_ns is not None
    ]
    return int(statistics.median(lengths)) if lengths else 0
