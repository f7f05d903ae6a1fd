"""Groups of fetched files, and the queue that hands them to the one thread that commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.errors import Cancelled
from sidecar.library import Staged
from sidecar.media.endings import Ending
from sidecar.models import FileStat
from sidecar.progress import FileCount

CHANGED = "changed while it was read"


@dataclass(slots=True)
class Fetched:
    """One file's bytes, staged: not yet flushed, without a name."""

    stat: FileStat
    staged: Staged
    sha256: bytes
    ending: Ending | None
    count: FileCount

    def drop(self) -> None:
        """Let go of bytes that will not be stored, and say so."""
        self.staged.close()
        self.count.drop()


@dataclass(slots=True)
class Bounds:
    """How much is in flight. `group_files` and `group_bytes` close a group.

    Reading stops while `groups` wait for their commit; an archive that is open is read to its end first.
    """

    parallel: int = 2
    group_files: int = 256
    group_bytes: int = 64 << 20
    groups: int = 3


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
                fetched.staged.close()
            self._files = []
        elif self._files:
            self._hand_over()

    def _hand_over(self) -> None:
        files, self._files, self._bytes = self._files, [], 0
        self._committer.put(files)


class CommitQueue:
    """One thread that commits groups in order, so that readers go on meanwhile; a short queue bounds what waits."""

    def __init__(self, commit: Callable[[list[Fetched]], object], bounds: Bounds, stop: threading.Event) -> None:
        self._commit = commit
        self._bounds = bounds
        self._stop = stop
        self._queue: list[list[Fetched]] = []
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
        with self._changed:
            if self.error is None and not self._stop.is_set():
                self._queue.append(files)
                self._changed.notify_all()
                return
        for fetched in files:
            fetched.staged.close()
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
                files = self._queue[0]
            try:
                if not self._stop.is_set():
                    self._commit(files)
            except BaseException as error:
                self.error = error
                self._stop.set()
                return
            finally:
                for fetched in files:
                    fetched.staged.close()
                with self._changed:
                    self._queue.pop(0)
                    if self.error is not None:
                        for group in self._queue:
                            for fetched in group:
                                fetched.staged.close()
                        self._queue.clear()
                    self._changed.notify_all()
