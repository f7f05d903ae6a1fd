"""A conversation with an agent inside a container, over one exec: ask, and its records come as they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, suppress

from sidecar.errors import AgentFailed, EngineRefused, EngineUnreachable, MediaSyncError
from sidecar.http_client import aiodocker
from sidecar.models import shown
from sidecar.transports.docker import wire
from sidecar.transports.docker.client import Engine, translated

SILENCE = 120.0  # seconds: hashing one large original may take that long without a word
_STDERR = 2
_STDERR_KEPT = 2000


class AgentSession:
    """One started agent. Requests are answered one at a time; after any error the session is dead."""

    def __init__(self, engine: Engine, stream: aiodocker.stream.Stream, stack: AsyncExitStack, container: str) -> None:
        self._engine = engine
        self._stream = stream
        self._stack = stack
        self._container = container
        self._turn = asyncio.Lock()
        self._stderr = b""
        self.dead = False

    @classmethod
    async def open(cls, engine: Engine, container: str, start: wire.Start, user: str) -> AgentSession:
        """Start an agent as `user` ("" is the image's own). Raises AgentFailed, SourceGone, EngineUnreachable."""
        async with AsyncExitStack() as stack:
            try:
                stream = await stack.enter_async_context(engine.exec(container, list(start.argv), user))
                async with asyncio.timeout(engine.timeout):  # the first write starts the exec
                    await stream.write_in(start.preamble)
            except TimeoutError as error:
                raise EngineUnreachable(f"the engine did not start the agent in {container[:12]} in time",
                                        hint="is the engine busy or hung?") from error  # fmt: skip
            except EngineRefused as error:
                raise AgentFailed(f"no agent could be started in {container[:12]}: {error}", hint=error.hint) from error
            return cls(engine, stream, stack.pop_all(), container)
        raise AssertionError("unreachable")  # pragma: no cover

    async def ask(self, build: Callable[[bytes], bytes], take: Callable[[list[bytes]], object]) -> None:
        """Send a request (made from its token) and hand every batch of records to `take`, to the closing record.

        Raises AgentFailed when the agent ends or falls silent before that, StreamBroken for a malformed answer.
        """
        async with self._turn:
            token = wire.new_token()
            parser = wire.RecordParser(token)
            done = False
            try:
                await self._send(build(token))
                with translated(self._container):
                    while not parser.finished:
                        take(parser.feed(await self._stdout(parser)))
                done = True
            finally:
                self.dead = self.dead or not done

    async def hear(self, build: Callable[[bytes], bytes], make: Callable[[bytes], wire.RecordParser], silence: float
                   ) -> AsyncGenerator[list[bytes], None]:  # fmt: skip
        """Send a request whose answer goes on until this session is closed, and give its records as they come.

        Cheap while nothing comes. Raises as `ask` does: AgentFailed after `silence` seconds, or when the answer ends.
        """
        async with self._turn:
            token = wire.new_token()
            parser = make(token)
            await self.say(build(token))
            with translated(self._container):
                while not parser.finished:
                    yield parser.feed(await self._stdout(parser, silence))
            self.dead = True
            raise AgentFailed(f"the watch in {self._container[:12]} ended", hint="was its folder replaced?")

    async def say(self, data: bytes) -> None:
        """Send something besides a request. Raises AgentFailed when the connection is gone."""
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        """Raises AgentFailed when its connection is gone: the container, more likely than the engine, was stopped."""
        try:
            with translated(self._container):
                await self._stream.write_in(data)
        except (AssertionError, EngineUnreachable) as error:  # aiodocker asserts that the other end is still there
            raise AgentFailed(f"the agent in {self._container[:12]} is gone", hint="was it stopped?") from error

    async def _stdout(self, parser: wire.RecordParser, silence: float = 0.0) -> bytes:
        while True:
            message = await (self._heard_within(silence) if silence else self._heard())
            if message is None:
                raise self._ended(parser)
            if message.stream != _STDERR:
                return message.data
            self._stderr = (self._stderr + message.data)[:_STDERR_KEPT]

    async def _heard(self) -> aiodocker.stream.Message | None:
        """The next piece of the stream. While an agent is silent the engine is asked whether it is there at all."""
        silent, pause = 0.0, min(self._engine.timeout, SILENCE)
        while True:
            try:
                async with asyncio.timeout(pause):
                    return await self._stream.read_out()
            except TimeoutError:
                silent += pause
                if silent >= SILENCE:
                    raise AgentFailed(f"the agent in {self._container[:12]} said nothing for {SILENCE:.0f} s",
                                      hint="is the container's disk hung?") from None  # fmt: skip
            await self._engine.now_ns()

    async def _heard_within(self, silence: float) -> aiodocker.stream.Message | None:
        """The next piece of a stream that has something to say all the time."""
        try:
            async with asyncio.timeout(silence):
                return await self._stream.read_out()
        except TimeoutError:
            raise AgentFailed(f"the watch in {self._container[:12]} said nothing for {silence:.0f} s",
                              hint="is the container paused, or its disk hung?") from None  # fmt: skip

    def _ended(self, parser: wire.RecordParser) -> MediaSyncError:
        try:
            parser.require_finished()
        except AgentFailed as error:
            said = shown(self._stderr.strip()[-300:])
            return AgentFailed(f"{error} {said}".strip(), hint="was the container stopped?")
        return AgentFailed("the agent ended early", hint="was the container stopped?")

    async def close(self) -> None:
        """End the agent; idempotent. Its standard input closes, which ends it whatever it is doing."""
        if not self.dead:
            self.dead = True
            with suppress(AgentFailed):  # it ended by itself
                await self._send(wire.quit_request())
        await self._stack.aclose()
