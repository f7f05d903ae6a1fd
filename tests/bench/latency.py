"""The freeze: how long a container's own operator waits for `inspect` and for `exec true` while something else runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

EVERY = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Waits:
    """How long each question waited for its answer, in seconds."""

    inspect: list[float] = field(default_factory=list)
    exec: list[float] = field(default_factory=list)


def at(values: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


class Watch:
    """While inside the context, the container is asked. `inspect` goes out every 20 ms whether or not earlier ones were
    answered, because that is what health checks of many kinds do; an `exec` starts a process, so one at a time.
    """

    def __init__(self, host: str, container: str) -> None:
        self.waits = Waits()
        self._socket = host.removeprefix("unix://")
        self._at = f"http://engine/containers/{container}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), name="watch")

    def __enter__(self) -> Waits:
        self._thread.start()
        return self.waits

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _watch(self) -> None:
        connector, never = aiohttp.UnixConnector(self._socket, limit=0), aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=never) as session, asyncio.TaskGroup() as group:
            group.create_task(self._execs(session), name="exec true")
            while not self._stop.is_set():
                group.create_task(_timed(self.waits.inspect, lambda: self._inspect(session)), name="inspect")
                await asyncio.sleep(EVERY)

    async def _inspect(self, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{self._at}/json") as answer:
            answer.raise_for_status()
            await answer.read()

    async def _execs(self, session: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            await _timed(self.waits.exec, lambda: self._exec(session))
            await asyncio.sleep(EVERY)

    async def _exec(self, session: aiohttp.ClientSession) -> None:
        asked = {"Cmd": ["true"], "AttachStdout": True}
        async with session.post(f"{self._at}/exec", json=asked) as answer:
            answer.raise_for_status()
            number = (await answer.json())["Id"]
        async with session.post(f"http://engine/exec/{number}/start", json={"Detach": False}) as answer:
            answer.raise_for_status()
            await answer.read()


async def _timed(into: list[float], work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await work()
    into.append(loop.time() - begun)
