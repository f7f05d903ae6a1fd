"""A watch inside a container: one exec whose agent speaks when something happened, and a word now and then."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from sidecar.errors import AgentFailed, EngineRefused, EngineUnreachable, SourceGone
from sidecar.models import Alive, Sight
from sidecar.transports.docker import watchwire, wire
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.session import AgentSession


async def watching(engine: Engine, container: str, start: wire.Start, user: str, root: bytes,
                   sights: watchwire.Sights) -> AsyncGenerator[Sight, None]:  # fmt: skip
    """Sights of one root, until closed. `sights` learns who looks before the first one comes.

    Raises RootMissing, SourceGone, AgentFailed, StreamBroken, EngineUnreachable.
    """
    session = await AgentSession.open(engine, container, start, user)
    try:
        answer = session.hear(lambda token: watchwire.watch_request(token, root), watchwire.watch_parser,
                              watchwire.SILENCE)  # fmt: skip
        async with aclosing(answer) as batches:
            async for records in batches:
                for sight in sights.take(records):
                    if isinstance(sight, Alive):
                        await session.say(watchwire.HEARD)
                    yield sight
    except AgentFailed as error:
        state = (await engine.inspect(container)).get("State", {}).get("Status")
        if state != "running":
            raise SourceGone(f"container {container[:12]} is {state} now", hint="run it again") from error
        raise
    finally:
        with suppress(EngineUnreachable, SourceGone, EngineRefused):  # it is gone, which is what was wanted
            await session.close()
