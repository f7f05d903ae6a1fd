"""One source under watch: what is told is noted for when it will have settled, and pulled then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import NoReturn

from loguru import logger

from sidecar.errors import AgentFailed, EngineUnreachable, MediaSyncError, SourceGone, StreamBroken, TooManyJobs
from sidecar.jobs.job import Action, Cause, Request
from sidecar.jobs.syncing import sync_options
from sidecar.jobs.work import Tools
from sidecar.models import NS, Alive, FileStat, Overflow, Problem, Seen, Source, Standing
from sidecar.progress import ProgressManager
from sidecar.sync.diff import left_out_by_name
from sidecar.sync.engine import SyncEngine
from sidecar.sync.pulling import Pulled, worth_a_look
from sidecar.transports.base import TransportAdapter
from sidecar.values import dataclass
from sidecar.watchers.agenda import Agenda
from sidecar.watchers.bursts import Bursts

IDLE = 30.0  # seconds without a file after which the agent that answers questions is let go
CROWDED = 5.0  # seconds before a scan is asked for again that could not be had: the desk is full, the source failing
_BROKEN = (AgentFailed, EngineUnreachable, SourceGone, StreamBroken)


class CannotWatch(MediaSyncError):
    """Nobody in the source can tell of files; passes find them."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all watches of a process share. `submit` takes a job."""

    tools: Tools
    submit: Callable[[Request], object]
    bursts: Bursts
    clock: Callable[[], int]  # monotonic, ns


class SourceWatch:
    """The watch of one generation of a source."""

    def __init__(self, around: Around, source: Source) -> None:
        self._around = around
        self._source = source
        self._agenda = Agenda()
        self._news = asyncio.Event()
        self._ahead_ns = 0  # of the source's clock before the monotonic one
        self._standing: dict[bytes, str] = {}
        self._missed = asyncio.Event()
        self._scanned = asyncio.Event()
        self._engine = _engine(around.tools)

    @property
    def how(self) -> str:
        """`inotify` or `poll` once it covers every root; "" before."""
        if len(self._standing) < len(self._source.roots):
            return ""
        return "poll" if "poll" in self._standing.values() else "inotify"

    async def run(self) -> NoReturn:
        """Watch until this breaks. Raises CannotWatch, and why it broke; several errors come as a group."""
        async with self._around.tools.catalog.reached(self._source) as adapter:
            able = await adapter.prepare()
            if not able.watch:
                raise CannotWatch(f"cannot be watched: {able.why_not_purge or 'no Python in it'}",
                                  hint="its files come with each pass")  # fmt: skip
            async with asyncio.TaskGroup() as group:
                for root in self._source.roots:
                    group.create_task(self._listen(adapter, root), name=f"watch {self._source.name}")
                group.create_task(self._pull_what_is_due(adapter), name=f"pull {self._source.name}")
                group.create_task(self._scan_what_was_missed(), name=f"reconcile {self._source.name}")
                group.create_task(self._remember_what_waits(), name=f"remember {self._source.name}")
        raise AssertionError("a watch does not end")  # pragma: no cover

    # -- listening --------------------------------------------------------------------------------------------------

    async def _listen(self, adapter: TransportAdapter, root: bytes) -> NoReturn:
        async with aclosing(adapter.watch(root)) as sights:
            async for sight in sights:
                match sight:
                    case Seen(stat):
                        self._note(root, stat)
                    case Alive(now_ns):
                        self._ahead_ns = now_ns - self._around.clock()
                    case Standing(how, folders):
                        logger.debug("watching {} folders of {} by {}", folders, root, how)
                        self._standing[root] = how
                        self._missed.set()
                    case Overflow():
                        logger.warning("more files came than the container could tell of: scanning for them")
                    case Problem(path, reason):
                        logger.bind(file=path).debug("not watched: {}", reason)
        raise AgentFailed("the watch ended", hint="it is begun anew")

    def _note(self, root: bytes, stat: FileStat) -> None:
        if left_out_by_name(stat.path, self._source.rules) or not stat.size:
            return
        now, quiet = self._now_ns(), self._engine.settling.quiet_ns
        due = min(stat.mtime_ns, now) + quiet  # a time in the future proves nothing but that it was written by now
        if not self._agenda.note(root, stat.path, due):
            self._missed.set()
        self._news.set()

    def _now_ns(self) -> int:
        """The source's clock."""
        return self._around.clock() + self._ahead_ns

    async def _scan_what_was_missed(self) -> NoReturn:
        """Once every root is covered, and whenever something was lost, a scan finds what nobody told of."""
        while True:
            await self._missed.wait()
            if not self.how:
                self._missed.clear()
                continue
            if self._around.tools.patience.slowed(self._source.name) is not None:
                await asyncio.sleep(CROWDED)
                continue
            try:
                self._around.submit(Request(Action.SYNC, Cause.WATCH, (self._source.name,)))
                self._missed.clear()
            except TooManyJobs as error:
                logger.debug("{}", error.line())
                await asyncio.sleep(CROWDED)

    def scanned(self) -> None:
        """A job on this source ended: it may have met files that had not settled yet."""
        self._scanned.set()

    async def _remember_what_waits(self) -> NoReturn:
        manifest, settling = self._around.tools.manifest, self._engine.settling
        while True:
            await self._scanned.wait()
            self._scanned.clear()
            key = await asyncio.to_thread(manifest.look_up, self._source)
            for root in tuple(self._standing):
                for path, one in (await asyncio.to_thread(manifest.waiting, key, root)).items():
                    if (due_ns := worth_a_look(one, self._now_ns(), settling)) is not None:
                        self._agenda.note(root, path, due_ns)
            self._news.set()

    # -- pulling ----------------------------------------------------------------------------------------------------

    async def _pull_what_is_due(self, adapter: TransportAdapter) -> NoReturn:
        awake = False  # an agent may be running that answers questions
        while True:
            if not awake:  # it starts while the first file settles
                await self._due_within(self._engine.settling.quiet_ns)
                with suppress(*_BROKEN):  # the pull meets it, too
                    await adapter.restat(self._source.roots[0], ())
                awake = True
            elif await self._due_within(0, IDLE):
                async with self._around.tools.writers.writing(self._source.name):
                    await self._pull(adapter)
            else:
                await adapter.close()
                awake = False

    async def _due_within(self, ahead_ns: int, patience: float | None = None) -> bool:
        """Wait until something is due so soon; False after `patience` seconds without."""
        until = None if patience is None else self._around.clock() + int(patience * NS)
        while True:
            self._news.clear()
            due = self._agenda.next_ns()
            if due is not None and due - ahead_ns <= self._now_ns():
                return True
            if until is not None and until <= self._around.clock():
                return False
            pauses = [due - ahead_ns - self._now_ns()] if due is not None else []
            pauses += [until - self._around.clock()] if until is not None else []
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(pauses) / NS) if pauses else None):
                    await self._news.wait()

    async def _pull(self, adapter: TransportAdapter) -> None:
        bursts, now = self._around.bursts, self._now_ns()
        for root, due in self._agenda.due(now).items():
            pulled = await self._engine.pull(bursts.job, self._source, adapter, root, due, ProgressManager("sync"), now)
            try:
                self._arrange(root, due, pulled)
            finally:
                await bursts.add(pulled.report)

    def _arrange(self, root: bytes, tried: dict[bytes, int], pulled: Pulled) -> None:
        """See to what did not come; what is given up stays in the report as failed."""
        for path, due_ns in pulled.later.items():
            if not self._agenda.note(root, path, due_ns):
                self._missed.set()
        given_up = {path for path in pulled.again
                    if not self._agenda.again(root, path, tried.get(path, 0), self._now_ns())}  # fmt: skip
        report = pulled.report
        report.failed = [problem for problem in report.failed if problem.path in given_up]
        for problem in report.failed:
            logger.bind(file=problem.path).warning("not stored: {}; the next pass tries again", problem.reason)
        if report.error is not None and not isinstance(report.error, _BROKEN):
            raise report.error  # what is wrong with the source as a whole, until somebody mends it
        report.error = None


def _engine(tools: Tools) -> SyncEngine:
    options = sync_options(tools.settings, tools.slots, dry_run=False)
    return SyncEngine(tools.library, tools.manifest, options, tools.bus, tools.clock_ns, tools.slots)
