"""What became of each file of a root: the report's counts, what waits for the next pass, and events of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.errors import NameUnusable
from sidecar.events import Bus, FileFailed, FileStored, SourceRead
from sidecar.manifest import Waiting
from sidecar.models import FileStat, Problem
from sidecar.sync.diff import UNUSABLE, Decision
from sidecar.sync.report import SyncReport


class Account:
    """Every file that was asked for ends here once: stored, waiting, or failed with a reason.

    `waiting` is what the manifest should keep as not settled when the pass is over, by path.
    """

    def __init__(self, job: str, source: str, report: SyncReport, bus: Bus, clock_ns: Callable[[], int]) -> None:
        self.report = report
        self.waiting: dict[bytes, Waiting] = {}
        self._job = job
        self._source = source
        self._bus = bus
        self._clock_ns = clock_ns

    def decided(self, decision: Decision) -> None:
        """Count what a scan came to, before anything is fetched."""
        self.waiting = decision.waiting
        self.report.scanned += decision.scanned
        self.report.unchanged += decision.unchanged
        self.report.vanished += len(decision.vanished)
        self.report.skipped += decision.skipped
        self.report.unsettled += decision.unsettled
        self.report.failed += decision.failed

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
        self._bus.emit(FileFailed(self._job, self._source, path, reason))

    def unusable(self, stat: FileStat, error: NameUnusable) -> None:
        """Its bytes came, and the library has no name for them: not fetched again for a while."""
        reason = UNUSABLE + error.line()
        self.failed(stat.path, reason)
        self.waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, self._clock_ns(), True, reason)
