"""One pass: scan, diff, plan, transfer, commit, for one source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from sidecar.errors import (
    AgentFailed,
    Cancelled,
    ConfigError,
    EngineUnreachable,
    LibraryFull,
    MediaSyncError,
    NameUnusable,
    Refused,
    SourceGone,
)
from sidecar.events import Bus, FileFailed, FileStored
from sidecar.library import Library
from sidecar.manifest import Known, Manifest, NewFile, SourceKey, Waiting
from sidecar.media.kinds import Kind, classify, group_key
from sidecar.models import FileStat, FileType, Problem, Road, Scan, Source, Transfer, shown
from sidecar.progress import ProgressManager
from sidecar.sync.diff import UNUSABLE, Decision, Settling, decide
from sidecar.sync.placing import Placer, folder_of_root
from sidecar.sync.planner import Costs, Limits, plan
from sidecar.sync.report import SyncReport
from sidecar.sync.transfer import CHANGED, Bounds, Fetched, Mover, ending_reason
from sidecar.transports.base import TransportAdapter

ROUNDS = 3  # as planned; then what did not come that way by other roads, file by file where it locks; then once more
# Files of one stream, each an open file until the stream has ended well; fewer for those that streams have failed
# already, because one that cannot be read may spoil the stream of all.
STREAM_FILES = (2000, 50, 1)
FLUSHERS = 8  # parallel fsyncs, so that one journal commit serves many files


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What the operator decided for every pass. `max_freeze` in seconds; a dry run decides and fetches nothing.

    `folder_files` is how many files one read of a folder may leave open until they are committed.
    """

    settling: Settling
    max_freeze: float
    bounds: Bounds = field(default_factory=Bounds)
    dry_run: bool = False
    folder_files: int = 2048


class SyncEngine:
    """Pulls sources into the library. Knows transports by their contract alone."""

    def __init__(self, library: Library, manifest: Manifest, options: SyncOptions, bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self.library = library
        self.manifest = manifest
        self.options = options
        self.bus = bus
        self.clock_ns = clock_ns

    async def run(self, job: str, source: Source, adapter: TransportAdapter, progress: ProgressManager) -> SyncReport:
        """One pass over all roots of a source.

        What went wrong with single files, or with the source as a whole, is in the report; errors of the library and
        the manifest are raised, for they concern every source.
        """
        roots = ";".join(root.decode("utf-8", "backslashreplace") for root in source.roots)
        report = SyncReport(source.name, source.container, roots, source.transport)
        started = time.monotonic()
        try:
            self.library.check_marker()
            key = await asyncio.to_thread(self._key, source)
            for number in range(len(source.roots)):
                await _RootPass(self, job, key, source, number, adapter, progress, report).run()
        except (Refused, LibraryFull, Cancelled):
            raise
        except MediaSyncError as error:
            report.error = error
        report.seconds = time.monotonic() - started
        return report

    def _key(self, source: Source) -> SourceKey:
        if self.options.dry_run:
            return self.manifest.look_up(source)
        return self.manifest.enter(source, self.clock_ns())


class _RootPass:
    """The state of one pass over one root."""

    def __init__(self, engine: SyncEngine, job: str, key: SourceKey, source: Source, number: int,
                 adapter: TransportAdapter, progress: ProgressManager, report: SyncReport) -> None:  # fmt: skip
        self._engine = engine
        self._job = job
        self._key = key
        self._source = source
        self._root = source.roots[number]
        self._adapter = adapter
        self._progress = progress
        self._report = report
        self._must_end: dict[bytes, bool] = {}
        self._waiting: dict[bytes, Waiting] = {}
        self._loop = asyncio.get_running_loop()
        self._flushers: ThreadPoolExecutor
        self._placer = Placer(engine.library, engine.manifest, source.name, folder_of_root(source.roots, number))

    async def run(self) -> None:
        manifest = self._engine.manifest
        scan = await self._adapter.scan(self._root)
        self._require_apart(scan)
        known, waiting = await asyncio.to_thread(lambda: (manifest.known(self._key, self._root),
                                                          manifest.waiting(self._key, self._root)))  # fmt: skip
        decision = await asyncio.to_thread(decide, scan, known, waiting, self._key.generation_id, self._source.rules,
                                           self._engine.options.settling)  # fmt: skip
        self._report.bytes_listed += scan.received
        self._count(decision)
        self._waiting = decision.waiting
        if self._engine.options.dry_run:
            self._report.would_store += len(decision.fetch)
            self._report.bytes_to_store += sum(stat.size for stat in decision.fetch)
            return
        if decision.moved_on or decision.vanished:
            now = self._engine.clock_ns()
            await asyncio.to_thread(manifest.confirm, self._key, decision.moved_on, now, decision.vanished)
        try:
            if decision.fetch:
                await self._fetch(scan, known, decision)
        finally:
            if self._waiting != waiting:
                await asyncio.to_thread(manifest.set_waiting, self._key, self._root, self._waiting)

    def _require_apart(self, scan: Scan) -> None:
        """A library inside the folder that is pulled would be pulled into itself, deeper with every pass."""
        try:
            own = self._engine.library.inode_of()
        except OSError:  # a dry run before there is a library
            return
        for entry in scan.entries:
            if entry.type is FileType.DIRECTORY and (entry.device, entry.inode) == own:
                where = f"{shown(self._root)}/{shown(entry.path)}".rstrip("/")
                raise ConfigError(f"the library lies inside this source's folder, at {where}",
                                  hint="choose a library elsewhere")  # fmt: skip

    def _count(self, decision: Decision) -> None:
        report = self._report
        report.scanned += decision.scanned
        report.unchanged += decision.unchanged
        report.vanished += len(decision.vanished)
        report.skipped += decision.skipped
        report.unsettled += decision.unsettled
        report.failed += decision.failed

    async def _fetch(self, scan: Scan, known: dict[bytes, Known], decision: Decision) -> None:
        """Transfer in rounds until every file came, or is listed with the reason why it did not."""
        self._must_end = {stat.path: must for stat, must in decision.fetch.items()}
        self._placer.recall(known, self._must_end)
        left = sorted(decision.fetch, key=_companions_last)
        self._progress.expect(len(left), sum(stat.size for stat in left))
        options = self._engine.options
        mover = Mover(
            self._adapter, self._engine.library, self._source.name, self._root, options.bounds, self._progress
        )
        reasons: dict[bytes, str] = {}
        tried: dict[bytes, list[Road]] = {stat.path: [] for stat in left}
        with ThreadPoolExecutor(FLUSHERS, "flush") as self._flushers:
            for _ in range(ROUNDS):
                transfers = self._plan(left, scan, tried)
                try:
                    moved = await mover.run(transfers, self._commit)
                except (SourceGone, AgentFailed, EngineUnreachable) as error:
                    self._give_up([stat for stat in left if stat.path in self._waiting], {}, str(error))
                    raise
                self._report.bytes_received += moved.received
                for road, count in moved.roads.items():
                    self._report.road[road] += count
                reasons |= moved.broken | {p.path: p.reason for p in moved.failed}
                for transfer in transfers:
                    for stat in transfer.files:
                        tried[stat.path].append(transfer.road)
                left = [stat for stat in left if stat.path not in moved.delivered]
                if moved.lost is not None:
                    self._give_up(left, {}, str(moved.lost))
                    raise moved.lost
                if not left:
                    return
        await self._give_up_present(left, reasons)

    def _plan(self, files: Sequence[FileStat], scan: Scan, tried: dict[bytes, list[Road]]) -> list[Transfer]:
        """The next round: each file by a road that did not fail it yet, while there is one."""
        able = self._adapter.capabilities
        options = self._engine.options
        freeze = options.max_freeze if able.reads_lock else float("inf")
        alike: dict[tuple[frozenset[Road], int], list[FileStat]] = {}
        for stat in files:
            before = tried[stat.path]
            again = able.roads - {Road.FOLDER} if before else able.roads
            roads = again - set(before) or again or able.roads
            alike.setdefault((roads, before.count(Road.STREAM)), []).append(stat)
        entries = [e for e in scan.entries if e.type is FileType.FILE]
        transfers: list[Transfer] = []
        for (roads, streams), some in alike.items():
            limits = Limits(freeze, options.folder_files,
                            stream_files=min(STREAM_FILES[streams], options.folder_files))  # fmt: skip
            transfers += plan(some, entries, roads, Costs(), limits)
        return transfers

    async def _give_up_present(self, left: Sequence[FileStat], reasons: dict[bytes, str]) -> None:
        """What did not come failed, unless it is not there any more: people delete pictures."""
        try:
            there = await self._adapter.restat(self._root, [stat.path for stat in left])
        except MediaSyncError:
            self._give_up(left, reasons, "it did not come")
            raise
        self._give_up([stat for stat in left if stat.path in there], reasons, "it did not come")
        for stat in left:
            if stat.path not in there:
                self._wait(stat, "vanished before it was read", fetched=False)

    def _give_up(self, left: Sequence[FileStat], reasons: dict[bytes, str], otherwise: str) -> None:
        for stat in left:
            reason = reasons.get(stat.path, otherwise)
            if reason == CHANGED:
                self._wait(stat, reason, fetched=False)
            else:
                self._fail(stat.path, reason)

    def _fail(self, path: bytes, reason: str) -> None:
        self._report.failed.append(Problem(path, reason))
        self._engine.bus.emit(FileFailed(self._job, self._source.name, path, reason))

    def _unusable(self, stat: FileStat, error: NameUnusable) -> None:
        reason = UNUSABLE + error.line()
        self._fail(stat.path, reason)
        now = self._engine.clock_ns()
        self._waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, now, True, reason)

    def _wait(self, stat: FileStat, reason: str, *, fetched: bool) -> None:
        self._report.unsettled.append(Problem(stat.path, reason))
        before = self._waiting.get(stat.path)
        since = before.since_ns if before is not None else self._engine.clock_ns()
        self._waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, since, fetched, reason)

    # -- in the committer's thread ----------------------------------------------------------------------------------

    def _commit(self, group: list[Fetched]) -> None:
        """Prove a group once more against the source, publish it, record it."""
        asked = self._adapter.restat(self._root, [f.stat.path for f in group])
        now = asyncio.run_coroutine_threadsafe(asked, self._loop).result()
        good = [better for f in group if (better := self._proven(f, now.get(f.stat.path))) is not None]
        if not good:
            return
        library, manifest = self._engine.library, self._engine.manifest
        library.flush([f.staged for f in good], self._flushers)
        good.sort(key=lambda f: _companions_last(f.stat))  # an archive brings `a.json` before `a.png`
        files: list[NewFile] = []
        events: list[FileStored] = []
        for f in good:
            try:
                placed, duplicate = self._placer.place(f)
            except NameUnusable as error:
                self._unusable(f.stat, error)
                continue
            missing = self._missing(f)
            files.append(NewFile(f.stat, f.sha256, placed.path, classify(f.stat.path).kind.value, missing))
            events.append(FileStored(self._job, self._source.name, f.stat.path, placed.path, f.sha256, f.stat.size,
                                     duplicate, missing))  # fmt: skip
        library.flush_folders()
        manifest.record(self._key, self._root, files, self._engine.clock_ns())
        self._placer.group_done()
        for event in events:
            self._tell(event)

    def _tell(self, event: FileStored) -> None:
        self._waiting.pop(event.path, None)
        self._report.stored += 1
        if event.duplicate:
            self._report.duplicates += 1
        else:
            self._report.bytes_stored += event.size
        if event.incomplete:
            self._report.incomplete.append(Problem(event.path, f"stored, but incomplete: {event.incomplete}"))
        self._engine.bus.emit(event)

    def _proven(self, f: Fetched, now: FileStat | None) -> Fetched | None:
        """The file, if it may be stored: same stat as scanned, and its format's end where that is still owed."""
        missing = self._missing(f)
        if now is None and missing is not None:
            self._wait(f.stat, "vanished while it was read", fetched=False)
            return None
        if now is not None and not f.stat.same_as(now):
            self._wait(f.stat, CHANGED, fetched=False)
            return None
        if missing is not None and self._must_end[f.stat.path]:
            self._wait(f.stat, missing, fetched=True)
            return None
        if now is not None and now.exact and not f.stat.exact:
            f.staged.stamp(now.mtime_ns)
            f.stat = replace(f.stat, mtime_ns=now.mtime_ns, exact=True)
        return f

    @staticmethod
    def _missing(f: Fetched) -> str | None:
        """What a file lacks. Text companions have no end to show, and are written in one go."""
        if classify(f.stat.path).kind is Kind.TEXT:
            return None
        return ending_reason(f.ending)


def _companions_last(stat: FileStat) -> tuple[bytes, bool, bytes]:
    """Files of one stem side by side, the picture before its text, so that the text can follow its name."""
    return group_key(stat.path), classify(stat.path).kind is Kind.TEXT, stat.path
