"""Counts what worker threads do, and tells the views, at most ten times a second."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from sidecar.models import shown
from sidecar.progress.pace import Pace
from sidecar.progress.snapshot import Snapshot, SourceProgress, View
from sidecar.values import dataclass


@dataclass(slots=True)
class _Count:
    """Done and awaited, in files and bytes."""

    files: int = 0
    files_total: int = 0
    size: int = 0
    size_total: int = 0
    begun: int = 0  # files, those that are done included
    never: int = 0  # files that were awaited and will not come
    size_never: int = 0

    def left(self) -> tuple[float, int]:
        """Files and bytes that are still awaited. A file that is read and not yet stored is half done."""
        files = self.files_total - self.never - (self.begun + self.files) / 2
        return max(0.0, files), max(0, self.size_total - self.size - self.size_never)

    def give_up(self) -> tuple[int, int]:
        """Await no more; answers the files and bytes that are missing."""
        files = max(0, self.files_total - self.files - self.never)
        size = max(0, self.size_total - self.size - self.size_never)
        self.await_less(files, size)
        return files, size

    def await_less(self, files: int, size: int) -> None:
        self.never += files
        self.size_never += size

    def expect(self, files: int, size: int) -> None:
        self.files_total += files
        self.size_total += size

    def advance(self, files: int, size: int, begun: int = 0) -> None:
        self.files += files
        self.size += size
        self.begun += begun


@dataclass(slots=True)
class _Timed:
    """The pace of the present kind of work."""

    kind: str = ""
    pace: Pace = field(default_factory=Pace)

    def start(self, at: float, kind: str) -> None:
        """Work of this kind begins or goes on; what another kind's files and bytes cost says nothing of it."""
        if kind != self.kind:
            self.kind, self.pace = kind, Pace()
        self.pace.start(at)


@dataclass(slots=True)
class _Source:
    """One source's counts: all, by folder, and its files that are being read, the one begun last at the end.

    `last` ended last; it is shown until another one begins.
    """

    name: str
    all: _Count = field(default_factory=_Count)
    folders: dict[bytes, _Count] = field(default_factory=dict)
    reading: list[FileCount] = field(default_factory=list)
    last: FileCount | None = None
    time: _Timed = field(default_factory=_Timed)
    finished: bool = False

    def folder(self, name: bytes) -> _Count:
        if name not in self.folders:
            self.folders[name] = _Count()
        return self.folders[name]

    def ended(self, file: FileCount) -> None:
        if file in self.reading:
            self.reading.remove(file)
            self.last = file

    def now(self) -> FileCount | None:
        return self.reading[-1] if self.reading else self.last

    def view(self, at: float) -> SourceProgress:
        now = self.now()
        folder = self.folders.get(now.folder, _Count()) if now is not None else _Count()
        count = self.all
        return SourceProgress(
            name=self.name,
            folder=shown(now.folder) if now is not None else "",
            file=now.file if now is not None else "",
            file_bytes_done=now.done_bytes if now is not None else 0,
            file_bytes_total=now.size if now is not None else 0,
            folder_bytes_done=folder.size,
            folder_bytes_total=folder.size_total,
            folder_files_done=folder.files,
            folder_files_total=folder.files_total,
            bytes_done=count.size,
            bytes_total=count.size_total,
            files_done=count.files,
            files_total=count.files_total,
            rate=0.0 if self.finished else self.time.pace.rate(at),
            eta=self.time.pace.left(at, *count.left()),
            finished=self.finished,
        )


class FileCount:
    """One file: `advance` as its bytes come, `read` when they are all there, then `done` or `drop`; from any thread."""

    __slots__ = ("done_bytes", "folder", "manager", "path", "size", "source")

    def __init__(self, manager: ProgressManager, source: str, path: bytes, size: int) -> None:
        self.manager = manager
        self.source = source
        self.path = path
        self.folder = path.rpartition(b"/")[0]
        self.size = size
        self.done_bytes = 0

    @property
    def file(self) -> str:
        """Its name, as it is shown."""
        return shown(self.path.rpartition(b"/")[2])

    def advance(self, size: int) -> None:
        """So many bytes more have come."""
        self.manager.count(self, size=size)

    def read(self) -> None:
        """Its bytes are all there; it is not stored yet."""
        self.manager.count(self, ended=True)

    def done(self) -> None:
        """It is stored."""
        self.manager.done((self,))

    def drop(self) -> None:
        """It did not come whole, or was not stored: its bytes are taken back, to be read again or never."""
        self.manager.count(self, size=-self.done_bytes, begun=-1, ended=True)


def stored(files: Sequence[FileCount]) -> None:
    """All of these files of one job are stored: as `done` for each, in one go."""
    if files:
        files[0].manager.done(files)


class ProgressManager:
    """One job's progress. Counting is cheap, and safe from any thread; so is asking for a snapshot.

    `source=""` counts for the job alone. `job` is its ID, once it has one.
    """

    INTERVAL = 0.1  # seconds between two updates of a view, at least

    def __init__(self, action: str, views: tuple[View, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._views = list(views)
        self._clock = clock
        self._lock = threading.Lock()
        self._action = action
        self.job = ""
        self._sources: dict[str, _Source] = {}
        self._all = _Count()
        self._time = _Timed()
        self._at: FileCount | None = None  # what was begun last
        self._told = float("-inf")
        self._telling = threading.Lock()
        self._closed = False

    def watch(self, view: View) -> Callable[[], None]:
        """Tell this view, too; the answer takes it away again, without closing it."""
        with self._lock:
            self._views.append(view)

        def leave() -> None:
            with self._lock:
                if view in self._views:
                    self._views.remove(view)

        return leave

    # -- counting ---------------------------------------------------------------------------------------------------

    def expect(self, files: int, size: int, source: str = "", folders: Mapping[bytes, tuple[int, int]] | None = None,
               kind: str = "") -> None:  # fmt: skip
        """More work is known: so many files, so many bytes; `folders` maps each folder to its part of them.

        What is learned of the pace of one `kind` of work is not used for another.
        """
        with self._lock:
            at = self._clock()
            if self._all.left() == (0.0, 0):
                self._time.start(at, kind)
            self._all.expect(files, size)
            if source:
                one = self._source(source)
                if one.all.left() == (0.0, 0):
                    one.time.start(at, kind)
                one.finished = False
                one.all.expect(files, size)
                for name, (some, some_size) in (folders or {}).items():
                    one.folder(name).expect(some, some_size)
        self._tell()

    def begin(self, source: str, path: bytes, size: int = 0, *, come: bool = False) -> FileCount:
        """This file of `size` bytes is being read from now on, by the thread that calls this; or has `come` at once."""
        file = FileCount(self, source, path, size)
        came = file.done_bytes = size if come else 0
        with self._lock:
            self._at = file
            at = self._clock()
            self._all.advance(0, came, begun=1)
            self._time.pace.add(at, 0.5, came)
            if source:
                one = self._source(source)
                one.all.advance(0, came, begun=1)
                one.time.pace.add(at, 0.5, came)
                if come:
                    one.last = file
                    one.folder(file.folder).size += came
                else:
                    one.reading.append(file)
        if come:
            self._tell()
        return file

    def count(self, file: FileCount, *, size: int = 0, begun: int = 0, ended: bool = False) -> None:
        """What became of a file that was begun. For FileCount."""
        with self._lock:
            at = self._clock()
            file.done_bytes += size
            self._all.advance(0, size, begun)
            self._time.pace.add(at, size=max(0, size))  # bytes taken back took their time all the same
            if file.source:
                one = self._source(file.source)
                one.all.advance(0, size, begun)
                one.folder(file.folder).size += size
                one.time.pace.add(at, size=max(0, size))
                if ended:
                    one.ended(file)
        self._tell()

    def done(self, files: Sequence[FileCount]) -> None:
        """All of these are stored."""
        with self._lock:
            at = self._clock()
            self._all.files += len(files)
            self._time.pace.add(at, len(files) / 2)
            for file in files:
                if file.source:
                    one = self._source(file.source)
                    one.all.files += 1
                    one.folder(file.folder).files += 1
                    one.ended(file)
            for name, count in Counter(file.source for file in files if file.source).items():
                self._source(name).time.pace.add(at, count / 2)
        self._tell()

    def advance(self, *, size: int = 0, files: int = 0, source: str = "", folder: bytes = b"") -> None:
        """So many bytes, so many files more are done, all at once."""
        with self._lock:
            at = self._clock()
            self._all.advance(files, size, begun=files)
            self._time.pace.add(at, files, size)
            if source:
                one = self._source(source)
                one.all.advance(files, size, begun=files)
                one.folder(folder).advance(files, size)
                one.time.pace.add(at, files, size)
        self._tell()

    def finish(self, source: str) -> None:
        """Nothing more of this source is awaited, whether all came or not."""
        with self._lock:
            one = self._sources.get(source)
            if one is not None:
                self._all.await_less(*one.all.give_up())
                one.finished = True
                one.reading.clear()
        self._tell()

    def _source(self, name: str) -> _Source:
        if name not in self._sources:
            self._sources[name] = _Source(name)
        return self._sources[name]

    # -- showing ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The present state, with rate and ETA."""
        with self._lock:
            at = self._clock()
            return Snapshot(
                self._action,
                *((now.source, shown(now.folder), now.file) if (now := self._at) is not None else ("", "", "")),
                job=self.job,
                bytes_done=self._all.size,
                bytes_total=self._all.size_total,
                files_done=self._all.files,
                files_total=self._all.files_total,
                rate=self._time.pace.rate(at),
                eta=self._time.pace.left(at, *self._all.left()),
                sources=tuple(one.view(at) for one in self._sources.values()),
            )

    def close(self) -> None:
        """The job is over; what late threads still count is not shown. Idempotent."""
        with self._telling:
            if self._closed:
                return
            self._closed = True
            last = self.snapshot()
            for view in tuple(self._views):
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
            for view in tuple(self._views):
                view.update(now)
        finally:
            self._telling.release()
