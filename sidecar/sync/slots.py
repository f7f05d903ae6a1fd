"""What all sources that are pulled at once share: reads under way, files open until their commit, memory for small.

One `Slots` is made per process and given to every SyncEngine, so that ten sources put no more load on the engine and
the disk, and hold no more open files and bytes, than one does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sidecar.errors import Cancelled

_LOOK = 0.2  # seconds: how late a waiting thread may notice that it was told to stop
HELD = 32 << 20  # bytes of small files that wait for their commit in memory


class Memory:
    """How many bytes of small files may wait in memory in place of being staged one by one. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether there was room, which is taken then."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        """So many bytes are not held any more."""
        with self._lock:
            self._left += count


class Slots:
    """`parallel` reads at once, `files` staged files open, `held` bytes in memory, over all sources; thread-safe.

    A slot is taken after a container's turn has come and is given back when the read is drained: nothing waits for
    the disk, for a commit or for another reader while it has one.
    """

    def __init__(self, parallel: int, files: int = 4096, held: int = HELD) -> None:
        self.memory = Memory(held)
        self.parallel = max(1, parallel)
        self.files = max(1, files)
        self._reads = self.parallel
        self._free = self.files
        self._changed = threading.Condition()
        self._waiting = 0

    @contextmanager
    def reading(self, stop: threading.Event) -> Iterator[None]:
        """One read slot. Raises Cancelled when `stop` is set before there is one."""
        with self._changed:
            while self._reads == 0:
                self._wait(stop)
            self._reads -= 1
        try:
            yield
        finally:
            with self._changed:
                self._reads += 1
                self._tell()

    def reserve(self, count: int, stop: threading.Event, pressed: Callable[[], object]) -> int:
        """Room for `count` open files, of which no more than `files` are granted; answers how many were.

        When they are not there at once `pressed` is called, before waiting: the caller then lets go of what it holds
        itself (hands a half-full group to its commit), or two that hold a part each would wait for ever. Raises
        Cancelled when `stop` is set first. What is granted goes back by `give_back`.
        """
        count = min(count, self.files)
        with self._changed:
            if self._free >= count:
                self._free -= count
                return count
        pressed()
        with self._changed:
            while self._free < count:
                self._wait(stop)
            self._free -= count
        return count

    def give_back(self, count: int) -> None:
        """So many files are closed."""
        with self._changed:
            self._free += count
            self._tell()

    def _tell(self) -> None:
        if self._waiting:
            self._changed.notify_all()

    def _wait(self, stop: threading.Event) -> None:
        if stop.is_set():
            raise Cancelled("cancelled")
        self._waiting += 1
        try:
            self._changed.wait(_LOOK)
        finally:
            self._waiting -= 1
