"""Whether the parts of the service answer: for readiness and the page. Nothing here starts or stops any work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.api.board import Board
from sidecar.errors import MediaSyncError

FRESH = 2.0  # seconds that an answer counts
PATIENCE = 3.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether one part is well, and a sentence that says so."""

    ok: bool
    detail: str


class _Shared:
    """One question at a time: who asks meanwhile, or shortly after, gets the same answer."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Checked]], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._asking: asyncio.Task[Checked] | None = None
        self._asked = float("-inf")

    async def __call__(self) -> Checked:
        if self._asking is None or (self._asking.done() and self._clock() - self._asked > FRESH):
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._ask(), name="check")
        return await asyncio.shield(self._asking)  # a client that goes away takes the answer from nobody


class Checks:
    """Asks the parts. Probes come often and from many, so what costs something is shared."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._engine = _Shared(lambda: _answers(board.engines), board.clock)
        self._passes = _Shared(self._judged, board.clock)

    async def engine(self) -> Checked:
        """Whether every engine answers."""
        return await self._engine()

    async def last_pass(self) -> Checked:
        """Whether the service is alive and its last pass ended well, a while ago at most."""
        return await self._passes()

    async def library(self) -> Checked:
        """Whether the library still is the one that was opened."""
        return await _well(lambda: asyncio.to_thread(self._board.tools.library.check_marker), "its marker is there")

    async def manifest(self) -> Checked:
        """Whether the manifest can be read."""
        return await _well(lambda: asyncio.to_thread(self._board.search.library_id), "it can be read")

    async def all(self) -> dict[str, Checked]:
        """Every part by its name."""
        names = ("engine", "library", "manifest", "last_pass")
        found = await asyncio.gather(self.engine(), self.library(), self.manifest(), self.last_pass())
        return dict(zip(names, found, strict=True))

    async def _judged(self) -> Checked:
        try:
            return Checked(*await self._board.health())
        except MediaSyncError as error:
            return Checked(False, error.line())


async def _answers(engines: Sequence[Callable[[], Awaitable[None]]]) -> Checked:
    for ask in engines:
        try:
            async with asyncio.timeout(PATIENCE):
                await ask()
        except TimeoutError:
            return Checked(False, f"no answer within {PATIENCE:.0f} s")
        except MediaSyncError as error:
            return Checked(False, error.line())
    return Checked(True, "it answers")


async def _well(look: Callable[[], Awaitable[object]], detail: str) -> Checked:
    try:
        await look()
    except MediaSyncError as error:
        return Checked(False, error.line())
    return Checked(True, detail)
