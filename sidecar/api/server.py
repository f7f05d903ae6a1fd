"""uvicorn inside the service's own loop: no signal handlers, no log of its own, and an end within a second."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sidecar.errors import ConfigError

HEADERS_MOST = 16 * 1024  # bytes of a request's line and headers
HEADERS_PATIENCE = 10.0  # seconds until they have to be there
IDLE = 15  # seconds that a connection stays open between requests
GRACE = 0.7  # seconds for answers under way when the service ends
LINGER = 2.0  # seconds for the last word to a WebSocket
PING = 20.0  # seconds between signs of life of a WebSocket, and until its answer
MESSAGE_MOST = 4096  # bytes; clients of the feed have nothing to say
CONNECTIONS = 256  # at once: each is an open file, and the work needs those
WAITING = 64  # connections that the kernel keeps for us


def listen(address: str) -> socket.socket:
    """A socket that listens at `host:port`. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    try:
        (family, kind, number, _, where), *_ = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        made = socket.socket(family, kind, number)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(where)
            made.listen(WAITING)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise ConfigError(f"api.listen: cannot listen on {address}: {(error.strerror or str(error)).lower()}",
                          hint="choose another api.listen, or switch api.enabled off") from error  # fmt: skip
    return made


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP while the body runs. Owns the listener. What is still under way at the end is cut off."""
    config = uvicorn.Config(
        app, http=_Protocol, ws=_Socket, lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, ws_max_size=MESSAGE_MOST, ws_ping_interval=PING, ws_ping_timeout=PING,
        ws_per_message_deflate=False, timeout_keep_alive=IDLE, timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=HEADERS_MOST,
    )  # fmt: skip
    server = _Server(config)
    async with asyncio.TaskGroup() as group:  # a server that ends by itself ends the body, too
        answering = group.create_task(_answer(server, listener), name="http")
        try:
            while not server.started:
                if answering.done():
                    answering.result()
                await asyncio.sleep(0.005)
            async with app.state.feed.running(app.state.board.tools.bus):
                yield
        finally:
            server.should_exit = True
            done, _ = await asyncio.wait([answering], timeout=GRACE)
            if not done:
                server.cut_off()
                answering.cancel()
                await asyncio.wait([answering])
            listener.close()


async def _answer(server: _Server, listener: socket.socket) -> None:
    """Run the server. Raises RuntimeError when it ends and nobody told it to, whatever ended it."""
    try:
        await server.serve([listener])
    except asyncio.CancelledError:
        if server.should_exit:
            raise
    if not server.should_exit:
        raise RuntimeError("the HTTP server ended by itself")


class _Server(uvicorn.Server):
    """Signals are the service's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def cut_off(self) -> None:
        """End whatever goes on."""
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Socket(WebSocketsSansIOProtocol):
    """A peer that takes nothing any more does not keep its connection: uvicorn would wait for its buffer to drain."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = LINGER

    async def run_asgi(self) -> None:
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER, self.transport.abort)


class _Protocol(H11Protocol):
    """Connections that do not bring a whole request's headers in time are closed; uvicorn itself waits for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._expect()  # a request has begun
        elif self.conn.their_state is not h11.IDLE:
            self._stop_expecting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._stop_expecting()
        super().handle_websocket_upgrade(event)

    def _expect(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEADERS_PATIENCE, self._give_up)

    def _stop_expecting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.abort()
