"""Jobs: which sources, in which order, and what came of it, for people, machines and the manifest."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from sidecar.cleanup.clock import ClockWatch
from sidecar.cleanup.engine import CleanupEngine
from sidecar.cleanup.plan import PurgePlan, PurgeRules
from sidecar.cleanup.report import PurgeReport
from sidecar.config import Percent, Settings, near
from sidecar.errors import (
    Cancelled,
    ConfigError,
    LibraryFull,
    ManifestDamaged,
    MediaSyncError,
    Refused,
    UnknownSource,
)
from sidecar.events import Bus
from sidecar.library import Library
from sidecar.logs import size
from sidecar.manifest import Manifest
from sidecar.media.kinds import Kind
from sidecar.models import NS, LeftOut, Source
from sidecar.progress import ProgressManager
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.engine import SyncEngine
from sidecar.sync.groups import Bounds
from sidecar.sync.report import SyncReport
from sidecar.transports.base import Discovery, SourceProvider, TransportAdapter

_KINDS = {"images": Kind.IMAGE, "video": Kind.VIDEO, "audio": Kind.AUDIO, "companions": Kind.TEXT}


@dataclass(slots=True)
class JobReport:
    """What one job did, source by source."""

    job: str
    action: str
    sync: list[SyncReport] = field(default_factory=list)
    purge: list[PurgeReport] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is done."""
        return all(r.ok for r in self.sync) and all(r.ok for r in self.purge)

    def errors(self) -> list[tuple[str, MediaSyncError]]:
        """Sources that could not be worked on as a whole, and why."""
        found = [(r.name, r.error) for r in self.sync] + [(r.name, r.error) for r in self.purge]
        return [(name, error) for name, error in found if error is not None]

    def as_json(self) -> dict[str, Any]:
        """`sync` and `purge` print `sources`; `run` prints both under their names."""
        head: dict[str, Any] = {"job": self.job, "ok": self.ok}
        if self.dry_run:
            head["dry_run"] = True
        sync = [r.as_json() for r in self.sync]
        purge = [r.as_json() for r in self.purge]
        if self.action == "sync":
            return head | {"sources": sync}
        if self.action == "purge":
            return head | {"sources": purge}
        return head | {"sync": sync, "purge": purge}


@dataclass(frozen=True, slots=True)
class _Chosen:
    sources: tuple[tuple[Source, SourceProvider], ...]
    faulty: tuple[LeftOut, ...] = ()
    named: frozenset[str] = frozenset()


class SyncOrchestrator:
    """Runs jobs over the sources of all providers. Owns none of what it is given."""

    def __init__(self, settings: Settings, providers: Sequence[SourceProvider], library: Library, manifest: Manifest,
                 bus: Bus, clock_ns: Callable[[], int] = time.time_ns, open_files: int = 8192) -> None:  # fmt: skip
        self._settings = settings
        self._providers = providers
        self._library = library
        self._manifest = manifest
        self._bus = bus
        self._clock_ns = clock_ns
        self._open_files = open_files

    async def sync(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                   cause: str = "command") -> JobReport:  # fmt: skip
        """Pull the named sources, or all. Raises EngineUnreachable, Refused; the rest is in the report."""
        async with self._job("sync", cause, dry_run) as report:
            chosen = await self._choose(names, report)
            report.sync = [_not_pulled(left) for left in chosen.faulty]
            _log_left_out(chosen.faulty)
            await self._sync(report, chosen, progress)
        return report

    async def purge(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                    allow_empty: bool = False, cause: str = "command") -> JobReport:  # fmt: skip
        """Purge the named sources, or all."""
        async with self._job("purge", cause, dry_run) as report:
            chosen = await self._choose(names, report)
            report.purge = [_not_purged(left) for left in chosen.faulty]
            _log_left_out(chosen.faulty)
            await self._purge(report, chosen, progress, allow_empty=allow_empty)
        return report

    async def run(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                  allow_empty: bool = False, cause: str = "command") -> JobReport:  # fmt: skip
        """Sync, then purge where that is enabled and possible. In a dry run the purge knows of nothing new."""
        async with self._job("run", cause, dry_run) as report:
            chosen = await self._choose(names, report)
            report.sync = [_not_pulled(left) for left in chosen.faulty]
            _log_left_out(chosen.faulty)
            await self._sync(report, chosen, progress)
            if self._settings.purge.enabled:
                pulled = {r.name for r in report.sync if r.error is None}
                some = tuple((s, p) for s, p in chosen.sources if s.name in pulled and s.rules.purge)
                await self._purge(report, _Chosen(some), progress, allow_empty=allow_empty, willing=True)
        return report

    # -- choosing ---------------------------------------------------------------------------------------------------

    async def _choose(self, names: Sequence[str], report: JobReport) -> _Chosen:
        found = [(await provider.discover(), provider) for provider in self._providers]
        sources = [(source, provider) for discovery, provider in found for source in discovery.sources]
        faulty = [left for discovery, _ in found for left in discovery.left_out if left.faulty]
        report.warnings = tuple(w for discovery, _ in found for w in discovery.warnings)
        for warning in report.warnings:
            logger.warning(warning)
        if names:
            known = {s.name for s, _ in sources} | {left.name for left in faulty}
            for name in names:
                if name.lower() not in known:
                    hint = near(name, sorted(known)) or _hint_for(name, [d for d, _ in found], known)
                    raise UnknownSource(f"there is no source {name}", hint=hint)
            wanted = {name.lower() for name in names}
            sources = [(s, p) for s, p in sources if s.name in wanted]
            faulty = [left for left in faulty if left.name in wanted]
        if not sources and not faulty:
            raise ConfigError("there is no source to work on",
                              hint="label a container media-sync.enable=true, or give --source NAME=CONTAINER; "
                                   "`media-sync sources` shows what was looked at")  # fmt: skip
        return _Chosen(tuple(sources), tuple(faulty), frozenset(name.lower() for name in names))

    # -- doing ------------------------------------------------------------------------------------------------------

    async def _sync(self, report: JobReport, chosen: _Chosen, progress: ProgressManager) -> None:
        options = sync_options(self._settings, dry_run=report.dry_run, open_files=self._open_files)
        engine = SyncEngine(self._library, self._manifest, options, self._bus, self._clock_ns)
        for source, provider in chosen.sources:
            with logger.contextualize(source=source.name):
                async with _reached(provider, source) as (adapter, error):
                    if adapter is None:
                        done = SyncReport(source.name, source.container, "", source.transport, error=error)
                    else:
                        if not report.dry_run:
                            await self._settle(report.job, source, adapter)
                        done = await engine.run(report.job, source, adapter, progress)
                report.sync.append(done)
                _log_sync(done)

    async def _purge(self, report: JobReport, chosen: _Chosen, progress: ProgressManager, *, allow_empty: bool,
                     willing: bool = False) -> None:  # fmt: skip
        """Plan for all sources before the first file goes, because `purge.max_delete` is about the whole run.

        `willing`: a source that cannot be purged now is passed over, for nobody asked for it by name.
        """
        engine = self._cleanup(allow_empty=allow_empty)
        async with AsyncExitStack() as stack:
            planned: list[tuple[Source, TransportAdapter, PurgePlan] | PurgeReport] = []
            for source, provider in chosen.sources:
                with logger.contextualize(source=source.name):
                    adapter, error = await stack.enter_async_context(_reached(provider, source))
                    if adapter is None:
                        planned.append(PurgeReport(source.name, error=error))
                    elif not willing or await self._can_be_purged(adapter):
                        plan = await self._plan_one(report, engine, source, adapter)
                        planned.append(plan if isinstance(plan, PurgeReport) else (source, adapter, plan))
            engine.limit([one[2] for one in planned if isinstance(one, tuple)])
            stopped: MediaSyncError | None = None
            for one in planned:
                name = one.name if isinstance(one, PurgeReport) else one[0].name
                with logger.contextualize(source=name):
                    done = await self._carry_out(report, engine, one, progress, stopped)
                    others = len(planned) > 1 and name not in chosen.named
                    done.declined = others and isinstance(one, tuple) and not one[0].rules.purge
                    report.purge.append(done)
                    _log_purge(done, dry_run=report.dry_run)
                if isinstance(done.error, ManifestDamaged):
                    raise done.error
                if done.error is not None and _concerns_all(done.error):
                    stopped = done.error

    @staticmethod
    async def _can_be_purged(adapter: TransportAdapter) -> bool:
        try:
            able = await adapter.prepare()
        except MediaSyncError as error:
            logger.debug("not purged: {}", error.line())
            return False
        if not able.purge:
            logger.debug("not purged: {}", able.why_not_purge)
        return able.purge

    @staticmethod
    async def _carry_out(report: JobReport, engine: CleanupEngine,
                         one: tuple[Source, TransportAdapter, PurgePlan] | PurgeReport, progress: ProgressManager,
                         stopped: MediaSyncError | None) -> PurgeReport:  # fmt: skip
        if isinstance(one, PurgeReport):
            return one
        source, adapter, plan = one
        if stopped is not None:
            return engine.pass_over(plan, stopped)
        if report.dry_run:
            return engine.preview(plan)
        return await engine.execute(report.job, plan, source, adapter, progress)

    async def _plan_one(self, report: JobReport, engine: CleanupEngine, source: Source, adapter: TransportAdapter
                        ) -> PurgePlan | PurgeReport:  # fmt: skip
        try:
            if not report.dry_run:
                await self._settle(report.job, source, adapter)
            return await engine.plan(source, adapter)
        except MediaSyncError as error:
            if _concerns_all(error):
                raise
            return PurgeReport(source.name, error=error)

    async def _settle(self, job: str, source: Source, adapter: TransportAdapter) -> None:
        """What a killed purge left hidden comes back before anybody looks at the folder."""
        try:
            await adapter.prepare()
            count = await self._cleanup(allow_empty=False).settle(job, source, adapter)
        except MediaSyncError as error:
            if _concerns_all(error):
                raise
            logger.warning("an interrupted purge could not be settled: {}", error.line())
            return
        if count:
            logger.info("settled {} originals of an interrupted purge", count)

    def _cleanup(self, *, allow_empty: bool) -> CleanupEngine:
        rules = purge_rules(self._settings, allow_empty=allow_empty)
        return CleanupEngine(self._library, self._manifest, rules, self._bus, self._clock_ns)

    @asynccontextmanager
    async def _job(self, action: str, cause: str, dry_run: bool) -> AsyncIterator[JobReport]:
        report = JobReport(uuid.uuid4().hex[:12], action, dry_run=dry_run)
        with logger.contextualize(job=report.job):
            if not dry_run:
                await asyncio.to_thread(self._manifest.start_job, report.job, action, cause, self._clock_ns())
                await asyncio.to_thread(ClockWatch(self._manifest).look)
            problem = ""
            try:
                yield report
            except MediaSyncError as error:
                problem = error.line()
                raise
            except asyncio.CancelledError:
                problem = "cancelled"
                raise
            except BaseException as error:
                problem = f"unexpected {type(error).__name__}: {error}"
                raise
            finally:
                if not dry_run:  # not awaited: a cancelled job is recorded, too
                    summary = json.dumps(_summary(report, problem))
                    self._manifest.end_job(report.job, report.ok and not problem, summary, self._clock_ns())


@asynccontextmanager
async def _reached(provider: SourceProvider, source: Source
                   ) -> AsyncIterator[tuple[TransportAdapter | None, MediaSyncError | None]]:  # fmt: skip
    try:
        adapter = await provider.adapter(source)
    except MediaSyncError as error:
        yield None, error
        return
    try:
        yield adapter, None
    finally:
        await adapter.close()


def sync_options(settings: Settings, *, dry_run: bool, open_files: int = 8192) -> SyncOptions:
    """The sync engine's options from the settings; `open_files` is how many this process may have open."""
    s = settings.sync
    share = max(16, open_files - 200) // 2  # half for files of open reads, half for groups that wait for their commit
    bounds = Bounds(s.parallel, min(s.group_files, max(1, share // (s.parallel + 3))), s.group_bytes)
    settling = Settling(s.settle, s.settle_incomplete)
    folder_files = min(2048, max(1, share // (s.parallel + 1)))
    return SyncOptions(settling, s.max_freeze / NS, bounds, dry_run, folder_files, s.full_scan_every)


def purge_rules(settings: Settings, *, allow_empty: bool) -> PurgeRules:
    """The cleanup engine's rules from the settings."""
    p = settings.purge
    percent = p.max_delete.value if isinstance(p.max_delete, Percent) else None
    count = p.max_delete if isinstance(p.max_delete, int) else None
    return PurgeRules(
        min_stored_ns=p.min_stored,
        keep_newest=p.keep_newest,
        max_count=count,
        max_percent=percent,
        kinds=frozenset(_KINDS[t] for t in p.types),
        remove_empty_dated=p.remove_empty_dated,
        allow_empty=allow_empty,
    )


def _concerns_all(error: MediaSyncError) -> bool:

    return isinstance(error, Refused | LibraryFull | Cancelled)


def _not_pulled(left: LeftOut) -> SyncReport:
    return SyncReport(left.name, left.container, "", "docker", error=ConfigError(left.reason, hint=left.hint))


def _not_purged(left: LeftOut) -> PurgeReport:
    return PurgeReport(left.name, error=ConfigError(left.reason, hint=left.hint))


def _hint_for(name: str, discoveries: Iterable[Discovery], known: set[str]) -> str:
    for discovery in discoveries:
        for left in discovery.left_out:
            if left.name == name.lower():
                return f"{left.reason}; {left.hint}" if left.hint else left.reason
    return f"there are {', '.join(sorted(known))}" if known else "`media-sync sources` shows what was looked at"


def _summary(report: JobReport, problem: str) -> dict[str, Any]:
    """What the manifest keeps of a job: counts, and the first reasons."""
    return {
        "problem": problem,
        "stored": sum(r.stored for r in report.sync),
        "failed": sum(len(r.failed) for r in report.sync) + sum(r.failed for r in report.purge),
        "purged": sum(r.purged for r in report.purge),
        "bytes_freed": sum(r.bytes_freed for r in report.purge),
        "errors": [f"{name}: {error.line()}" for name, error in report.errors()][:10],
        "refused": [f"{r.name}: {r.refused}" for r in report.purge if r.refused][:10],
    }


def _log_left_out(faulty: Iterable[LeftOut]) -> None:
    for left in faulty:
        where = f"container {left.container}: " if left.container and left.container not in left.reason else ""
        hint = f" — {left.hint}" if left.hint else ""
        logger.bind(source=left.name).error("{}{}{}", where, left.reason, hint)


def _log_sync(report: SyncReport) -> None:
    if report.error is not None:
        logger.error("not pulled: {}", report.error.line())
        return
    for problem in report.failed[:100]:
        logger.bind(file=problem.path).warning("not stored: {}", problem.reason)
    level = "INFO" if report.stored or report.failed or report.incomplete else "DEBUG"
    logger.bind(stored=report.stored, bytes=report.bytes_stored, failed=len(report.failed)).log(
        level, "synced: {} stored, {} unchanged, {} not settled yet, {} failed, {} in {:.1f} s",
        report.stored, report.unchanged, len(report.unsettled), len(report.failed), size(report.bytes_stored),
        report.seconds)  # fmt: skip


def _log_purge(report: PurgeReport, *, dry_run: bool) -> None:
    if report.error is not None:
        logger.error("{}: {}", "purge cut short" if report.purged else "not purged", report.error.line())
    elif report.refused is not None:
        logger.warning("not purged: {}", report.refused)
        return
    what, done = ("would purge", "would be freed") if dry_run else ("purged", "freed")
    count, freed = (report.candidates, report.bytes_to_free) if dry_run else (report.purged, report.bytes_freed)
    level = "INFO" if count or report.failed else "DEBUG"
    logger.bind(purged=report.purged, bytes=freed).log(
        level, "{} {} originals, {} kept, {} failed, {} {}", what, count, sum(report.kept.values()),
        report.failed, size(freed), done)  # fmt: skip
