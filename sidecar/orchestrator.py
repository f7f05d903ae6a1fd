"""Carries out jobs: which sources, side by side with one writer each, and the record of what came of it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from loguru import logger

from sidecar.cleanup.clock import ClockWatch
from sidecar.cleanup.engine import CleanupEngine
from sidecar.config import near
from sidecar.errors import ConfigError, MediaSyncError, UnknownSource
from sidecar.events import SourceSlowed
from sidecar.jobs.catalog import Found
from sidecar.jobs.job import ASKED, Action, Cause, JobState, Request
from sidecar.jobs.places import Places
from sidecar.jobs.purging import SourcePurge, purge_rules
from sidecar.jobs.report import JobReport, log_left_out, log_verify, not_pulled, not_purged
from sidecar.jobs.retrying import attempts
from sidecar.jobs.syncing import SourceSync
from sidecar.jobs.waiting import finished
from sidecar.jobs.work import Job, Tools
from sidecar.models import LeftOut, Source
from sidecar.progress import ProgressManager
from sidecar.verify import VerifyEngine


class SyncOrchestrator:
    """Runs jobs over the sources of all providers. Owns none of what it is given."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._places = Places()
        self._bare = False  # there was no source at all

    async def sync(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                   cause: Cause = Cause.COMMAND) -> JobReport:  # fmt: skip
        """Pull the named sources, or all. Raises as `perform` does."""
        return await self.perform(Request(Action.SYNC, cause, tuple(names), dry_run), progress)

    async def purge(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                    allow_empty: bool = False, cause: Cause = Cause.COMMAND) -> JobReport:  # fmt: skip
        """Purge the named sources, or all."""
        return await self.perform(Request(Action.PURGE, cause, tuple(names), dry_run, allow_empty), progress)

    async def verify(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                     accept_missing: bool = False, cause: Cause = Cause.COMMAND) -> JobReport:  # fmt: skip
        """Re-read the copies of the named sources, or all. In a dry run nothing is forgotten, or given up."""
        request = Request(Action.VERIFY, cause, tuple(names), dry_run, accept_missing=accept_missing)
        return await self.perform(request, progress)

    async def run(self, names: Sequence[str], progress: ProgressManager, *, dry_run: bool = False,
                  allow_empty: bool = False, cause: Cause = Cause.COMMAND) -> JobReport:  # fmt: skip
        """Sync, then purge where that is enabled and possible. In a dry run the purge knows of nothing new."""
        return await self.perform(Request(Action.RUN, cause, tuple(names), dry_run, allow_empty), progress)

    async def perform(self, request: Request, progress: ProgressManager, job: str = "",
                      on_looked: Callable[[], None] = lambda: None) -> JobReport:  # fmt: skip
        """Carry out one job; `on_looked` is called when its sources are known.

        Raises EngineUnreachable, EngineRefused, Refused, LibraryFull, ConfigError, UnknownSource. What concerns single
        sources is in the report.
        """
        report = JobReport(job or new_id(), request.action, dry_run=request.dry_run)
        progress.job = report.job
        async with self._recorded(report, request):
            if request.action is Action.VERIFY:
                on_looked()
                await self._verify(report, request, progress)
                return report
            work = Job(request, report, progress, frozenset(name.lower() for name in request.sources), on_looked)
            sources = await self._choose(work)
            on_looked()
            try:
                await self._carry_out(work, sources)
            finally:
                report.in_order()
        return report

    # -- choosing ---------------------------------------------------------------------------------------------------

    async def _choose(self, job: Job) -> list[Source]:
        found = await self._found(job.request, job.report.job)
        job.report.warnings = found.warnings
        for warning in found.warnings:
            logger.warning(warning)
        faulty = [left for left in found.left_out if left.faulty]
        sources = list(found.sources)
        if job.named:
            self._require_known(job.request.sources, found, faulty)
            sources = [s for s in sources if s.name in job.named]
            faulty = [left for left in faulty if left.name in job.named]
        elif job.request.without:
            sources = [s for s in sources if s.name not in job.request.without]
            faulty = [left for left in faulty if left.name not in job.request.without]
        else:
            self._require_any(job.request, bare=not sources and not faulty)
        if job.request.action is Action.PURGE:
            job.report.purge = [not_purged(left) for left in faulty]
        else:
            job.report.sync = [not_pulled(left) for left in faulty]
        log_left_out(faulty)
        return sources

    async def _found(self, request: Request, job: str) -> Found:
        """A fresh look; where nobody waits for it, an engine that does not answer is asked again."""
        async for attempt in attempts(request.cause not in ASKED):
            with attempt:
                found = await self._tools.catalog.refresh()
        self._forget_gone(job, found)
        return found

    def _forget_gone(self, job: str, found: Found) -> None:
        """Nobody waits any more for a source that is not there, so nobody has to hear that it failed."""
        there = {s.name for s in found.sources} | {left.name for left in found.left_out if left.faulty}
        for name in self._tools.patience.view().keys() - there:
            self._tools.patience.worked(name)
            self._tools.bus.emit(SourceSlowed(job, name, 0, 0, ""))

    def _require_any(self, request: Request, *, bare: bool) -> None:
        """Raises ConfigError for who asked; to a service that waits for its first container it is said once."""
        before, self._bare = self._bare, bare
        if not bare:
            return
        error = ConfigError("there is no source to work on",
                            hint="label a container media-sync.enable=true, or give --source NAME=CONTAINER; "
                                 "`media-sync sources` shows what was looked at")  # fmt: skip
        if request.cause in ASKED:
            raise error
        logger.log("DEBUG" if before else "WARNING", "{}", error.line())

    @staticmethod
    def _require_known(names: Iterable[str], found: Found, faulty: Sequence[LeftOut]) -> None:
        known = {s.name for s in found.sources} | {left.name for left in faulty}
        for name in names:
            if name.lower() not in known:
                hint = near(name, sorted(known)) or _hint_for(name, found, known)
                raise UnknownSource(f"there is no source {name}", hint=hint)

    # -- doing ------------------------------------------------------------------------------------------------------

    async def _carry_out(self, job: Job, sources: Sequence[Source]) -> None:
        settings, action = self._tools.settings, job.request.action
        rules = purge_rules(settings, allow_empty=job.request.allow_empty)
        cleanup = CleanupEngine(self._tools.library, self._tools.manifest, rules, self._tools.bus, self._tools.clock_ns)
        syncing = SourceSync(self._tools, job, cleanup) if action is not Action.PURGE else None
        purging = action is Action.PURGE or (action is Action.RUN and settings.purge.enabled)
        together = settings.purge.max_delete is not None
        purges = SourcePurge(self._tools, job, cleanup, several=len(sources) > 1) if purging else None
        willing: list[Source] = []  # in a run, those that were pulled and may be purged

        async def one(source: Source) -> None:
            if syncing is not None:
                pulled = await syncing.pull(source)
                if pulled.error is not None or not source.rules.purge:
                    return
            willing.append(source)
            if purges is not None and not together:
                await purges.purge(source)

        if syncing is not None or not together:
            await self._side_by_side(job, sources, one, Action.RUN if purging and syncing else action)
        else:
            willing = list(sources)
        if purges is not None and together:
            async with AsyncExitStack() as turns:
                for source in sorted(willing, key=lambda s: s.name):  # in one order, so that no two wait for each other
                    await turns.enter_async_context(self._turn(job, source, Action.PURGE))
                await purges.purge_together(sorted(willing, key=lambda s: s.name))

    async def _verify(self, report: JobReport, request: Request, progress: ProgressManager) -> None:
        engine = VerifyEngine(self._tools.library, self._tools.manifest, self._tools.bus, self._tools.clock_ns,
                              accept_missing=request.accept_missing)  # fmt: skip
        report.verify = await engine.run(report.job, request.sources, request.without, progress,
                                         dry_run=request.dry_run)  # fmt: skip
        for one in report.verify:
            with logger.contextualize(source=one.name):
                log_verify(one)

    async def _side_by_side(self, job: Job, sources: Sequence[Source], work: Callable[[Source], Awaitable[None]],
                            action: Action) -> None:  # fmt: skip
        """Each source when it has a place and its turn. What concerns all ends the others, too, and is raised."""

        async def one(source: Source) -> None:
            with logger.contextualize(source=source.name):
                if job.passing and self._tools.writers.covered(source.name, action):
                    job.report.busy.append(source.name)
                    return
                async with self._places.taken(pressing=job.pressing), self._turn(job, source, action):
                    await work(source)

        try:
            async with asyncio.TaskGroup() as group:
                for source in sources:
                    group.create_task(one(source), name=f"{job.report.job} {source.name}")
        except BaseExceptionGroup as several:
            raise first_of(several) from None

    @asynccontextmanager
    async def _turn(self, job: Job, source: Source, action: Action) -> AsyncIterator[None]:
        if job.request.dry_run:
            yield
            return
        async with self._tools.writers.writing(source.name, action):
            yield

    # -- the record -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _recorded(self, report: JobReport, request: Request) -> AsyncIterator[None]:
        manifest, clock_ns = self._tools.manifest, self._tools.clock_ns
        with logger.contextualize(job=report.job):
            problem, state = "", JobState.DONE
            try:
                if not request.dry_run:
                    await finished(asyncio.to_thread(manifest.start_job, report.job, request.action, request.cause,
                                                     clock_ns(), request.sources))  # fmt: skip
                    await asyncio.to_thread(ClockWatch(manifest).look)
                yield
                state = JobState.DONE if report.ok else JobState.PARTLY
            except MediaSyncError as error:
                problem, state = error.line(), JobState.FAILED
                raise
            except asyncio.CancelledError:
                problem, state = "cancelled", JobState.CANCELLED
                raise
            except BaseException as error:
                problem, state = f"unexpected {type(error).__name__}: {error}", JobState.FAILED
                raise
            finally:
                if not request.dry_run:  # a cancelled job is recorded, too
                    summary = json.dumps(report.summary(problem))
                    quiet = state is JobState.DONE and report.idle and request.cause not in ASKED
                    await finished(asyncio.to_thread(manifest.end_job, report.job, state is JobState.DONE, summary,
                                                     clock_ns(), state, quiet=quiet))  # fmt: skip


def new_id() -> str:
    """An ID for a job."""
    return uuid.uuid4().hex[:12]


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a group is about: the first of ours, else the first."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseExceptionGroup):
            todo += error.exceptions
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, MediaSyncError)), leaves[0])


def _hint_for(name: str, found: Found, known: set[str]) -> str:
    for left in found.left_out:
        if left.name == name.lower():
            return f"{left.reason}; {left.hint}" if left.hint else left.reason
    return f"there are {', '.join(sorted(known))}" if known else "`media-sync sources` shows what was looked at"


__all__ = ["JobReport", "SyncOrchestrator", "first_of", "new_id"]
