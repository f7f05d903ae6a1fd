"""Groups of fetched files, and the queue that hands them to the one thread that commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from sidecar.errors import Cancelled
from sidecar.library import Batch, Staged
from sidecar.media.endings import Ending, State
from sidecar.media.kinds import Kind, classify, group_key
from sidecar.models import FileStat
from sidecar.progress import FileCount
from sidecar.sync.slots import Memory
from sidecar.values import dataclass

CHANGED = "changed while it was read"


class Fetched:
    """One file's bytes without a name: in memory, or staged and not yet flushed. What its name says is looked at once.

    `ending` is None for a format that has no end to check, and `missing` is what a file lacks, None when it is whole;
    `count` is its place in the progress, and `let_go` is called once, when it is closed.
    """

    __slots__ = ("_data", "_let_go", "_memory", "_staged", "count", "group", "kind", "missing", "sha256", "stat")

    def __init__(self, stat: FileStat, sha256: bytes, ending: Ending | None, bytes_of: Staged | tuple[bytes, Memory],
                 count: FileCount, let_go: Callable[[], None]) -> None:  # fmt: skip
        self.stat = stat
        self.sha256 = sha256
        self.count = count
        self._let_go: Callable[[], None] | None = let_go
        self.kind = classify(stat.path).kind
        self.group = group_key(stat.path)
        # a text companion has no end to show, and is written in one go
        self.missing = None if self.kind is Kind.TEXT else ending_reason(ending)
        self._data: bytes | None = None
        self._memory: Memory | None = None
        self._staged: Staged | None = None
        if isinstance(bytes_of, tuple):
            self._data, self._memory = bytes_of
        else:
            self._staged = bytes_of

    def settled_at(self, mtime_ns: int) -> None:
        """Its exact mtime is known now."""
        self.stat = replace(self.stat, mtime_ns=mtime_ns, exact=True)
        if self._staged is not None:
            self._staged.stamp(mtime_ns)

    def staged(self, batch: Batch) -> Staged:
        """Its bytes as an open file of the library. Raises LibraryFull."""
        if self._staged is None:
            self._staged = batch.stage(self._data or b"", self.stat.mtime_ns)
            self._forget()
        return self._staged

    def drop(self) -> None:
        """Let go of bytes that will not be stored, and say so."""
        self.close()
        self.count.drop()

    def close(self) -> None:
        """Forget it; bytes that got no name are gone. Idempotent."""
        self._forget()
        if self._staged is not None:
            self._staged.close()
        if self._let_go is not None:
            self._let_go()
            self._let_go = None

    def _forget(self) -> None:
        if self._memory is not None and self._data is not None:
            self._memory.give_back(len(self._data))
        self._data = self._memory = None


@dataclass(slots=True)
class Bounds:
    """How much is in flight. `group_files` and `group_bytes` close a group.

    Reading stops while `groups` wait for their commit; an archive that is open is read to its end first.
    """

    parallel: int = 2
    group_files: int = 1024
    group_bytes: int = 64 << 20
    groups: int = 3


def ending_reason(ending: Ending | None) -> str | None:
    """What is missing from a file, None when it shows its format's own end."""
    if ending is None:
        return "its format has no end mark"
    return None if ending.state is State.COMPLETE else (ending.reason or "its format has no end mark")


class Group:
    """Files that will be committed together; handed over when full."""

    def __init__(self, committer: CommitQueue, bounds: Bounds) -> None:
        self._committer = committer
        self._bounds = bounds
        self._files: list[Fetched] = []
        self._bytes = 0

    def add(self, fetched: Fetched, *, wait: bool) -> None:
        self._files.append(fetched)
        self._bytes += fetched.stat.size
        if len(self._files) >= self._bounds.group_files or self._bytes >= self._bounds.group_bytes:
            if wait:
                self._committer.wait_for_room()
            self._hand_over()

    def close(self, *, discard: bool) -> None:
        if discard:
            for fetched in self._files:
                fetched.close()
            self._files = []
        else:
            self.hand_over()

    def hand_over(self) -> None:
        """Let go of what is there, full or not."""
        if self._files:
            self._hand_over()

    def _hand_over(self) -> None:
        files, self._files, self._bytes = self._files, [], 0
        self._committer.put(files)


class CommitQueue:
    """One thread that commits groups in order, so that readers go on meanwhile; a short queue bounds what waits.

    `prepare` is called when a group is complete, in its reader's thread, and answers what commits it: so the source is
    asked about a group while the one before it is being committed.
    """

    def __init__(self, prepare: Callable[[list[Fetched]], Callable[[], object]], bounds: Bounds, stop: threading.Event
                 ) -> None:  # fmt: skip
        self._prepare = prepare
        self._bounds = bounds
        self._stop = stop
        self._queue: list[tuple[list[Fetched], Callable[[], object]]] = []
        self._changed = threading.Condition()
        self._finished = False
        self.error: BaseException | None = None

    def group(self) -> Group:
        return Group(self, self._bounds)

    def wait_for_room(self) -> None:
        """Return when few groups wait, or none ever will be committed again."""
        with self._changed:
            while len(self._queue) >= self._bounds.groups and self.error is None and not self._stop.is_set():
                self._changed.wait(0.2)

    def put(self, files: list[Fetched]) -> None:
        """Raises Cancelled when nothing is committed any more; the files are closed then."""
        if self.error is None and not self._stop.is_set():
            commit = self._prepare(files)
            with self._changed:
                if self.error is None and not self._stop.is_set():
                    self._queue.append((files, commit))
                    self._changed.notify_all()
                    return
        for fetched in files:
            fetched.close()
        raise Cancelled("cancelled")

    def finish(self) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def work(self) -> None:
        """Commit until finished. An error is kept in `error`, and readers are told to stop."""
        while True:
            with self._changed:
                while not self._queue and not self._finished:
                    self._changed.wait(0.2)
                if not self._queue:
                    return
                files, commit = self._queue[0]
            try:
                if not self._stop.is_set():
                    commit()
            except BaseException as error:
                self.error = error
                self._stop.set()
                return
            finally:
                for fetched in files:
                    fetched.close()
                with self._changed:
                    self._queue.pop(0)
                    if self.error is not None:
                        for group, _ in self._queue:
                            for fetched in group:
                                fetched.close()
                        self._queue.clear()
                    self._changed.notify_all()
