"""Puts the parts of `serve` together. Every loop has an owner here, and one that dies ends `serve` loudly."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from loguru import logger

from sidecar.config import Loaded, Settings
from sidecar.events import Event, JobChanged
from sidecar.ingest.opening import open_deliveries
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import PASSING, Action, Cause, JobState, Request
from sidecar.jobs.outcomes import left_to_others
from sidecar.media.pipeline import MediaPipeline
from sidecar.orchestrator import first_of
from sidecar.progress import View
from sidecar.schedule import Timed, Timetable, timed_jobs, zone_of
from sidecar.telling.health import Health, Heart, own_health
from sidecar.telling.listeners import telling
from sidecar.telling.metrics import Metrics
from sidecar.triggers import EngineTriggers, ask, by_schedule
from sidecar.watchers import Watchers
from sidecar.workspace import Workspace, open_workspace

_NAMES = {Action.RUN: "a pass", Action.SYNC: "a sync", Action.PURGE: "a purge", Action.VERIFY: "a check of all copies"}


async def serve(
    loaded: Loaded, env: Mapping[str, str], view: Callable[[], View], next_pass: Callable[[], None]
) -> None:
    """Work until cancelled. What may mend by itself, or by an operator's hand, is logged and tried again.

    `view` makes the view of one job, `next_pass` is told that a pass begins. Raises Locked, ConfigError and
    LibraryUnsafe at the start, ManifestDamaged at any time: a manifest that lies must not go on deciding.
    """
    async with AsyncExitStack() as stack:
        work = await stack.enter_async_context(open_workspace(loaded, env))
        settings = work.settings
        jobs = timed_jobs(settings)
        table = Timetable(jobs, zone_of(settings.schedule.timezone, env), settings.schedule.jitter, random.random,
                          time.time_ns())  # fmt: skip
        _announce(settings, jobs)
        stack.callback(work.tools.bus.subscribe(Passes(next_pass)))
        metrics = await stack.enter_async_context(telling(work.tools))
        desk = await stack.enter_async_context(JobDesk(work.orchestrator, work.tools, view))
        watchers = Watchers(work.tools, desk.submit, desk.show)
        if settings.sync.watch:
            await stack.enter_async_context(watchers)
        pipeline = await stack.enter_async_context(_looking_into(work))
        loops = await stack.enter_async_context(owned())
        await stack.enter_async_context(_http(work, desk, metrics))
        stack.callback(watchers.close)  # before anything else ends, and side by side with it: cutting transfers and
        stack.callback(desk.close)  # watches off takes the longest
        await _deliver(work, stack, loops)
        heart = await asyncio.to_thread(Heart, work.manifest, desk, table.next_ns)
        loops.start(heart.beat(), "signs of life")
        if pipeline is not None:
            loops.start(pipeline.run(), "media")
        await _listen(settings, work, desk, loops)
        if settings.schedule.on_start:
            ask(desk, Request(_first_action(jobs), Cause.START))
        loops.start(by_schedule(desk, table), "schedules")
        await asyncio.Event().wait()


@asynccontextmanager
async def _http(work: Workspace, desk: JobDesk, metrics: Metrics) -> AsyncIterator[None]:
    if not work.settings.api.enabled:
        yield
        return
    from sidecar.api.opening import answering  # heavy, and only this needs it

    async def well() -> Health:
        return await asyncio.to_thread(own_health, work.manifest, time.time_ns())

    async with answering(work.tools, desk, work.providers, well, metrics.text):
        yield


@asynccontextmanager
async def _looking_into(work: Workspace) -> AsyncIterator[MediaPipeline | None]:
    """What finds out about stored files, where that is wanted."""
    if not work.settings.media.enabled:
        yield None
        return
    async with MediaPipeline(work.library, work.manifest, work.settings.state, work.settings.media, work.tools.bus
                             ) as pipeline:  # fmt: skip
        yield pipeline


async def _deliver(work: Workspace, stack: AsyncExitStack, loops: Loops) -> None:
    """Tell sinks from here on; those that are not in the settings any more hold up the log of changes no longer."""
    for delivery in await open_deliveries(work.settings, work.manifest, work.tools.bus.emit):
        stack.callback(work.tools.bus.subscribe(delivery.heard))
        loops.start(delivery.run(), f"sink {delivery.name}")
    for name in await asyncio.to_thread(work.manifest.deliveries.forget_others, work.settings.ingest.sinks.keys()):
        logger.warning("sink {} is configured no more: what it was told is forgotten", name)


async def _listen(settings: Settings, work: Workspace, desk: JobDesk, loops: Loops) -> None:
    """Hear what engines tell, before the first pass where that is possible: nothing then falls between the two."""
    if not settings.schedule.events:
        return
    triggers = EngineTriggers(desk, work.tools.catalog)
    loops.start(triggers.run(work.providers), "engine events")
    await triggers.hears()


def _first_action(jobs: list[Timed]) -> Action:
    """A purge that has times of its own does not come at the start."""
    return Action.SYNC if any(job.request.action in (Action.SYNC, Action.PURGE) for job in jobs) else Action.RUN


def _announce(settings: Settings, jobs: list[Timed]) -> None:
    purging = "and purging what is proven and old" if settings.purge.enabled else "not purging"
    when = [f"{_NAMES[job.request.action]} {job.timing}" for job in jobs if not job.request.sources]
    logger.info("serving: {}, {}, library {}", ", ".join(when).replace("@", "") or "no schedule", purging,
                settings.library)  # fmt: skip


class Loops:
    """Tasks that go on until the service ends: one that ends before that is an error, whatever ended it."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.ending = False

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Own one more."""
        self._group.create_task(self._endless(work, name), name=name)

    async def _endless(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if self.ending:
                raise
        raise RuntimeError(f"{name} ended by itself")


@asynccontextmanager
async def owned() -> AsyncIterator[Loops]:
    """Loops that are cancelled when the body ends, and end it with the first error of theirs."""
    try:
        async with asyncio.TaskGroup() as group:
            loops = Loops(group)
            try:
                yield loops
            finally:
                loops.ending = True
    except BaseExceptionGroup as several:
        raise first_of(several) from None


class Passes:
    """Hears how passes go: tells that one begins, and says when all is well again."""

    def __init__(self, begins: Callable[[], None]) -> None:
        self._begins = begins
        self._well = True

    def __call__(self, event: Event) -> None:
        """A listener of the bus."""
        if not isinstance(event, JobChanged) or event.view.request.cause not in PASSING:
            return
        if event.view.state is JobState.RUNNING:
            self._begins()
        elif event.view.state.ended and not left_to_others(event.view.result):
            well = event.view.state is JobState.DONE
            if well and not self._well:
                logger.info("all is well again")
            self._well = well
