"""Brings what happened to files to one sink: in order, at least once, from where it stopped.

The place moves when the sink has taken what comes before it, so what is cut short in between is told again. A sink that
is down holds up nobody else: each has a place, and a task, of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby

from loguru import logger

from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.events import Event, FilePurged, FileStored, SinkTold
from sidecar.ingest.base import MediaIngest, Record, SinkDown, SinkRefused
from sidecar.ingest.records import record_of
from sidecar.manifest import Asked, Due, Manifest, Told, deliveries

LOOK_EVERY = 2.0  # seconds between looks at the log of changes; what was stored or purged is told at once
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds before a sink that is down is tried again
LONGEST_CALL = 120.0  # seconds that a sink may take for one batch
LAST_WORDS = 0.5  # seconds that it gets to close


class Delivery:
    """The way to one sink. `tell` is told how it goes, `chance` answers a random number from 0 to 1.

    `read_first`: nothing is told before the media steps have looked into it, so that records carry metadata.
    """

    def __init__(self, name: str, sink: MediaIngest, manifest: Manifest, *, read_first: bool,
                 tell: Callable[[Event], None], clock_ns: Callable[[], int] = time.time_ns,
                 chance: Callable[[], float] = random.random) -> None:  # fmt: skip
        self.name = name
        self._sink = sink
        self._table = manifest.deliveries
        self._library_id = manifest.library_id() or ""
        self._read_first = read_first
        self._tell = tell
        self._clock_ns = clock_ns
        self._chance = chance
        self._open = False
        self._problem = ""
        self._failures = 0
        self._came = False  # whether anything was recorded: what an earlier process met may stand there
        self._shown: tuple[bool, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._most = deliveries.RECORDS
        self._asked_ns: int | None = None  # when somebody last asked, as far as that was seen
        self._retried = 0  # what was refused was told since then, up to this file

    # -- the endless way --------------------------------------------------------------------------------------------

    def heard(self, event: Event) -> None:
        """A listener of the bus, in any thread: something is to be told."""
        if isinstance(event, FileStored | FilePurged) and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Tell everything as it comes, for ever. Raises ManifestDamaged."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                try:
                    await self.catch_up()
                    await self._rest()
                except ManifestDamaged:
                    raise
                except MediaSyncError as error:
                    await self._failed(error)
                    await self._wait(self.pause())
        finally:
            self._loop = None
            await self.close()

    async def _rest(self) -> None:
        """Until something happens, or might have."""
        await self._show(up=True)
        try:
            await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
        except TimeoutError:
            return

    async def _failed(self, error: MediaSyncError) -> None:
        """Let everybody know that the sink cannot be told; it is said once, until that changes."""
        self._open = False
        self._failures += 1
        if str(error) != self._problem:
            logger.warning("sink {} cannot be told: {}; it is tried again", self.name, error.line())
        self._problem = str(error)
        await self.note(error)

    def pause(self) -> float:
        """How long to wait after as many failures as there were, in s: twice as long each time, but for what chance
        takes off.
        """
        longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16))
        return longest * (0.5 + self._chance() / 2)

    async def _wait(self, seconds: float) -> None:
        """Until the sink is to be tried again, or somebody asks for it; what waits is counted meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_EVERY))
            await self._show_down()
            if (await asyncio.to_thread(self._table.asked, self.name)).again_ns != self._asked_ns:
                return

    async def _show_down(self) -> None:
        """What cannot be counted now is counted later. Raises ManifestDamaged."""
        try:
            await self._show(up=False)
        except ManifestDamaged:
            raise
        except MediaSyncError as error:
            logger.debug("sink {}: what waits cannot be counted: {}", self.name, error.line())

    async def _show(self, *, up: bool, told: int = 0, refused: int = 0) -> None:
        backlog = await asyncio.to_thread(self._table.backlog, self.name)
        if told or refused or self._shown != (up, backlog):
            self._shown = up, backlog
            self._tell(SinkTold("", "", self.name, up, backlog, told, refused))

    # -- one way ----------------------------------------------------------------------------------------------------

    async def catch_up(self) -> None:
        """Tell every change that waits, and what was asked for besides. Raises SinkDown, and what the manifest raises.

        What happens meanwhile comes between: a long backfill holds up nothing new.
        """
        await self._see_asked()
        await self._reach()
        await self._tell_changes()
        while await self._tell_asked():
            await self._tell_changes()
        if self._problem or not self._came:
            await self._keep([])  # it is up, although nothing was told

    async def _tell_changes(self) -> None:
        while due := await asyncio.to_thread(self._table.due, self.name, self._most,
                                            read_first=self._read_first):  # fmt: skip
            for some in _alike(due):
                await self._keep(await self._told(some), place=some[-1].seq)
            self._most = min(deliveries.RECORDS, self._most * 2)

    async def _tell_asked(self) -> bool:
        """A batch of what was refused, else one of the backfill; answers whether anything was asked for."""
        asked = await self._see_asked()
        if asked.again_ns is not None:
            if due := await asyncio.to_thread(self._table.due_again, self.name, self._retried):
                await self._keep(await self._told(due))
                self._retried = due[-1].file_id
            else:
                await asyncio.to_thread(self._table.end_again, self.name, asked.again_ns)
        elif asked.filling is not None:
            if due := await asyncio.to_thread(self._table.due_to_fill, self.name):
                await self._keep(await self._told(due), filled=due[-1].file_id)
            else:
                await asyncio.to_thread(self._table.end_filling, self.name)
        return asked != Asked()

    async def _see_asked(self) -> Asked:
        """What is asked for; when somebody asked again, what was refused meanwhile is meant, too."""
        asked = await asyncio.to_thread(self._table.asked, self.name)
        if asked.again_ns != self._asked_ns:
            self._asked_ns, self._retried = asked.again_ns, 0
        return asked

    async def note(self, error: MediaSyncError) -> None:
        """Leave word of what keeps the sink from being told. Raises ManifestDamaged."""
        try:
            await asyncio.to_thread(self._table.failed, self.name, error.line(), self._clock_ns())
            await self._show(up=False)
        except ManifestDamaged:
            raise
        except MediaSyncError as worse:  # a full disk, which may mend
            logger.error("sink {}: that cannot be recorded: {}", self.name, worse.line())

    async def close(self) -> None:
        """Let the sink close, for a moment at most; idempotent."""
        self._open = False
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._sink.close()
        except Exception as error:  # everything that it took is durable already
            logger.warning("sink {} did not close: {}", self.name, _said(error))

    async def _reach(self) -> None:
        if not self._open:
            try:
                await self._called(self._sink.open)
            except SinkRefused as error:  # there is nothing that it could refuse
                raise SinkDown(str(error), hint=error.hint) from error
            self._open = True

    async def _told(self, some: Sequence[Due]) -> list[Told]:
        """Tell of files that are alike in being there or gone; answers what became of each."""
        records = [(one.file_id, record_of(one, self._library_id)) for one in some]
        told = await self._told_in_halves(records, self._sink.retract if some[0].ended else self._sink.ingest)
        if refused := [one for one in told if one.refused]:
            logger.warning("sink {} would not take {} of {} files: {} — `media-sync ingest retry` tells it again",
                           self.name, len(refused), len(told), refused[0].refused)  # fmt: skip
        return told

    async def _told_in_halves(self, records: Sequence[tuple[int, Record]],
                              call: Callable[[Sequence[Record]], Awaitable[None]]) -> list[Told]:  # fmt: skip
        try:
            await self._called(lambda: call([record for _, record in records]))
        except SinkRefused as error:
            if len(records) == 1:
                return [Told(records[0][0], error.line())]
            half = len(records) // 2
            return [
                *await self._told_in_halves(records[:half], call),
                *await self._told_in_halves(records[half:], call),
            ]
        return [Told(file_id) for file_id, _ in records]

    async def _called(self, call: Callable[[], Awaitable[None]]) -> None:
        """Whatever a sink does becomes SinkDown or SinkRefused."""
        try:
            async with asyncio.timeout(LONGEST_CALL):
                await call()
        except (SinkDown, SinkRefused):
            raise
        except TimeoutError as error:
            self._most = max(1, self._most // 2)  # it may have been too much at a time
            raise SinkDown(f"it did not answer within {LONGEST_CALL:g} s") from error
        except Exception as error:
            logger.error("sink {}: unexpected {} — a mistake of the sink's; it is told again", self.name, _said(error))
            raise SinkDown(f"unexpected {_said(error)}") from error

    async def _keep(self, told: Sequence[Told], *, place: int | None = None, filled: int | None = None) -> None:
        await asyncio.to_thread(self._table.keep, self.name, told, self._clock_ns(), place=place, filled=filled)
        if self._problem:
            logger.info("sink {} can be told again", self.name)
        self._problem, self._failures, self._came = "", 0, True
        refused = sum(one.refused is not None for one in told)
        await self._show(up=True, told=len(told) - refused, refused=refused)


def _alike(due: Sequence[Due]) -> Iterator[Sequence[Due]]:
    """Runs of files that are there, and of files that went, in their order."""
    for _, some in groupby(due, lambda one: one.ended):
        yield list(some)


def _said(error: Exception) -> str:
    return error.line() if isinstance(error, MediaSyncError) else f"{type(error).__name__}: {error}"
