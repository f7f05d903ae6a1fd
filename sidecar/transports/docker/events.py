"""What the engine tells of containers as it happens: started, died, removed, renamed.

Exec and archive reads, also our own, make events, too (`exec_create: …`, `archive-path`): the engine is asked for four
kinds alone, and what comes besides is left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from loguru import logger

from sidecar.errors import EngineUnreachable, MediaSyncError
from sidecar.http_client import aiohttp
from sidecar.transports.base import Change, Gap, Happened
from sidecar.transports.docker.client import Engine, EventsForbidden, translated

KINDS = {"start": Change.STARTED, "die": Change.STOPPED, "destroy": Change.REMOVED, "rename": Change.RENAMED}
QUIET = 30.0  # seconds without an event after which the engine is asked whether it is there at all
WAITS = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds from one attempt to hear the engine to the next: a start waits for no one
STEADY = 1.0  # seconds after which a stream that ends is begun anew as if it had never
FORBIDDEN_FOR = 300.0  # seconds until one that says no is asked again
_LONGEST_LINE = 1 << 20  # bytes of one event: a container's labels come with it


class Feed:
    """The events of one engine, whatever becomes of it meanwhile. `connect` makes a connection, closed here."""

    def __init__(self, connect: Callable[[], Awaitable[Engine]], forbidden_for: float = FORBIDDEN_FOR) -> None:
        self._connect = connect
        self._forbidden_for = forbidden_for
        self._since_ns: int | None = None
        self._lost = ""  # why nobody listens now
        self._failures = 0  # in a row
        self._heard = False

    async def run(self) -> AsyncGenerator[Happened | Gap, None]:
        """See SourceProvider.happenings."""
        while True:
            try:
                async for one in self._connected():
                    yield one
            except EventsForbidden as error:
                if self._lost != str(error):
                    logger.warning("{}; what starts and stops is noticed by the next pass — {}", error, error.hint)
                self._lost = str(error)
                await asyncio.sleep(self._forbidden_for)
            except MediaSyncError as error:
                if not self._lost:
                    logger.debug("no events: {}", error.line())  # the next pass says so, too
                    logger.warning("the engine is not heard any more: what starts and stops is seen when it is back")
                self._lost = str(error)
                await asyncio.sleep(WAITS[min(self._failures, len(WAITS) - 1)])
                self._failures += 1

    async def _connected(self) -> AsyncIterator[Happened | Gap]:
        async with self._engine() as engine:
            begun = asyncio.get_running_loop().time()
            try:
                async for one in self._heard_from(engine):
                    yield one
            finally:
                if not self._lost and asyncio.get_running_loop().time() - begun >= STEADY:
                    self._failures = 0
        raise EngineUnreachable(f"Docker at {engine.host.url} ended its events", hint="was it restarted?")

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[Engine]:
        """A connection of its own: others close theirs when the engine goes."""
        engine = await self._connect()
        try:
            yield engine
        finally:
            await engine.close()

    async def _heard_from(self, engine: Engine) -> AsyncIterator[Happened | Gap]:
        if self._since_ns is None:
            self._since_ns = await engine.now_ns()
        async with engine.events(tuple(KINDS), self._since_ns + 1) as stream:
            if self._lost:
                logger.info("the engine is heard again")
            if self._lost or not self._heard:
                yield Gap(self._lost)
            self._lost, self._heard = "", True
            async for line in _lines(engine, stream):
                if (one := read_event(line)) is not None:
                    self._since_ns = max(self._since_ns, one.at_ns)
                    yield one


async def _lines(engine: Engine, stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines. Raises EngineUnreachable when the engine has gone without saying so."""
    rest = b""
    while True:
        with translated(engine.host.url):
            try:
                async with asyncio.timeout(QUIET):
                    piece = await stream.readany()
            except TimeoutError:
                await engine.now_ns()
                continue
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _LONGEST_LINE:
            raise EngineUnreachable(f"Docker at {engine.host.url} sent an event without end", hint="is it an engine?")


def read_event(line: bytes) -> Happened | None:
    """One line of the stream; None for what is none of our business, or no event at all."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        raw = json.loads(line)
        change = KINDS.get(str(raw.get("Action") or raw.get("status")))
        if change is None or raw.get("Type", "container") != "container":
            return None
        actor = raw["Actor"]
        name = str((actor.get("Attributes") or {}).get("name", ""))
        return Happened(change, str(actor["ID"]), name, int(raw["timeNano"]))
    return None
