"""What became of each file of a root: the report's counts, what waits for the next pass, and events of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sidecar.errors import NameUnusable
from sidecar.events import Bus, FileDiscovered, FileFailed, FileSkipped, FileStored, SourceRead
from sidecar.manifest import Waiting
from sidecar.models import FileStat, Problem
from sidecar.sync.diff import UNFETCHED, UNUSABLE, Decision
from sidecar.sync.report import SyncReport


class Account:
    """Every file that was asked for ends here once: stored, waiting, or failed with a reason.

    `waiting` is what the manifest should keep as not settled when the pass is over, by path.
    """

    def __init__(self, job: str, source: str, root: bytes, report: SyncReport, bus: Bus,
                 clock_ns: Callable[[], int]) -> None:  # fmt: skip
        self.report = report
        self.waiting: dict[bytes, Waiting] = {}
        self._job = job
        self._source = source
        self._root = root
        self._bus = bus
        self._clock_ns = clock_ns

    def decided(self, decision: Decision, before: Mapping[bytes, Waiting]) -> None:
        """Count what a scan came to, before anything is fetched, and tell what is new in it; `before` waited before."""
        self._tell(decision, before)
        self.waiting = decision.waiting
        self.report.scanned += decision.scanned
        self.report.unchanged += decision.unchanged
        self.report.vanished += len(decision.vanished)
        self.report.skipped += decision.skipped
        self.report.unsettled += decision.unsettled
        self.report.failed += decision.failed

    def _tell(self, decision: Decision, before: Mapping[bytes, Waiting]) -> None:
        """Each file once, however often it is met: of thousands nothing is made unless somebody listens."""
        bus, place = self._bus, (self._job, self._source, self._root)
        if bus.wants(FileDiscovered):
            for stat in decision.fetch:
                if not _tried(before.get(stat.path), decision.waiting[stat.path]):
                    bus.emit(FileDiscovered(*place, stat.path, stat.size, stat.mtime_ns))
        if bus.wants(FileSkipped):
            for problem in decision.skipped:
                bus.emit_news(FileSkipped(*place, problem.path, problem.reason))
        for problem in decision.failed:
            if not problem.reason.startswith(UNUSABLE):  # told when its bytes came
                bus.emit_news(FileFailed(*place, problem.path, problem.reason))

    def previewed(self, decision: Decision) -> None:
        """Count what a real run would fetch."""
        self.report.would_store += len(decision.fetch)
        self.report.bytes_to_store += sum(stat.size for stat in decision.fetch)

    def listed(self, size: int, froze: float) -> None:
        """So many bytes came with a list, for which the container was locked for so many seconds."""
        self.report.bytes_listed += size
        self._read(size, (froze,) if froze else ())

    def received(self, size: int, froze: Sequence[float]) -> None:
        """So many bytes came with files; `froze` are the seconds for which each read locked the container."""
        self.report.bytes_received += size
        self._read(size, tuple(froze))

    def _read(self, size: int, froze: tuple[float, ...]) -> None:
        if size or froze:
            self._bus.emit(SourceRead(self._job, self._source, size, froze))

    def stored(self, stored: FileStored) -> None:
        """It is in the library and on record."""
        self.waiting.pop(stored.path, None)
        self.report.stored += 1
        if stored.duplicate:
            self.report.duplicates += 1
        else:
            self.report.bytes_stored += stored.size
        if stored.incomplete:
            self.report.incomplete.append(Problem(stored.path, f"stored, but incomplete: {stored.incomplete}"))
        self._bus.emit(stored)

    def waits(self, stat: FileStat, reason: str, *, fetched: bool) -> None:
        """It is not settled; `fetched` when its bytes were read, and reading them again is of no use."""
        self.report.unsettled.append(Problem(stat.path, reason))
        before = self.waiting.get(stat.path)
        since = before.since_ns if before is not None else self._clock_ns()
        self.waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, since, fetched, reason)

    def failed(self, path: bytes, reason: str) -> None:
        """It should be in the library and is not."""
        self.report.failed.append(Problem(path, reason))
        self._bus.emit(FileFailed(self._job, self._source, self._root, path, reason))

    def unusable(self, stat: FileStat, error: NameUnusable) -> None:
        """Its bytes came, and the library has no name for them: not fetched again for a while."""
        reason = UNUSABLE + error.line()
        self.failed(stat.path, reason)
        self.waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, self._clock_ns(), True, reason)


def _tried(before: Waiting | None, now: Waiting) -> bool:
    """Whether an earlier pass was about to pull the same bytes."""
    if before is None or (before.reason != UNFETCHED and not before.fetched):
        return False
    return (before.size, before.mtime_ns, before.inode) == (now.size, now.mtime_ns, now.inode)
