"""When things are due, as people write it: `@every 5m`, a cron line, a word for one, or never."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from sidecar.config import units
from sidecar.config.units import Wrong, near, quoted
from sidecar.models import NS
from sidecar.values import dataclass

_HINT = "write it like @every 5m, 30 3 * * *, @daily or never"
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LOCAL = ("", "local")


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, so many ns from one beginning to the next."""

    pause_ns: int

    def __str__(self) -> str:
        return f"@every {units.format_duration(self.pause_ns)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of a cron line, in the time zone of the settings."""

    line: str

    def __str__(self) -> str:
        return self.line


@dataclass(frozen=True, slots=True)
class Never:
    """Not by itself."""

    def __str__(self) -> str:
        return "never"


Timing = Every | Cron | Never


def pause(value: object) -> int:
    """A length of time between passes in ns; less than a second would be no pause."""
    ns = units.parse_duration(value)
    if ns < NS:
        raise Wrong(f"{quoted(value)} is shorter than 1s", "write it like 30s, 1m or 1h")
    return ns


def parse_timing(value: object) -> Timing:
    """`@every 5m`, a cron line of five fields (six: seconds first), `@hourly` and the like, or `never`."""
    if isinstance(value, Every | Cron | Never):
        return value
    text = " ".join(units.parse_text(value).split())
    word = text.lower()
    if word in ("never", "off"):
        return Never()
    if word.startswith("@every "):
        return Every(pause(text[7:]))
    if word.startswith("@") and word not in _WORDS:
        raise Wrong(f"{quoted(value)} is no schedule", f"{near(word, _WORDS)} {_HINT}".strip())
    line = _WORDS.get(word, text)
    try:
        next(CronSim(line, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise Wrong(f"{quoted(value)} is no schedule: {str(error).lower()}", _HINT) from None
    except StopIteration:
        raise Wrong(f"{quoted(value)} is a time that never comes", _HINT) from None
    return Cron(line)


def parse_zone(value: object) -> str:
    """A time zone's name, `local` for this machine's own."""
    text = units.parse_text(value)
    if text.lower() in _LOCAL:
        return "local"
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        hint = f"{near(text, available_timezones())} write it like Europe/Berlin, UTC or local".strip()
        raise Wrong(f"{quoted(value)} is no time zone", hint) from None
