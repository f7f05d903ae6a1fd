"""The commit of a group: proven once more against the source, flushed, placed, recorded, told; in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from sidecar.errors import NameUnusable
from sidecar.events import FileStored
from sidecar.manifest import NewFile, SourceKey
from sidecar.media.kinds import Kind, classify, group_key
from sidecar.models import FileStat
from sidecar.progress import stored
from sidecar.sync.account import Account
from sidecar.sync.context import Parts
from sidecar.sync.groups import CHANGED, Fetched
from sidecar.sync.placing import Placer
from sidecar.transports.base import TransportAdapter

FLUSHERS = 8  # parallel fsyncs, so that one journal commit serves many files


class RootCommitter:
    """Commits groups of one root, one at a time, in a worker thread; made and left on the event loop.

    `must_end` tells which files have to show their format's end to be stored.
    """

    def __init__(self, parts: Parts, job: str, key: SourceKey, root: bytes, adapter: TransportAdapter,
                 placer: Placer, account: Account, must_end: Mapping[bytes, bool]) -> None:  # fmt: skip
        self._parts = parts
        self._job = job
        self._key = key
        self._root = root
        self._adapter = adapter
        self._placer = placer
        self._account = account
        self._must_end = must_end
        self._loop = asyncio.get_running_loop()
        self._flushers = ThreadPoolExecutor(FLUSHERS, "flush")

    def __enter__(self) -> RootCommitter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flushers.shutdown()
        self._placer.close()

    def prepare(self, group: list[Fetched]) -> Callable[[], None]:
        """Ask the source what its originals are now that they have been read; answers what commits the group.

        That is blocking, for a worker thread, and raises what library and manifest raise; single files end in the
        account.
        """
        asked = self._adapter.restat(self._root, [f.stat.path for f in group])
        return partial(self._commit, group, asyncio.run_coroutine_threadsafe(asked, self._loop))

    def _commit(self, group: list[Fetched], asked: Future[dict[bytes, FileStat]]) -> None:
        now = asked.result()
        good: list[Fetched] = []
        for f in group:
            if self._proven(f, now.get(f.stat.path)):
                good.append(f)
            else:
                f.drop()
        if not good:
            return
        self._parts.library.flush([f.staged(self._placer.batch) for f in good], self._flushers)
        good.sort(key=_companions_last)  # an archive brings `a.json` before `a.png`
        with self._parts.placing:
            placed = self._place(good)
        for _, event in placed:
            self._account.stored(event)
        stored([f.count for f, _ in placed])

    def _place(self, good: Sequence[Fetched]) -> list[tuple[Fetched, FileStored]]:
        """Give the files of a group their names, and record them when those are durable, too."""
        placer = self._placer
        placer.group_begins(good)
        files: list[NewFile] = []
        come: list[tuple[Fetched, bytes, bool]] = []
        for f in good:
            try:
                placed, duplicate = placer.place(f)
            except NameUnusable as error:
                self._account.unusable(f.stat, error)
                f.drop()
                continue
            files.append(NewFile(f.stat, f.sha256, placed.path, f.kind.value, f.missing))
            come.append((f, placed.path, duplicate))
        placer.batch.flush()
        self._parts.manifest.record(self._key, self._root, files, self._parts.clock_ns())
        placer.group_done()
        place = self._job, self._key.name, self._root
        return [
            (f, FileStored(*place, f.stat.path, path, f.sha256, f.stat.size, duplicate, f.missing))
            for f, path, duplicate in come
        ]

    def _proven(self, f: Fetched, now: FileStat | None) -> bool:
        """Whether it may be stored: same stat as scanned, and its format's end where that is still owed."""
        missing = f.missing
        if now is None and missing is not None:
            self._account.waits(f.stat, "vanished while it was read", fetched=False)
            return False
        if now is not None and not f.stat.same_as(now):
            self._account.waits(f.stat, CHANGED, fetched=False)
            return False
        if missing is not None and self._must_end[f.stat.path]:
            self._account.waits(f.stat, missing, fetched=True)
            return False
        if now is not None and now.exact and not f.stat.exact:
            f.settled_at(now.mtime_ns)
        return True


def companions_last(stat: FileStat) -> tuple[bytes, bool, bytes]:
    """Files of one stem side by side, the picture before its text, so that the text can follow its name."""
    return group_key(stat.path), classify(stat.path).kind is Kind.TEXT, stat.path


def _companions_last(f: Fetched) -> tuple[bytes, bool, bytes]:
    return f.group, f.kind is Kind.TEXT, f.stat.path
