"""What is learned while reads run, and when archives of folders are no longer read because of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sidecar.models import Road, Transfer
from sidecar.sync.costs import CostBook, Costs, Sample
from sidecar.sync.planner import Freight, expected, freight
from sidecar.transports.base import Reading

HEADER = 1024  # what comes with each file beside its bytes, about: a tar header and padding
TOLERANCE = 2.0  # expectations that have grown to this times the limit are not met by reading on


class Meter:
    """The reads of one pass over one root; `folders` is what lies in its folders. For worker threads.

    `max_freeze` is how long one may lock its container, in seconds; inf where none does. After an archive of a folder
    was cut off no other one is read in the same round: the library, the disk or the engine is slower than was thought,
    and the plan of the next round will know.
    """

    def __init__(self, book: CostBook, folders: Mapping[bytes, Freight], max_freeze: float) -> None:
        self.folders = folders
        self.max_freeze = max_freeze
        self._book = book
        self._lock = threading.Lock()
        self._cut = False
        self._folder = threading.Lock()
        self._streams = 0  # under way

    @property
    def costs(self) -> Costs:
        """What reads cost, as far as is known now."""
        return self._book.costs

    def begin_round(self) -> None:
        """What was planned since was planned with what was learned."""
        with self._lock:
            self._cut = False

    @contextmanager
    def turn(self, transfer: Transfer) -> Iterator[bool]:
        """Wait until a planned read may be made, and answer whether it still should be.

        The container's lock lets one archive be read at a time anyway; who waits here knows how the last one ended.
        """
        if transfer.road is Road.STREAM:
            with self._streaming():
                yield True
        elif transfer.road is Road.FILE or math.isinf(self.max_freeze):
            yield True
        else:
            with self._folder:
                yield self.admits(transfer)

    @contextmanager
    def _streaming(self) -> Iterator[None]:
        with self._lock:
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

    def admits(self, transfer: Transfer) -> bool:
        """Whether a planned read should still be made, after what was learned since."""
        if transfer.road is not Road.FOLDER:
            return True
        with self._lock:
            if self._cut:
                return False
        return expected(transfer, self.folders, self.costs) <= TOLERANCE * self.max_freeze

    def ended(self, transfer: Transfer, reading: Reading) -> None:
        """A read came to its end. Streams side by side make each other slower, and all of them faster."""
        carried = freight(transfer, self.folders)
        with self._lock:
            beside = max(1, self._streams) if transfer.road is Road.STREAM else 1
        self._book.learn(Sample(transfer.road, carried.files, carried.size, reading.seconds / beside))

    def cut_off(self, transfer: Transfer, reading: Reading) -> None:
        """A read held its container's lock for too long."""
        with self._lock:
            self._cut = self._cut or transfer.road is Road.FOLDER
        carried = freight(transfer, self.folders)
        part = min(1.0, max(0.1, reading.received / (carried.size + carried.files * HEADER)))
        self._book.learn(Sample(transfer.road, carried.files, carried.size, reading.seconds / part, whole=False))
