"""Deletes proven, old originals: `plan` decides and changes nothing, `execute` carries one plan out, once."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from sidecar.cleanup.clock import ClockWatch
from sidecar.cleanup.plan import Candidate, PurgePlan, PurgeRules, RootPlan, day_begun, limit, plan_root
from sidecar.cleanup.proofs import Prover, batches
from sidecar.cleanup.report import PurgeReport
from sidecar.cleanup.settle import Settler
from sidecar.errors import MediaSyncError
from sidecar.events import Bus, FileKept, FilePurged
from sidecar.library import Library
from sidecar.manifest import Ended, Manifest
from sidecar.media.kinds import is_dated_folder
from sidecar.models import FileStat, PurgeItem, PurgeOutcome, PurgeResult, Source
from sidecar.progress import ProgressManager, by_folder
from sidecar.transports.base import TransportAdapter

NOT_REACHED = "not reached"
_INODE_BITS = (1 << 63) - 1  # of an inode number, what a scan keeps


class CleanupEngine:
    """Purges sources. An original goes only after its copy proved itself again, and only if it proves itself, too."""

    def __init__(self, library: Library, manifest: Manifest, rules: PurgeRules, bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self.library = library
        self.manifest = manifest
        self.rules = rules
        self.bus = bus
        self.clock_ns = clock_ns

    async def plan(self, source: Source, adapter: TransportAdapter) -> PurgePlan:
        """Scan the source and decide over every file. Changes nothing anywhere."""
        key = await asyncio.to_thread(self.manifest.look_up, source)
        roots: list[RootPlan] = []
        for root in source.roots:
            scan = await adapter.scan(root)
            known = await asyncio.to_thread(self.manifest.known, key, root)
            lacking = await asyncio.to_thread(self.manifest.deliveries.lacking, self.rules.required,
                                              [record.file_id for record in known.values()])  # fmt: skip
            # in a thread, both: a second for 200,000 files, in which nobody would hear that the program is to stop
            roots.append(await asyncio.to_thread(plan_root, scan, known, key.generation_id, source.rules, self.rules,
                                                 self.clock_ns(), lacking))  # fmt: skip
        refused = await asyncio.to_thread(self._refusal, source, adapter, roots)
        return PurgePlan(source.name, tuple(roots), refused)

    def _refusal(self, source: Source, adapter: TransportAdapter, roots: Sequence[RootPlan]) -> str | None:
        if not source.rules.purge:
            return "purge is switched off for this source"
        if not adapter.capabilities.purge:
            return adapter.capabilities.why_not_purge
        if jumped := ClockWatch(self.manifest).refusal(source.rules.older_than_ns):
            return jumped
        for root in roots:
            if root.refused:
                return root.refused
            if any(self._is_own_copy(c) for c in root.candidates):
                return "the library lies inside the source's folder: its files are the copies themselves"
        return None

    def _is_own_copy(self, candidate: Candidate) -> bool:
        """Whether original and copy are one file (device and inode), so that deleting one deletes both."""
        stat = candidate.stat
        if stat.inode < 0 or stat.device < 0:
            return False
        try:
            device, inode = self.library.inode_of(candidate.library_path)
            return (device, inode & _INODE_BITS) == (stat.device, stat.inode)
        except OSError:
            return False

    def limit(self, plans: Sequence[PurgePlan]) -> None:
        """Refuse all plans of one run when together they would delete more than the rules allow."""
        limit(plans, self.rules)

    def preview(self, plan: PurgePlan) -> PurgeReport:
        """The report of a dry run: exactly this plan."""
        report = PurgeReport(plan.source, plan.candidates, bytes_to_free=plan.size, refused=plan.refused)
        for root in plan.roots:
            report.files += [(c.stat.path, "would purge", "") for c in root.candidates]
            for path, reason in root.kept:
                report.keep(path, reason)
        return report

    async def execute(self, job: str, plan: PurgePlan, source: Source, adapter: TransportAdapter,
                      progress: ProgressManager) -> PurgeReport:  # fmt: skip
        """Carry out a plan. Raises ValueError when it was executed before.

        What cut it short, if anything, is `error` of the report, and in it every file has its outcome all the same.
        """
        if plan.used:
            raise ValueError("a purge plan is executed once")
        plan.used = True
        report = PurgeReport(plan.source, plan.candidates, bytes_to_free=plan.size, refused=plan.refused)
        started = time.monotonic()
        for root in plan.roots:
            for path, reason in root.kept:
                report.keep(path, reason)
        if plan.refused is None and plan.candidates:
            folders = by_folder((c.stat.path, c.stat.size) for root in plan.roots for c in root.candidates)
            progress.expect(plan.candidates, plan.size, plan.source, folders, kind="purge")
            purges = [_RootPurge(self, job, source, root, adapter, report, progress) for root in plan.roots]
            try:
                for purge in purges:
                    await purge.run()
            except MediaSyncError as error:
                report.cut_short(error)
                for purge in purges:
                    purge.account()
            finally:
                progress.finish(plan.source)
        report.seconds = time.monotonic() - started
        return report

    def pass_over(self, plan: PurgePlan, error: MediaSyncError) -> PurgeReport:
        """The report of a plan that is not begun, because of what cut another one of the same run short."""
        report = PurgeReport(plan.source, plan.candidates, bytes_to_free=plan.size, refused=plan.refused)
        for root in plan.roots:
            for path, reason in (*root.kept, *((c.stat.path, NOT_REACHED) for c in root.candidates)):
                report.keep(path, reason)
        report.cut_short(error)
        return report

    async def settle(self, job: str, source: Source, adapter: TransportAdapter) -> int:
        """Finish what an interrupted purge left: files under private names come back. Answers how many intents."""
        if not adapter.capabilities.purge:
            return 0
        return await Settler(self.manifest, self.bus, job, source, adapter, self.clock_ns).run()


class _RootPurge:
    """The state of executing one root's part of a plan."""

    def __init__(self, engine: CleanupEngine, job: str, source: Source, plan: RootPlan, adapter: TransportAdapter,
                 report: PurgeReport, progress: ProgressManager) -> None:  # fmt: skip
        self._engine = engine
        self._job = job
        self._source = source
        self._plan = plan
        self._adapter = adapter
        self._report = report
        self._progress = progress
        self._ended: list[Ended] = []  # what is not recorded yet
        self._unshown: list[FileStat] = []
        self._open = {c.stat.path for c in plan.candidates}  # without an outcome
        self._by_path: dict[bytes, Candidate] = {}  # those of them whose intent is recorded
        self._touched: set[bytes] = set()

    async def run(self) -> None:
        by_owner: dict[tuple[int, int], list[Candidate]] = defaultdict(list)
        # by folder: a shell agent changes into each one, which costs it processes
        for candidate in sorted(self._plan.candidates, key=lambda c: c.stat.path):
            by_owner[candidate.owner].append(candidate)
        key = await asyncio.to_thread(self._engine.manifest.enter, self._source, self._engine.clock_ns())
        prover = Prover(self._engine.library, self._engine.manifest, key, self._job, self._engine.clock_ns,
                        self._engine.rules.required)  # fmt: skip
        try:
            for owner, candidates in by_owner.items():
                try:
                    proven = self._batches(candidates, owner, prover)
                    async for result in self._adapter.purge(self._plan.root, proven, owner):
                        self._take(result)
                finally:
                    self._show()
                    self._conclude()
                if self._engine.rules.remove_empty_dated:
                    await self._remove_empty(owner)
        finally:
            await prover.close()

    async def _batches(self, candidates: Sequence[Candidate], owner: tuple[int, int], prover: Prover
                       ) -> AsyncIterator[Sequence[PurgeItem]]:  # fmt: skip
        """Hand over what is proven and intended; meanwhile the next batch is, and what became of the last is recorded.

        That the library is where it was is looked at once more for each batch, right before it goes.
        """
        waiting = batches(candidates)
        some = next(waiting, None)
        coming = prover.begin(some, owner, ()) if some else None
        recorded = 0
        while coming is not None:
            ready = await asyncio.wrap_future(coming)
            del self._ended[:recorded]
            for candidate, reason in ready.doubtful:
                self._keep(candidate, reason)
                self._report.failed += 1
            for candidate, reason in ready.early:
                self._keep(candidate, reason)
            self._engine.library.check_marker()
            some, recorded = next(waiting, None), len(self._ended)
            coming = prover.begin(some, owner, tuple(self._ended)) if some else None
            if ready.items:
                self._by_path = {c.stat.path: c for c in ready.sound}
                yield ready.items
                self._show()

    def _take(self, result: PurgeResult) -> None:
        candidate = self._by_path.pop(result.item.path)
        self._open.discard(result.item.path)
        self._ended.append((candidate.file_id, result.outcome, result.detail))
        self._unshown.append(candidate.stat)
        if result.outcome is PurgeOutcome.PURGED:
            self._report.purged += 1
            self._report.bytes_freed += candidate.stat.size
            self._report.files.append((candidate.stat.path, "purged", ""))
            self._touched.add(candidate.stat.path.rpartition(b"/")[0])
            self._engine.bus.emit(
                FilePurged(self._job, self._report.name, self._plan.root, candidate.stat.path, candidate.stat.size)
            )
        elif result.outcome in (PurgeOutcome.CHANGED, PurgeOutcome.GONE):
            self._keep(candidate, _REASONS[result.outcome])
        else:
            self._fail(candidate, _REASONS[result.outcome] + (f": {result.detail}" if result.detail else ""))

    def _show(self) -> None:
        """Count what a batch's answer told of, which came all at once; by name only the last of it is seen."""
        some, self._unshown = self._unshown, []
        if not some:
            return
        last = some.pop()
        for where, (files, size) in by_folder((stat.path, stat.size) for stat in some).items():
            self._progress.advance(files=files, size=size, source=self._report.name, folder=where)
        self._progress.begin(self._report.name, last.path, last.size, come=True).done()

    def account(self) -> None:
        """After an error: those that nobody told of get an outcome, too."""
        for path in sorted(self._open):
            if path in self._by_path:
                self._report.fail(path, "unknown", "settled by the next run")
            else:
                self._report.keep(path, NOT_REACHED)

    def _keep(self, candidate: Candidate, reason: str) -> None:
        self._open.discard(candidate.stat.path)
        self._report.keep(candidate.stat.path, reason)
        self._tell_kept(candidate, reason)

    def _fail(self, candidate: Candidate, reason: str) -> None:
        self._report.fail(candidate.stat.path, "failed", reason)
        self._tell_kept(candidate, reason)

    def _tell_kept(self, candidate: Candidate, reason: str) -> None:
        self._engine.bus.emit(FileKept(self._job, self._report.name, self._plan.root, candidate.stat.path, reason))

    def _conclude(self) -> None:
        """Record the outcomes that no later batch took with it; to say one twice does no harm."""
        if self._ended:
            self._engine.manifest.conclude(self._job, self._ended, self._engine.clock_ns())
            self._ended = []

    async def _remove_empty(self, owner: tuple[int, int]) -> None:
        today = day_begun(self._engine.clock_ns())
        folders = {above for folder in self._touched for above in _upwards(folder)
                   if (date := is_dated_folder(above)) is not None and date < today}  # fmt: skip
        if folders:
            gone = await self._adapter.remove_empty(self._plan.root, sorted(folders), owner)
            self._report.folders_removed += len(gone)


_REASONS = {
    PurgeOutcome.CHANGED: "changed at the last moment",
    PurgeOutcome.GONE: "was gone already",
    PurgeOutcome.DENIED: "permission denied",
    PurgeOutcome.STRANDED: "changed, and its name was taken meanwhile: kept under a hidden name",
    PurgeOutcome.FAILED: "could not be deleted",
}


def _upwards(folder: bytes) -> Iterator[bytes]:
    """A folder and those above it, below the root."""
    while folder:
        yield folder
        folder = folder.rpartition(b"/")[0]
