"""One source's sync within a job: settle what was interrupted, pull, and try again what may come right by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from loguru import logger

from sidecar.cleanup.engine import CleanupEngine
from sidecar.config import Settings
from sidecar.errors import KeepsFailing, MediaSyncError, SourceGone
from sidecar.events import SourceSlowed
from sidecar.jobs.job import ASKED
from sidecar.jobs.patience import TOLERATED
from sidecar.jobs.report import carried_on, log_sync
from sidecar.jobs.retrying import attempts
from sidecar.jobs.work import Job, Tools, concerns_all, reached
from sidecar.models import NS, Source
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.engine import SyncEngine
from sidecar.sync.groups import Bounds
from sidecar.sync.report import SyncReport
from sidecar.sync.slots import Slots
from sidecar.transports.base import TransportAdapter

STOPPED = ("exited", "dead", "created")


class SourceSync:
    """Pulls sources for one job. `settler` finishes purges that were interrupted."""

    def __init__(self, tools: Tools, job: Job, settler: CleanupEngine) -> None:
        self._tools = tools
        self._job = job
        self._settler = settler
        self._options = sync_options(tools.settings, tools.slots, dry_run=job.request.dry_run)

    async def pull(self, source: Source) -> SyncReport:
        """Pull one source. Errors that concern it alone are in the report, which is added to the job's."""
        slowed = self._slowed(source)
        done = _nothing(source, slowed) if slowed is not None else await self._attempts(source)
        self._job.report.sync.append(done)
        log_sync(done)
        if slowed is None and not self._job.request.dry_run:
            self._remember(source.name, done.error)
        return done

    def _slowed(self, source: Source) -> KeepsFailing | None:
        """Why the source is left alone now; whoever asks gets it tried."""
        one = self._tools.patience.slowed(source.name) if self._job.sparing else None
        if one is None:
            return None
        until = datetime.fromtimestamp(one.until_ns / NS).astimezone()
        return KeepsFailing(f"left alone until {until:%H:%M:%S} after {one.failures} failures in a row: {one.reason}",
                            hint="a job that names it tries at once")  # fmt: skip

    def _remember(self, name: str, error: MediaSyncError | None) -> None:
        if error is None:
            if self._tools.patience.worked(name):
                self._tools.bus.emit(SourceSlowed(self._job.report.job, name, 0, 0, ""))
            return
        now = self._tools.patience.failed(name, str(error))
        if now.failures > TOLERATED:
            self._tools.bus.emit(SourceSlowed(self._job.report.job, name, now.failures, now.until_ns, now.reason))

    async def _attempts(self, source: Source) -> SyncReport:
        done: SyncReport | None = None
        try:
            async for attempt in attempts(self._job.request.cause not in ASKED):
                with attempt:
                    if done is not None:
                        source = await self._again(source)
                    now = await self._once(source)
                    done = now if done is None else carried_on(done, now)
                    if done.error is not None:
                        raise done.error
        except MediaSyncError as error:
            if done is None or concerns_all(error):
                raise
            done.error = error
        return done if done is not None else _nothing(source, None)

    async def _again(self, source: Source) -> Source:
        """The source as it is now: its container may have been stopped, or made anew."""
        found = (await self._tools.catalog.refresh()).source(source.name)
        if found is None:
            raise SourceGone(f"source {source.name} is not there any more", hint="was its container removed?")
        return found

    async def _once(self, source: Source) -> SyncReport:
        async with reached(self._tools.catalog, source) as (adapter, error):
            if adapter is None:
                return _nothing(source, error)
            if not self._job.request.dry_run:
                await settle(self._settler, self._job.report.job, source, adapter)
            engine = SyncEngine(self._tools.library, self._tools.manifest, settled(self._options, source),
                                self._tools.bus, self._tools.clock_ns, self._tools.slots)  # fmt: skip
            return await engine.run(self._job.report.job, source, adapter, self._job.progress)


def _nothing(source: Source, error: MediaSyncError | None) -> SyncReport:
    return SyncReport(source.name, source.container, "", source.transport, error=error)


async def settle(engine: CleanupEngine, job: str, source: Source, adapter: TransportAdapter) -> None:
    """What a killed purge left hidden comes back before anybody looks at the folder."""
    try:
        await adapter.prepare()
        count = await engine.settle(job, source, adapter)
    except MediaSyncError as error:
        if concerns_all(error):
            raise
        logger.warning("an interrupted purge could not be settled: {}", error.line())
        return
    if count:
        logger.info("settled {} originals of an interrupted purge", count)


def settled(options: SyncOptions, source: Source) -> SyncOptions:
    """Where nothing runs nobody writes, and somebody may be about to remove it: a whole file need not wait.

    What lacks its format's end waits all the same.
    """
    if source.state not in STOPPED:
        return options
    return replace(options, settling=replace(options.settling, quiet_ns=0))


def sync_options(settings: Settings, slots: Slots, *, dry_run: bool) -> SyncOptions:
    """The sync engine's options from the settings."""
    s = settings.sync
    bounds = Bounds(s.parallel, s.group_files, s.group_bytes)
    settling = Settling(s.settle, s.settle_incomplete)
    folder_files = min(2048, max(1, slots.files // (s.parallel + 1)))  # so that no read needs what all may have
    return SyncOptions(settling, s.max_freeze / NS, bounds, dry_run, folder_files, s.full_scan_every)
