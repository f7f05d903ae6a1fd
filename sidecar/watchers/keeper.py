"""Keeps one watch per running source, whatever comes: containers that start and stop, sessions that break."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from loguru import logger

from sidecar.errors import EngineUnreachable, LibraryFull, ManifestDamaged, MediaSyncError, Refused, SourceGone
from sidecar.events import Event, JobChanged, SourceChanged
from sidecar.jobs.job import JobView, Request
from sidecar.jobs.work import Tools
from sidecar.models import NS, Source
from sidecar.orchestrator import first_of, new_id
from sidecar.values import dataclass
from sidecar.watchers.bursts import Bursts
from sidecar.watchers.source import Around, CannotWatch, SourceWatch

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts to watch
LASTED = 60.0  # seconds after which a watch that breaks is begun anew as if it had never
LOOK = 5.0  # seconds between looks at what there is to watch, and at the burst


@dataclass(slots=True)
class _Kept:
    source: Source
    task: asyncio.Task[None]
    watch: SourceWatch | None = None


class Watchers:
    """Used as a context manager, inside which every running source is watched; leaving it stops them all.

    `submit` takes a job, `show` is told how the job of watched files stands. A manifest that is damaged ends the
    context with ManifestDamaged.
    """

    def __init__(self, tools: Tools, submit: Callable[[Request], object], show: Callable[[JobView], None],
                 clock: Callable[[], int] = time.monotonic_ns) -> None:  # fmt: skip
        self._tools = tools
        self._around = Around(tools, submit, Bursts(tools.manifest, tools.clock_ns, show, new_id), clock)
        self._kept: dict[str, _Kept] = {}
        self._changed = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def how(self, source: str) -> str:
        """How a source is watched now: `inotify`, `poll`, or "" where it is not."""
        kept = self._kept.get(source)
        return kept.watch.how if kept is not None and kept.watch is not None else ""

    async def __aenter__(self) -> Watchers:
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run(), name="watchers")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        self.close()
        if self._task is not None:
            await asyncio.wait([self._task])  # before the group may cancel it once more
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as several:
            raise first_of(several) from None

    def close(self) -> None:
        """Have all watches stop; leaving the context waits for them. Idempotent."""
        if self._task is not None and not self._closed:
            self._closed = True
            self._task.cancel()

    async def _run(self) -> None:
        """Raises ManifestDamaged. Whatever else happens to one watch, it is begun anew."""
        loop = asyncio.get_running_loop()

        def heard(event: Event) -> None:  # in whatever thread
            if isinstance(event, SourceChanged):
                loop.call_soon_threadsafe(self._changed.set)
            elif isinstance(event, JobChanged) and event.view.state.ended:
                loop.call_soon_threadsafe(self._scanned, event.view.request.sources)

        forget = self._tools.bus.subscribe(heard)
        try:
            while True:
                self._changed.clear()
                await self._match()
                await self._around.bursts.end_if_over()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._changed.wait()
        finally:
            forget()
            await _stopped([kept.task for kept in self._kept.values()])
            self._kept.clear()
            await self._around.bursts.end()

    def _scanned(self, names: tuple[str, ...]) -> None:
        for name, kept in self._kept.items():
            if kept.watch is not None and (not names or name in names):
                kept.watch.scanned()

    async def _match(self) -> None:
        """Have a watch for each source that runs, as it is now, and for no other."""
        found = self._tools.catalog.latest()
        if found is None:
            return
        wanted = {source.name: source for source in found.sources if source.state == "running"}
        old = {name: kept for name, kept in self._kept.items() if kept.task.done() or kept.source != wanted.get(name)}
        for name, kept in old.items():
            await _stopped([kept.task])
            del self._kept[name]
            self._tell_of(kept)
        for name, source in wanted.items():
            if name not in self._kept:
                self._kept[name] = self._start(source)

    def _start(self, source: Source) -> _Kept:
        kept: _Kept

        def began(watch: SourceWatch) -> None:
            kept.watch = watch

        task = asyncio.create_task(self._keep(source, began), name=f"watcher {source.name}")
        kept = _Kept(source, task)
        return kept

    @staticmethod
    def _tell_of(kept: _Kept) -> None:
        """A watcher never ends by itself: what ended it is a mistake, said here, and it is replaced."""
        if kept.task.cancelled() or (error := kept.task.exception()) is None:
            return
        if isinstance(error, ManifestDamaged):
            raise error
        logger.bind(source=kept.source.name).error("its watcher ended with {}: {}", type(error).__name__, error)

    async def _keep(self, source: Source, began: Callable[[SourceWatch], None]) -> None:
        pause, failures = FIRST_PAUSE, 0
        with logger.contextualize(source=source.name):
            while True:
                begun = self._around.clock()
                watch = SourceWatch(self._around, source)
                began(watch)
                error = await _broken(watch)
                if (self._around.clock() - begun) / NS >= LASTED:
                    pause, failures = FIRST_PAUSE, 0
                failures += 1
                _say(error, failures)
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 (so that all do not come at once)
                pause = min(2 * pause, LONGEST_PAUSE)


async def _broken(watch: SourceWatch) -> Exception:
    """Watch until it breaks, and why it did. Raises ManifestDamaged, which ends everything."""
    try:
        await watch.run()
    except ManifestDamaged:
        raise
    except Exception as error:
        why: BaseException = first_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(why, ManifestDamaged) or not isinstance(why, Exception):
            raise why from error
        return why


def _say(error: Exception, failures: int) -> None:
    """Log why a watch broke. One that breaks once, by what mends itself, is no news; nor is what passes tell of."""
    if not isinstance(error, MediaSyncError):
        logger.error("watching broke off: unexpected {}: {} — please report it, with what --log-level debug adds",
                     type(error).__name__, error)  # fmt: skip
        logger.debug("{}", "".join(traceback.format_exception(error)))
        return
    told = isinstance(error, CannotWatch | EngineUnreachable | SourceGone | Refused | LibraryFull)
    news = not told and failures == (2 if error.transient else 1)
    logger.log("WARNING" if news else "DEBUG", "watching broke off: {}", error.line())


async def _stopped(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
