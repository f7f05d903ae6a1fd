"""How many sources are worked on at the same time, whoever asked: one bound for all jobs of a process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 8  # sources at the same time; reads are bounded besides, see sync/slots.py
PRESSING = 4  # more for what cannot wait: a container that stopped may be removed at any moment


class Places:
    """Taken in the order in which they were asked for, the pressing ones first.

    Who has a place may wait for a source's turn (see writers.py), but nobody asks for a place while it has a turn: so
    no two wait for each other.
    """

    def __init__(self, most: int = AT_ONCE, pressing: int = PRESSING) -> None:
        self._bounds = {True: most + pressing, False: most}
        self._taken = 0
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @asynccontextmanager
    async def taken(self, *, pressing: bool = False) -> AsyncIterator[None]:
        """Have a place."""
        await self._take(pressing=pressing)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, *, pressing: bool) -> None:
        asked = asyncio.get_running_loop().create_future()
        self._waiting[pressing].append(asked)
        self._grant()
        try:
            await asked
        except asyncio.CancelledError:
            if not asked.cancelled():  # it was granted in that moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._taken -= 1
        self._grant()

    def _grant(self) -> None:
        for pressing, bound in self._bounds.items():
            waiting = self._waiting[pressing]
            while waiting and self._taken < bound:
                asked = waiting.popleft()
                if not asked.cancelled():
                    self._taken += 1
                    asked.set_result(None)
