"""Purges within a job: plan and carry out source by source, or plan for all before the first file goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from loguru import logger

from sidecar.cleanup.engine import CleanupEngine
from sidecar.cleanup.plan import PurgePlan, PurgeRules, narrow
from sidecar.cleanup.report import PurgeReport
from sidecar.config import Percent, Settings
from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.events import PurgePlanned
from sidecar.jobs.job import Action
from sidecar.jobs.report import log_purge
from sidecar.jobs.syncing import settle
from sidecar.jobs.work import Job, Tools, concerns_all, reached
from sidecar.media.kinds import Kind
from sidecar.models import Source
from sidecar.transports.base import TransportAdapter

_KINDS = {"images": Kind.IMAGE, "video": Kind.VIDEO, "audio": Kind.AUDIO, "companions": Kind.TEXT}
_Planned = tuple[Source, TransportAdapter, PurgePlan]


class SourcePurge:
    """Purges sources for one job. What one of them met that concerns all keeps the others from being begun.

    In a `run` a source that cannot be purged now is passed over, for nobody asked for that.
    """

    def __init__(self, tools: Tools, job: Job, engine: CleanupEngine, *, several: bool) -> None:
        self._tools = tools
        self._job = job
        self._engine = engine
        self._several = several
        self._willing = job.request.action is Action.RUN
        self._stopped: MediaSyncError | None = None

    async def purge(self, source: Source) -> None:
        """Plan and carry out for one source."""
        async with AsyncExitStack() as stack:
            planned = await self._plan(source, stack)
            if planned is not None:
                await self._carry_out(source.name, planned)

    async def purge_together(self, sources: Sequence[Source]) -> None:
        """Plan for all before the first file goes, because `purge.max_delete` is about the whole run."""
        async with AsyncExitStack() as stack:
            planned: list[tuple[str, _Planned | PurgeReport]] = []
            for source in sources:
                with logger.contextualize(source=source.name):
                    one = await self._plan(source, stack)
                    if one is not None:
                        planned.append((source.name, one))
            self._engine.limit([one[2] for _, one in planned if isinstance(one, tuple)])
            for name, one in planned:
                with logger.contextualize(source=name):
                    await self._carry_out(name, one)

    async def _plan(self, source: Source, stack: AsyncExitStack) -> _Planned | PurgeReport | None:
        adapter, error = await stack.enter_async_context(reached(self._tools.catalog, source))
        if adapter is None:
            return PurgeReport(source.name, error=error)
        if self._willing and not await _can_be_purged(adapter):
            return None
        try:
            if not self._job.request.dry_run:
                await settle(self._engine, self._job.report.job, source, adapter)
            plan = await self._engine.plan(source, adapter)
        except MediaSyncError as error:
            if concerns_all(error):
                raise
            return PurgeReport(source.name, error=error)
        if self._job.request.files is not None:
            narrow(plan, frozenset(self._job.request.files.get(source.name, ())))
        return source, adapter, plan

    async def _carry_out(self, name: str, one: _Planned | PurgeReport) -> None:
        done = one if isinstance(one, PurgeReport) else await self._execute(*one)
        others = self._several and name not in self._job.named
        done.declined = others and isinstance(one, tuple) and not one[0].rules.purge
        self._job.report.purge.append(done)
        log_purge(done, dry_run=self._job.request.dry_run)
        if isinstance(done.error, ManifestDamaged):
            raise done.error
        if done.error is not None and concerns_all(done.error):
            self._stopped = done.error

    async def _execute(self, source: Source, adapter: TransportAdapter, plan: PurgePlan) -> PurgeReport:
        if self._stopped is not None:
            return self._engine.pass_over(plan, self._stopped)
        await asyncio.to_thread(self._tell, plan)
        if self._job.request.dry_run:
            return self._engine.preview(plan)
        return await self._engine.execute(self._job.report.job, plan, source, adapter, self._job.progress)

    def _tell(self, plan: PurgePlan) -> None:
        """What is going to be deleted; of a plan that is refused, nothing is."""
        bus, job = self._tools.bus, self._job
        if plan.refused is not None or not bus.wants(PurgePlanned):
            return
        for root in plan.roots:
            for one in root.candidates:
                bus.emit(PurgePlanned(job.report.job, plan.source, root.root, one.stat.path, one.stat.size,
                                      job.request.dry_run))  # fmt: skip


async def _can_be_purged(adapter: TransportAdapter) -> bool:
    try:
        able = await adapter.prepare()
    except MediaSyncError as error:
        logger.debug("not purged: {}", error.line())
        return False
    if not able.purge:
        logger.debug("not purged: {}", able.why_not_purge)
    return able.purge


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
        required=settings.ingest.required,
    )
