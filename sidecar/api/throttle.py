"""Guessing is slow: whoever presents wrong tokens has to wait."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable

FAILURES = 10  # wrong tokens from one address that are answered within the window
WINDOW = 60.0  # seconds
ADDRESSES = 1024  # remembered; the one that failed longest ago is forgotten first


class Throttle:
    """Counts wrong tokens, address by address. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds until tokens from this address are looked at again; 0 when they are now."""
        times = self._failures.get(address)
        if times is None or len(times) < FAILURES:
            return 0
        return max(0, math.ceil(times[0] + WINDOW - self._clock()))

    def failed(self, address: str) -> None:
        """A wrong token came from there."""
        self._failures.setdefault(address, deque(maxlen=FAILURES)).append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
