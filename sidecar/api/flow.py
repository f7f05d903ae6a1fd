"""How much is told one by one: what comes faster is counted."""

from __future__ import annotations

import threading
from collections import Counter


class Flow:
    """Lets so many events pass within a tick, and counts the rest by type. Safe in any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._passed = 0
        self._more: Counter[str] = Counter()
        self._lock = threading.Lock()

    def passes(self, kind: str) -> bool:
        """Whether one more is told by itself; if not, it is counted."""
        with self._lock:
            if self._passed >= self._most:
                self._more[kind] += 1
                return False
            self._passed += 1
            return True

    def over(self) -> Counter[str]:
        """A tick is over: what did not pass, by type."""
        with self._lock:
            more, self._more, self._passed = self._more, Counter(), 0
            return more
