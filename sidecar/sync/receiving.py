"""One file's bytes on their way from the wire: hashed, looked at for their format's end, held or staged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from sidecar.errors import Cancelled, StreamBroken
from sidecar.library import Library, Staged
from sidecar.media.endings import ending_check, ending_of
from sidecar.models import FileStat
from sidecar.progress import FileCount, ProgressManager
from sidecar.sync.groups import Fetched
from sidecar.sync.relay import relay
from sidecar.sync.slots import Memory
from sidecar.transports.base import Member

SMALL = 1 << 18  # files up to this size wait for their commit in memory while there is room, bytes
AHEAD = 16 << 20  # bytes of a file that are left to the disk at once while more is to come
LARGE = 8 << 20  # from this size on two threads work on one file


class Receiver:
    """Receives files of one source; for several worker threads, until `stop` is set."""

    def __init__(self, library: Library, source: str, progress: ProgressManager, stop: threading.Event, memory: Memory
                 ) -> None:  # fmt: skip
        self._library = library
        self._source = source
        self._progress = progress
        self._stop = stop
        self._memory = memory

    def receive(self, member: Member, stat: FileStat, let_go: Callable[[], None], *, locked: bool) -> Fetched:
        """All bytes of a member whose size is the scanned one. Raises StreamBroken, LibraryFull, Cancelled.

        `locked`: the read holds its container's lock, so that nothing here should wait for the disk. `let_go` is called
        when it is open no more, also when it did not come whole.
        """
        if stat.size <= SMALL:
            try:
                return self._small(member, stat, let_go)
            except BaseException:
                let_go()
                raise
        count = self._progress.begin(self._source, stat.path, stat.size)
        try:
            fetched = self._large(member, stat, count, let_go, locked=locked)
        except BaseException:
            count.drop()
            let_go()
            raise
        count.read()
        return fetched

    def _small(self, member: Member, stat: FileStat, let_go: Callable[[], None]) -> Fetched:
        """The committer's thread stages it, many at once and only those that are proven, while there is room for it."""
        data = member.whole()
        if self._stop.is_set():
            raise Cancelled("cancelled")
        digest, ending = hashlib.sha256(data).digest(), ending_of(stat.path, data)
        staged: Staged | tuple[bytes, Memory] = (data, self._memory)
        if not self._memory.take(len(data)):
            staged = self._library.stage(self._source)
            try:
                staged.write(data)
                staged.stamp(stat.mtime_ns)
            except BaseException:
                staged.close()
                raise
        count = self._progress.begin(self._source, stat.path, stat.size, come=True)
        return Fetched(stat, digest, ending, staged, count, let_go)

    def _large(self, member: Member, stat: FileStat, count: FileCount, let_go: Callable[[], None], *, locked: bool
               ) -> Fetched:  # fmt: skip
        digest, check = hashlib.sha256(), ending_check(stat.path)
        staged = self._library.stage(self._source)

        def take(chunk: memoryview) -> None:
            digest.update(chunk)
            if check is not None:
                check.feed(chunk)
            staged.write(chunk)
            if not locked and staged.unsent >= AHEAD:
                staged.write_back()

        def fill(view: memoryview) -> int:
            if self._stop.is_set():
                raise Cancelled("cancelled")
            if not (got := member.readinto(view)):
                raise StreamBroken("a member is shorter than it said")
            count.advance(got)
            return got

        try:
            if stat.size >= LARGE:
                relay(stat.size, fill, take)
            else:
                for chunk in member.chunks():
                    take(chunk)
                    count.advance(len(chunk))
                    if self._stop.is_set():
                        raise Cancelled("cancelled")
            staged.stamp(stat.mtime_ns)
            if not locked:  # its group is committed later: by then much of it is on the disk
                staged.write_back()
            ending = check.verdict() if check is not None else None
            return Fetched(stat, digest.digest(), ending, staged, count, let_go)
        except BaseException:
            staged.close()
            raise
