"""Moves bytes: worker threads read, hash and stage; a committer proves, publishes and records group by group.

A group becomes visible only after its bytes are flushed, its files were stat'ed again in the source and found as they
were scanned, and it is recorded only after the names are flushed, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field

from sidecar.errors import (
    AgentFailed,
    Cancelled,
    EngineRefused,
    EngineUnreachable,
    HeldTooLong,
    MediaSyncError,
    SourceGone,
    StreamBroken,
)
from sidecar.models import Problem, Road, Transfer
from sidecar.sync.groups import CHANGED, Bounds, CommitQueue, Fetched, Group
from sidecar.sync.metering import Meter
from sidecar.sync.receiving import Receiver
from sidecar.sync.slots import Slots
from sidecar.transports.base import Reading, TransportAdapter
from sidecar.values import dataclass


@dataclass(slots=True)
class Moved:
    """What a set of transfers came to. `begun` lacks those that its meter did not admit any more.

    `froze` are the seconds for which each read held the lock of a running container.
    """

    received: int = 0
    froze: list[float] = field(default_factory=list)
    roads: dict[Road, int] = field(default_factory=lambda: dict.fromkeys(Road, 0))
    failed: list[Problem] = field(default_factory=list)
    broken: dict[bytes, str] = field(default_factory=dict)
    delivered: set[bytes] = field(default_factory=set)
    begun: list[Transfer] = field(default_factory=list)
    lost: MediaSyncError | None = None


class Mover:
    """Runs transfers of one root. Made per pass; `run` may be called again for what was missing."""

    def __init__(self, adapter: TransportAdapter, root: bytes, receiver: Receiver, bounds: Bounds, slots: Slots,
                 meter: Meter, stop: threading.Event) -> None:  # fmt: skip
        self._adapter = adapter
        self._root = root
        self._receiver = receiver
        self._bounds = bounds
        self._slots = slots
        self._meter = meter
        self._stop = stop
        self._aborts: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()

    async def run(self, transfers: Sequence[Transfer], prepare: Callable[[list[Fetched]], Callable[[], object]]
                  ) -> Moved:  # fmt: skip
        """Read all transfers; what `prepare` answers for a finished group commits it, in one thread, one at a time.

        Errors of single reads are in the answer; errors of the library or manifest are raised. When this is
        cancelled, reads are cut off at once, what was committed stays, and nothing partial is left.
        """
        moved = Moved()
        todo = list(reversed(transfers))
        committer = CommitQueue(prepare, self._bounds, self._stop)
        with ThreadPoolExecutor(self._bounds.parallel + 1, "transfer") as pool:
            committing = asyncio.get_running_loop().run_in_executor(pool, committer.work)
            loop = asyncio.get_running_loop()
            readers = [
                loop.run_in_executor(pool, self._work, todo, committer, moved) for _ in range(self._bounds.parallel)
            ]
            failure: BaseException | None = None
            try:
                await asyncio.gather(*readers)
            except BaseException as error:
                failure = error
                self.abort()
            committer.finish()
            # a cancelled pass still waits for its threads, which end fast once their reads are cut off
            await asyncio.shield(asyncio.gather(committing, *readers, return_exceptions=True))
        if committer.error is not None:
            raise committer.error
        if failure is not None:
            raise failure
        return moved

    def abort(self) -> None:
        """Cut off every read, from any thread."""
        self._stop.set()
        with self._lock:
            for abort in self._aborts.values():
                abort()

    # -- in worker threads ------------------------------------------------------------------------------------------

    def _work(self, todo: list[Transfer], committer: CommitQueue, moved: Moved) -> None:
        group = committer.group()
        try:
            self._read_all(todo, committer, group, moved)
        finally:
            group.close(discard=self._stop.is_set())
        if self._stop.is_set():
            raise Cancelled("cancelled")

    def _read_all(self, todo: list[Transfer], committer: CommitQueue, group: Group, moved: Moved) -> None:
        while not self._stop.is_set():
            committer.wait_for_room()
            with self._lock:
                if not todo or moved.lost is not None:
                    return
                transfer = todo.pop()
            places = _Places(self._slots, len(transfer.files))
            places.reserve(self._stop, group)  # before any turn: who waits here must not keep others from reading
            try:
                with self._meter.turn(transfer) as admitted:
                    if admitted and moved.lost is None:
                        self._attempt(transfer, group, moved, places)
            finally:
                places.give_back_rest()

    def _attempt(self, transfer: Transfer, group: Group, moved: Moved, places: _Places) -> None:
        moved.begun.append(transfer)
        try:
            self._one(transfer, group, moved, places)
        except (StreamBroken, AgentFailed, EngineRefused) as error:  # another road may do
            with self._lock:
                for f in transfer.files:
                    if f.path not in moved.delivered:
                        moved.broken[f.path] = str(error)
        except (SourceGone, EngineUnreachable) as error:
            with self._lock:
                moved.lost = error

    def _one(self, transfer: Transfer, group: Group, moved: Moved, places: _Places) -> None:
        wanted = {f.path: f for f in transfer.files}
        me = threading.get_ident()

        def opened(abort: Callable[[], None]) -> None:
            with self._lock:
                self._aborts[me] = abort
            if self._stop.is_set():
                abort()

        # An agent pads what it cannot read with zeros, and says so beside the stream, in no order: until it has said
        # all, no file of the stream is known to be whole.
        unsure: list[Fetched] | None = [] if transfer.road is Road.STREAM else None
        locked = transfer.road is not Road.STREAM and self._adapter.capabilities.reads_lock
        reading: Reading | None = None
        try:
            with (self._adapter.turn(transfer), self._slots.reading(self._stop),
                  self._adapter.read(self._root, transfer, opened) as reading):  # fmt: skip
                for member in reading:
                    stat = wanted.pop(member.path, None)
                    if stat is None:
                        continue
                    if member.size != stat.size:
                        with self._lock:
                            moved.broken[stat.path] = CHANGED
                        continue
                    fetched = self._receiver.receive(member, stat, places.take(), locked=locked)
                    if unsure is not None:
                        unsure.append(fetched)
                    else:  # waiting for the disk would keep the container locked, also for the commit's stats
                        self._deliver(fetched, transfer.road, group, moved, wait=False)
            self._meter.ended(transfer, reading)
            bad = {path for path, _ in reading.problems}
            while unsure:
                fetched = unsure.pop(0)
                if fetched.stat.path in bad:
                    fetched.drop()
                else:
                    self._deliver(fetched, transfer.road, group, moved, wait=True)
        except HeldTooLong:
            if reading is not None:
                self._meter.cut_off(transfer, reading)
            raise
        finally:
            for fetched in unsure or ():
                fetched.drop()
            with self._lock:
                self._aborts.pop(me, None)
                if reading is not None:
                    moved.received += reading.received
                    if locked:
                        moved.froze.append(reading.seconds)
                    moved.failed += [Problem(path, reason) for path, reason in reading.problems]

    def _deliver(self, fetched: Fetched, road: Road, group: Group, moved: Moved, *, wait: bool) -> None:
        group.add(fetched, wait=wait)
        with self._lock:
            moved.delivered.add(fetched.stat.path)
            moved.roads[road] += 1


class _Places:
    """Open files that one read may leave behind, out of what all sources share. For the thread of the read."""

    def __init__(self, slots: Slots, count: int) -> None:
        self._slots = slots
        self._count = count
        self._left = 0

    def reserve(self, stop: threading.Event, group: Group) -> None:
        """Raises Cancelled. While there is no room the group of this thread is given to its commit."""
        self._left = self._slots.reserve(self._count, stop, group.hand_over)

    def take(self) -> Callable[[], None]:
        """One place for one file; answers what gives it back. Any thread may call that, once."""
        if self._left == 0:  # more files than there are places in all: those above are not counted
            return _nothing
        self._left -= 1
        return self._give_back

    def give_back_rest(self) -> None:
        """What was not taken."""
        self._slots.give_back(self._left)
        self._left = 0

    def _give_back(self) -> None:
        self._slots.give_back(1)


def _nothing() -> None:
    """For a file without a place."""
