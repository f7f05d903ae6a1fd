"""Did this machine's clock jump? Ages are told by the clock, so after a jump nothing is old while an age has to pass.

The kernel's boot clock cannot be set. While one boot lasts, wall time and boot time have to pass alike; from one boot
to the next only a wall clock that went back can be noticed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from sidecar.cleanup.plan import SKEW_NS
from sidecar.manifest import Manifest
from sidecar.models import NS
from sidecar.values import dataclass

_NOTE = "clock"


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment, ns. `jumped_ns` is the boot time at which a jump was noticed, None without one."""

    boot: str
    boot_ns: int
    wall_ns: int
    jumped_ns: int | None = None


def read_clocks() -> Reading:
    """This machine's clocks now."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Reading(boot, time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns())


def judged(before: Reading | None, now: Reading) -> Reading:
    """The present reading, with a jump if there was one since `before`, or one that `before` knew of in this boot."""
    if before is None:
        return now
    if before.boot != now.boot:
        return replace(now, jumped_ns=now.boot_ns) if now.wall_ns < before.wall_ns - SKEW_NS else now
    drift = (now.wall_ns - before.wall_ns) - (now.boot_ns - before.boot_ns)
    return replace(now, jumped_ns=now.boot_ns if abs(drift) > SKEW_NS else before.jumped_ns)


class ClockWatch:
    """Looks at the clocks whenever a job begins, and remembers in the manifest."""

    def __init__(self, manifest: Manifest, clocks: Callable[[], Reading] = read_clocks) -> None:
        self._manifest = manifest
        self._clocks = clocks

    def look(self, *, record: bool = True) -> Reading:
        """Judge the clocks against the last look; `record` this one as the next one's last."""
        note = self._manifest.note(_NOTE)
        reading = judged(Reading(**json.loads(note)) if note else None, self._clocks())
        if record:
            self._manifest.set_note(_NOTE, json.dumps(asdict(reading)))
        return reading

    def refusal(self, older_than_ns: int) -> str | None:
        """Why nothing may be called old now: since a jump less time has passed than the age that counts."""
        reading = self.look(record=False)
        if reading.jumped_ns is None:
            return None
        left = older_than_ns - (reading.boot_ns - reading.jumped_ns)
        if left <= 0:
            return None
        return f"this machine's clock jumped: nothing is deleted for another {max(1, left // (60 * NS))} minutes"
