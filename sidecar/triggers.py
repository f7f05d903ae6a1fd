"""What makes jobs by itself: the schedules, the engine's events, and the beginning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from loguru import logger

from sidecar.errors import MediaSyncError, TooManyJobs
from sidecar.events import Event, JobChanged
from sidecar.jobs.catalog import Catalog, Found
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import PASSING, Action, Cause, JobState, Request
from sidecar.jobs.retrying import attempts
from sidecar.models import NS
from sidecar.schedule import Timetable
from sidecar.transports.base import Change, Gap, Happened, SourceProvider

LOOK = 5.0  # seconds: how late a clock that was set is noticed
PATIENCE = 2.0  # seconds that the first pass waits for an engine to be heard
FIRST_AGAIN_NS, LONGEST_AGAIN_NS = 30 * NS, 15 * 60 * NS  # from a pass that failed to the next attempt, doubling
# seconds between looks: a generator makes its output folder a while after it started, mostly within a few seconds
UNREADY = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 12.0)


def ask(desk: JobDesk, request: Request) -> None:
    """Submit what nobody waits for. A desk that is full is no reason to end."""
    try:
        desk.submit(request)
    except TooManyJobs as error:
        logger.warning("{} not queued: {}", request.action, error.line())


class Again:
    """Passes that did not come to their end, and when each is tried again, on a monotonic clock.

    An engine that restarts at four in the morning must not cost a day. Listens to the bus.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._failures: dict[Request, int] = {}
        self._due: dict[Request, int] = {}

    def __call__(self, event: Event) -> None:
        """Note how a pass ended."""
        if not isinstance(event, JobChanged) or event.view.request.cause not in PASSING or not event.view.state.ended:
            return
        request = replace(event.view.request, cause=Cause.SCHEDULE)
        if event.view.state is not JobState.FAILED:
            self._failures.pop(request, None)
            self.forget(request)
            return
        failures = self._failures.get(request, 0)
        self._failures[request] = failures + 1
        self._due[request] = self._clock_ns() + min(LONGEST_AGAIN_NS, FIRST_AGAIN_NS << min(failures, 16))

    def forget(self, request: Request) -> None:
        """Its own time has come."""
        self._due.pop(request, None)

    def due(self) -> list[Request]:
        """What is to be tried again now, each once."""
        now_ns = self._clock_ns()
        found = [request for request, due_ns in self._due.items() if due_ns <= now_ns]
        for request in found:
            self.forget(request)
        return found


async def by_schedule(desk: JobDesk, table: Timetable, clock_ns: Callable[[], int] = time.time_ns) -> None:
    """Submit what is due, and again what failed, for ever."""
    again = Again()
    leave = desk.listen(again)
    try:
        while True:
            for request in table.due(clock_ns()):
                again.forget(request)
                ask(desk, request)
            for request in again.due():
                ask(desk, request)
            due_ns = table.next_ns()
            left = LOOK if due_ns is None else (due_ns - clock_ns()) / NS
            await asyncio.sleep(min(LOOK, max(0.0, left)))
    finally:
        leave()


class EngineTriggers:
    """Pulls sources when their containers start and stop. A new look is made once for all that came meanwhile."""

    def __init__(self, desk: JobDesk, catalog: Catalog) -> None:
        self._desk = desk
        self._catalog = catalog
        self._news: dict[str, Happened] = {}  # by generation, the last one counts
        self._woken = asyncio.Event()
        self._hearing = asyncio.Event()

    async def hears(self, patience: float = PATIENCE) -> None:
        """Return when an engine is listened to, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._hearing.wait()

    async def run(self, providers: Sequence[SourceProvider]) -> None:
        """Listen and act, for ever."""
        async with asyncio.TaskGroup() as group:
            for provider in providers:
                if provider.tells:
                    group.create_task(self._listen(provider), name=f"events of {provider.transport}")
            group.create_task(self._act(group), name="acting on events")

    async def _listen(self, provider: SourceProvider) -> None:
        async for one in provider.happenings():
            self._hearing.set()
            if isinstance(one, Gap) and not one.reason:
                continue
            if isinstance(one, Gap):
                ask(self._desk, Request(Action.SYNC, Cause.EVENT))
            else:
                self._hear(one)

    def _hear(self, one: Happened) -> None:
        logger.debug("container {} {}", one.name or one.token[:12], one.change)
        self._news[one.token] = one
        self._woken.set()

    async def _act(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            news, self._news = self._news, {}
            found = await self._look()
            if found is None:
                continue  # the engine is gone; when it is back there is a Gap
            for one in news.values():
                if one.change not in (Change.STARTED, Change.STOPPED) or self._pull(found, one.token):
                    continue
                if one.change is Change.STARTED and unready(found, one.name):
                    group.create_task(self._wait_for(one), name=f"waiting for {one.name}")

    async def _look(self) -> Found | None:
        try:
            async for attempt in attempts(True):
                with attempt:
                    return await self._catalog.refresh()
        except MediaSyncError as error:
            logger.debug("no look after an event: {}", error.line())
        return None

    def _pull(self, found: Found, token: str) -> bool:
        """Have the source of this generation pulled, if there is one."""
        for source in found.sources:
            if source.generation == token:
                ask(self._desk, Request(Action.SYNC, Cause.EVENT, (source.name,)))
                return True
        return False

    async def _wait_for(self, one: Happened) -> None:
        """A container that should be a source and cannot yet be one is looked at again, a few times."""
        for seconds in UNREADY:
            await asyncio.sleep(seconds)
            found = await self._look()
            if found is None or self._pull(found, one.token) or not unready(found, one.name):
                return


def unready(found: Found, container: str) -> bool:
    """Whether somebody asked for this container, and it cannot be a source now."""
    return any(left.faulty and left.container == container for left in found.left_out)
