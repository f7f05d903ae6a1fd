"""What discovery last said, for all who ask: the sources of every provider, and the way to each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sidecar.errors import EngineUnreachable, SourceGone
from sidecar.events import Bus, SourceChanged
from sidecar.models import LeftOut, Source
from sidecar.transports.base import Discovery, SourceProvider, TransportAdapter
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One look at everything. `at_ns` is when it was finished, by this process's clock."""

    sources: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    at_ns: int

    def source(self, name: str) -> Source | None:
        """The source of that name, if there is one."""
        return next((source for source in self.sources if source.name == name), None)


class Catalog:
    """Looks, remembers the last look, and tells the bus what changed. Owns no provider."""

    def __init__(self, providers: Sequence[SourceProvider], bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._providers = providers
        self._bus = bus
        self._clock_ns = clock_ns
        self._latest: Found | None = None
        self._ways: dict[str, SourceProvider] = {}
        self._turn = asyncio.Lock()
        self._begun = self._said = 0  # looks that began; the number of the one that `latest` came from
        self._open = 0  # adapters in use

    def latest(self) -> Found | None:
        """The last look; None before the first that succeeded."""
        return self._latest

    async def refresh(self) -> Found:
        """Look again. Those who ask while a look is under way share the next one.

        Raises EngineUnreachable, EngineRefused.
        """
        asked = self._begun
        async with self._turn:
            if self._latest is not None and self._said > asked:
                return self._latest
            self._begun += 1
            number = self._begun
            found = await self._look()
            self._tell(self._latest, found)
            self._latest, self._said = found, number
            return found

    @asynccontextmanager
    async def reached(self, source: Source) -> AsyncIterator[TransportAdapter]:
        """The way to a source of the last look, closed on leaving. Raises SourceGone, EngineUnreachable, …"""
        way = self._ways.get(source.name)
        if way is None:
            raise SourceGone(f"source {source.name} is not there any more", hint="was its container removed?")
        self._open += 1
        try:
            adapter = await way.adapter(source)
            try:
                yield adapter
            finally:
                await adapter.close()
        finally:
            self._open -= 1

    async def _look(self) -> Found:
        answers: list[tuple[Discovery, SourceProvider]] = []
        for provider in self._providers:
            try:
                answers.append((await provider.discover(), provider))
            except EngineUnreachable:
                if not self._open:  # the engine may have been updated: agree on a version anew
                    await provider.close()
                raise
        self._ways = {source.name: provider for discovery, provider in answers for source in discovery.sources}
        return Found(
            tuple(source for discovery, _ in answers for source in discovery.sources),
            tuple(left for discovery, _ in answers for left in discovery.left_out),
            tuple(warning for discovery, _ in answers for warning in discovery.warnings),
            self._clock_ns(),
        )

    def _tell(self, before: Found | None, now: Found) -> None:
        old = {} if before is None else {source.name: source for source in before.sources}
        new = {source.name: source for source in now.sources}
        for name in sorted(old.keys() | new.keys()):
            was, is_ = old.get(name), new.get(name)
            if is_ is None:
                self._bus.emit(SourceChanged("", name, "gone", ""))
            elif was is None:
                self._bus.emit(SourceChanged("", name, "found", is_.state))
            elif (was.generation, was.state) != (is_.generation, is_.state):
                self._bus.emit(SourceChanged("", name, "changed", is_.state))
