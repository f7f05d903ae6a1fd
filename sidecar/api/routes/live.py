"""The WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from sidecar.api.access import SUBPROTOCOL
from sidecar.api.feed import Client, Feed
from sidecar.events import FrequentType

router = APIRouter()

TOO_SLOW, GOING_AWAY, TRY_LATER = 1013, 1012, 1013
FAREWELL = 1.0  # seconds for the word that ends a connection


@router.websocket("/ws")
async def live(
    socket: WebSocket,
    since: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    epoch: Annotated[str | None, Query(max_length=64)] = None,
    also: Annotated[list[FrequentType], Query(max_length=20)] = [],  # noqa: B006 (the framework copies it)
) -> None:
    """What happens, as it happens."""
    feed: Feed = socket.app.state.feed
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    with feed.joined(since, epoch, also) as client:
        code = TRY_LATER if client is None else await _attend(socket, client, feed)
    if code is not None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            await asyncio.wait_for(socket.close(code), FAREWELL)


async def _attend(socket: WebSocket, client: Client, feed: Feed) -> int | None:
    """Send until somebody wants no more; answers the code to close with, None when the client went itself."""

    async def send() -> None:
        while True:
            await socket.send_text(await client.next())

    async def listen() -> None:
        while True:  # nothing that a client says means anything
            if (await socket.receive())["type"] == "websocket.disconnect":
                return

    tasks = {
        asyncio.create_task(work, name=f"feed: {name}"): code
        for name, work, code in (
            ("send", send(), None),
            ("listen", listen(), None),
            ("too slow", _wait(client.too_slow), TOO_SLOW),
            ("closing", feed.closing(), GOING_AWAY),
        )
    }
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next((code for task, code in tasks.items() if task.done() and code is not None), None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
