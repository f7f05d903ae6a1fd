"""What an interrupted purge left behind: originals under private names come back, and every intent gets its outcome."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from sidecar.events import Bus, FileRestored
from sidecar.library import tagged
from sidecar.manifest import Manifest, OpenPurge
from sidecar.models import Source
from sidecar.transports.base import TransportAdapter

STRANDED = "stranded"


class Settler:
    """Settles the open intents of one source."""

    def __init__(self, manifest: Manifest, bus: Bus, job: str, source: Source, adapter: TransportAdapter,
                 clock_ns: Callable[[], int]) -> None:  # fmt: skip
        self._manifest = manifest
        self._bus = bus
        self._job = job
        self._source = source
        self._adapter = adapter
        self._clock_ns = clock_ns

    async def run(self) -> int:
        """Settle all roots; answers how many intents got an outcome. Raises what the transport raises."""
        key = await asyncio.to_thread(self._manifest.enter, self._source, self._clock_ns())
        count = 0
        for root in self._source.roots:
            by_owner: dict[tuple[int, int], list[OpenPurge]] = defaultdict(list)
            for intent in await asyncio.to_thread(self._manifest.open_purges, key, root):
                by_owner[intent.uid, intent.gid].append(intent)
            for owner, intents in by_owner.items():
                outcomes = await self._outcomes(root, intents, owner, key.generation_id)
                await asyncio.to_thread(self._manifest.settle, outcomes, self._clock_ns())
                count += len(outcomes)
        return count

    async def _outcomes(self, root: bytes, intents: Sequence[OpenPurge], owner: tuple[int, int], generation_id: int
                        ) -> list[tuple[OpenPurge, str]]:  # fmt: skip
        answers = await self._adapter.settle_private(root, [(i.path, i.private) for i in intents], owner)
        await self._rename(root, [i for i in intents if answers.get(i.path) == STRANDED], owner, answers)
        there = await self._adapter.restat(root, [i.path for i in intents])
        outcomes = []
        for intent in intents:
            answer = answers.get(intent.path, STRANDED)
            if answer == "absent":
                answer = "interrupted" if intent.path in there else "purged"
                if answer == "purged" and intent.generation_id != generation_id:
                    answer = "unknown"  # it may have gone with its container, and not by the purge
            elif answer == "restored":
                self._bus.emit(FileRestored(self._job, self._source.name, root, intent.path))
            if answer != STRANDED:
                outcomes.append((intent, answer))
        return outcomes

    async def _rename(self, root: bytes, stranded: Sequence[OpenPurge], owner: tuple[int, int],
                      answers: dict[bytes, str]) -> None:  # fmt: skip
        """Whose name was taken meanwhile comes back beside it, as the library does it: seen, pulled, never replaced."""
        if not stranded:
            return
        names = {beside(i): i for i in stranded}
        found = await self._adapter.settle_private(root, [(path, i.private) for path, i in names.items()], owner)
        for path, intent in names.items():
            answers[intent.path] = found.get(path, STRANDED)


def beside(intent: OpenPurge) -> bytes:
    """The name for an original whose own name was taken."""
    folder, slash, name = intent.path.rpartition(b"/")
    return folder + slash + tagged(name, intent.private[-8:].decode("ascii"))
