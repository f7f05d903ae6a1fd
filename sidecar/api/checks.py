"""Whether the parts of the service answer: for readiness and the page. Nothing here starts or stops any work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from sidecar.api.board import Board
from sidecar.errors import MediaSyncError
from sidecar.telling.health import Health
from sidecar.values import dataclass

FRESH = 2.0  # seconds that an answer counts
PATIENCE = 3.0  # seconds for an answer


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether one part is well, a sentence that says so, and what is to be looked at though it is."""

    ok: bool
    detail: str
    warnings: tuple[str, ...] = ()


class _Shared:
    """One question at a time: who asks meanwhile, or within `fresh` seconds, gets the same answer.

    Who asks waits for a while only; the question goes on, for what is cut off halfway is asked again and again.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Checked]], clock: Callable[[], float],
                 fresh: float = FRESH) -> None:  # fmt: skip
        self._ask = ask
        self._clock = clock
        self._fresh = fresh
        self._asking: asyncio.Task[Checked] | None = None
        self._asked = float("-inf")

    async def __call__(self) -> Checked:
        asking = self._asking
        if asking is None or (asking.done() and self._clock() - self._asked > self._fresh):
            self._asked = self._clock()
            self._asking = asking = asyncio.create_task(self._ask(), name="check")
        done, _ = await asyncio.wait({asking}, timeout=PATIENCE)
        return asking.result() if done else Checked(False, f"no answer within {PATIENCE:g} s")


class Checks:
    """Asks the parts. Probes come often and from many, and must not pile up on a disk or an engine that hangs."""

    def __init__(self, board: Board) -> None:
        library, search = board.tools.library, board.search
        self._parts = {
            "engine": _Shared(lambda: _answers(board.engines), board.clock),
            "library": _Shared(lambda: _well(library.check_marker, "its marker is there"), board.clock, 0),
            "manifest": _Shared(lambda: _well(search.library_id, "it can be read"), board.clock, 0),
            "last_pass": _Shared(lambda: _judged(board.health), board.clock),
        }

    async def all(self) -> dict[str, Checked]:
        """Whether every engine answers; the library is the one that was opened; the manifest can be read; the service
        is alive and its last pass ended well, a while ago at most.
        """
        found = await asyncio.gather(*(part() for part in self._parts.values()))
        return dict(zip(self._parts, found, strict=True))


async def _answers(engines: Sequence[Callable[[], Awaitable[None]]]) -> Checked:
    for ask in engines:
        try:
            await ask()
        except MediaSyncError as error:
            return Checked(False, error.line())
    return Checked(True, "it answers")


async def _judged(health: Callable[[], Awaitable[Health]]) -> Checked:
    try:
        return Checked(*await health())
    except MediaSyncError as error:
        return Checked(False, error.line())


async def _well(look: Callable[[], object], detail: str) -> Checked:
    try:
        await asyncio.to_thread(look)
    except MediaSyncError as error:
        return Checked(False, error.line())
    return Checked(True, detail)
