"""What a purge would do, looked at once and confirmed once: the second deletes nothing that the first did not list."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from sidecar.api.problems import Problem
from sidecar.cleanup.engine import CleanupEngine
from sidecar.cleanup.plan import PurgePlan
from sidecar.errors import MediaSyncError, UnknownSource
from sidecar.jobs.job import Action, Cause, Request
from sidecar.jobs.purging import purge_rules
from sidecar.jobs.work import Tools, concerns_all
from sidecar.models import NS, Source
from sidecar.values import dataclass

VALID_NS = 10 * 60 * NS
PATIENCE = 20.0  # seconds for another look to end
KEPT = 4  # previews; the oldest is forgotten for a new one
KEPT_FILES = 2000  # files that stay, listed one by one for each source; all are counted


@dataclass(frozen=True, slots=True)
class Looked:
    """What would become of one source. `going` are (root, path, size), `staying` (path, reason)."""

    name: str
    going: tuple[tuple[bytes, bytes, int], ...] = ()
    staying: tuple[tuple[bytes, str], ...] = ()
    kept: tuple[tuple[str, int], ...] = ()
    refused: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """One look at everything. `expires_ns` in ns since the epoch."""

    id: str
    expires_ns: int
    allow_empty: bool
    sources: tuple[Looked, ...]

    def request(self) -> Request:
        """The job that deletes what was listed, and nothing else."""
        files = {one.name: tuple((root, path) for root, path, _ in one.going)
                 for one in self.sources if one.going and one.refused is None}  # fmt: skip
        return Request(Action.PURGE, Cause.API, tuple(files), allow_empty=self.allow_empty, files=files)


class Previews:
    """Makes previews and keeps them for a while. One is made at a time: a look scans every original."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._kept: OrderedDict[str, Preview] = OrderedDict()
        self._turn = asyncio.Lock()

    async def look(self, names: Sequence[str], *, allow_empty: bool) -> Preview:
        """Plan for the named sources, or all, and change nothing.

        Raises EngineUnreachable, UnknownSource; Problem 503 when another look takes too long.
        """
        async with self._alone():
            found = await self._tools.catalog.refresh()
            wanted = {name.lower() for name in names}
            known = {source.name for source in found.sources}
            if missing := sorted(wanted - known):
                raise UnknownSource(f"there is no source {missing[0]}", hint=f"there are {', '.join(sorted(known))}")
            rules = purge_rules(self._tools.settings, allow_empty=allow_empty)
            engine = CleanupEngine(self._tools.library, self._tools.manifest, rules, self._tools.bus,
                                   self._tools.clock_ns)  # fmt: skip
            chosen = [source for source in found.sources if not wanted or source.name in wanted]
            plans = [await self._plan(engine, source) for source in chosen]
            engine.limit([plan for plan in plans if isinstance(plan, PurgePlan)])
            looked = [plan if isinstance(plan, Looked) else await asyncio.to_thread(_looked, plan) for plan in plans]
            made = Preview(secrets.token_hex(8), self._tools.clock_ns() + VALID_NS, allow_empty, tuple(looked))
            self._kept[made.id] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return made

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            raise Problem(503, "somebody else is looking at what a purge would do", hint="try again when that is done",
                          headers={"Retry-After": "10"}) from None  # fmt: skip
        try:
            yield
        finally:
            self._turn.release()

    async def _plan(self, engine: CleanupEngine, source: Source) -> PurgePlan | Looked:
        try:
            async with self._tools.catalog.reached(source) as adapter:
                return await engine.plan(source, adapter)
        except MediaSyncError as error:
            if concerns_all(error):
                raise
            return Looked(source.name, problem=error.line())

    def get(self, preview: str) -> Preview:
        """A preview that can still be confirmed. Raises Problem 404."""
        found = self._kept.get(preview)
        if found is None or not 0 < found.expires_ns - self._tools.clock_ns() <= VALID_NS:
            raise Problem(404, "there is no such preview: each can be confirmed once, for ten minutes",
                          hint="look again what would be purged")  # fmt: skip
        return found

    @contextmanager
    def confirmed(self, preview: str) -> Iterator[Request]:
        """The job of a preview, which the body hands on: then the preview is used up, and if the body raises it is not.

        Nothing may be awaited in the body, or two could confirm one preview. Raises Problem 404, 409 where nothing
        would go.
        """
        request = self.get(preview).request()
        if not request.files:
            raise Problem(409, "this preview lists nothing that would go")
        yield request
        del self._kept[preview]


def _looked(plan: PurgePlan) -> Looked:
    staying = [one for root in plan.roots for one in root.kept]
    return Looked(
        plan.source,
        tuple(sorted((root.root, c.stat.path, c.stat.size) for root in plan.roots for c in root.candidates)),
        tuple(staying[:KEPT_FILES]),
        tuple(Counter(reason for _, reason in staying).items()),
        plan.refused,
    )
