"""One writer per source: whoever changes what is known of a source, or what lies in it, has its turn alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import field

from sidecar.jobs.job import Action, covers
from sidecar.values import dataclass


@dataclass(slots=True)
class _Source:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    claims: list[Action] = field(default_factory=list)  # of those that write and those that wait for their turn


class Writers:
    """The turns of all sources of a process, taken in the order in which they were asked for."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._freed: Callable[[], None] = lambda: None

    def on_free(self, call: Callable[[], None]) -> None:
        """Have `call` called, soon, whenever a claim is given up."""
        self._freed = call

    @asynccontextmanager
    async def writing(self, source: str, action: Action | None = None) -> AsyncIterator[None]:
        """Have the source alone, with `action` as the claim that `covered` tells of; None for a short touch."""
        one = self._sources.setdefault(source, _Source())
        if action is not None:
            one.claims.append(action)
        try:
            async with one.lock:
                yield
        finally:
            if action is not None:
                one.claims.remove(action)
                asyncio.get_running_loop().call_soon(self._freed)

    def claimed(self, source: str) -> bool:
        """Whether somebody has, or waits for, the source to do a job on it."""
        one = self._sources.get(source)
        return one is not None and bool(one.claims)

    def covered(self, source: str, action: Action) -> bool:
        """Whether somebody does this to the source already, or waits to."""
        one = self._sources.get(source)
        return one is not None and any(covers(claim, action) for claim in one.claims)
