"""How far a job is: one place that counts, and whoever wants to show it asks or is told.

Counting is done by worker threads, so it is cheap and takes a lock; views (tqdm, the log) are told at most ten times
a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a job stands. Bytes and files; `rate` in bytes per second; `eta` in seconds, None while unknown."""

    action: str
    source: str = ""
    folder: str = ""
    file: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    rate: float = 0.0
    eta: float | None = None


class View(Protocol):
    """Shows progress. `update` comes at most ten times a second, `close` once at the end."""

    def update(self, now: Snapshot) -> None:
        """Show this."""

    def close(self, now: Snapshot) -> None:
        """Show the last state and let go of the screen."""


class ProgressManager:
    """Counts one job's bytes and files and tells its views."""

    INTERVAL = 0.1  # seconds

    def __init__(self, action: str, views: tuple[View, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._views = views
        self._clock = clock
        self._lock = threading.Lock()
        self._action = action
        self._at = ("", "", "")  # source, folder, file
        self._bytes = self._bytes_total = self._files = self._files_total = 0
        self._started: float | None = None  # looking for work is no transfer: the rate counts from the first known work
        self._told = float("-inf")
        self._telling = threading.Lock()
        self._closed = False

    def expect(self, files: int, size: int) -> None:
        """More work is known: so many files, so many bytes."""
        with self._lock:
            if self._started is None:
                self._started = self._clock()
            self._files_total += files
            self._bytes_total += size
        self._tell()

    def begin(self, source: str, folder: str, file: str) -> None:
        """This file is being worked on now."""
        with self._lock:
            self._at = (source, folder, file)

    def advance(self, *, size: int = 0, files: int = 0) -> None:
        """So many bytes, so many files more are done."""
        with self._lock:
            self._bytes += size
            self._files += files
        self._tell()

    def snapshot(self) -> Snapshot:
        """The present state, with rate and ETA."""
        with self._lock:
            elapsed = 0.0 if self._started is None else self._clock() - self._started
            rate = self._bytes / elapsed if elapsed > 0 else 0.0
            left = max(0, self._bytes_total - self._bytes)
            return Snapshot(self._action, *self._at, self._bytes, self._bytes_total, self._files, self._files_total,
                            rate, left / rate if rate > 0 else None)  # fmt: skip

    def close(self) -> None:
        """The job is over; what late threads still count is not shown. Idempotent."""
        with self._telling:
            if self._closed:
                return
            self._closed = True
            last = self.snapshot()
            for view in self._views:
                view.close(last)

    def _tell(self) -> None:
        at = self._clock()
        if not self._views or at - self._told < self.INTERVAL or not self._telling.acquire(blocking=False):
            return
        try:
            if self._closed or at - self._told < self.INTERVAL:
                return
            self._told = at
            now = self.snapshot()
            for view in self._views:
                view.update(now)
        finally:
            self._telling.release()
