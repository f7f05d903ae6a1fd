"""Sources that keep failing are slowed down, so that they cost the others nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.models import NS
from sidecar.values import dataclass

TOLERATED = 2  # failures in a row without a pause: an engine that restarts, a container that is just made anew
FIRST_NS = 10 * NS
LONGEST_NS = 15 * 60 * NS


@dataclass(frozen=True, slots=True)
class Slowed:
    """`failures` in a row, the last one for `reason`; passes leave the source alone until `until_ns`."""

    failures: int
    until_ns: int
    reason: str


def pause_ns(failures: int) -> int:
    """How long a source is left alone after so many failures in a row: doubling, with a cap."""
    if failures <= TOLERATED:
        return 0
    return min(LONGEST_NS, FIRST_NS << min(failures - TOLERATED - 1, 32))


class Patience:
    """Counts failures in a row, source by source."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._failing: dict[str, Slowed] = {}

    def failed(self, source: str, reason: str) -> Slowed:
        """A source failed as a whole. Answers where it stands now."""
        before = self._failing.get(source)
        failures = 1 if before is None else before.failures + 1
        now = Slowed(failures, self._clock_ns() + pause_ns(failures), reason)
        self._failing[source] = now
        return now

    def worked(self, source: str) -> bool:
        """A source was worked on to its end. Answers whether it had been slowed down."""
        before = self._failing.pop(source, None)
        return before is not None and before.failures > TOLERATED

    def slowed(self, source: str) -> Slowed | None:
        """Why the source is to be left alone now; None when it is not."""
        one = self._failing.get(source)
        if one is None or one.failures <= TOLERATED:
            return None
        left = one.until_ns - self._clock_ns()
        # a clock that went back must not stretch a pause
        return one if 0 < left <= pause_ns(one.failures) else None

    def view(self) -> dict[str, Slowed]:
        """The sources that are slowed down, those whose next attempt is due included."""
        return {name: one for name, one in self._failing.items() if one.failures > TOLERATED}
