"""The service's parts in the test's own process: library, manifest, engine of sync, and a way to real containers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.config import Loaded, load
from sidecar.events import Bus, Event, FileStored
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import Cause, JobState, JobView
from sidecar.jobs.work import Tools
from sidecar.library import Library
from sidecar.manifest import Manifest
from sidecar.models import NS, Source
from sidecar.progress import ProgressManager
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.engine import SyncEngine
from sidecar.sync.pulling import Pulled
from sidecar.sync.report import SyncReport
from sidecar.transports import open_providers
from sidecar.transports.base import SourceProvider, TransportAdapter
from sidecar.watchers import Watchers
from sidecar.workspace import open_workspace
from tests.rig.generator import Generator


@dataclass
class Parts:
    """What a test works with. `settle` of its sync engine in seconds."""

    library: Library
    manifest: Manifest
    provider: SourceProvider
    bus: Bus
    sync: SyncEngine
    sources: tuple[Source, ...]
    told: list[Event] = field(default_factory=list)

    def source(self, name: str = "gen") -> Source:
        """One source of the last discovery."""
        return next(source for source in self.sources if source.name == name)

    @property
    def stored(self) -> list[bytes]:
        """Paths in the order in which they were stored."""
        return [event.path for event in self.told if isinstance(event, FileStored)]

    def files(self, name: str = "gen") -> dict[bytes, bytes]:
        """What the library holds of a source, read from disk."""
        return library_files(self.library, name)

    async def run(self, adapter: TransportAdapter, name: str = "gen") -> SyncReport:
        """One pass."""
        return await self.sync.run("job", self.source(name), adapter, ProgressManager("sync"))

    async def pull(self, adapter: TransportAdapter, *paths: bytes, now_ns: int | None = None) -> Pulled:
        """Look at these paths, at this time of the source's clock or now."""
        source = self.source()
        now = time.time_ns() if now_ns is None else now_ns
        return await self.sync.pull("job", source, adapter, source.roots[0], paths, ProgressManager("sync"), now)


def settings(folder: Path, host: str, made: Mapping[str, Generator], **sections: dict[str, Any]) -> Loaded:
    """Settings for these generators by source name; sections as in YAML."""
    named = [f"{name}={one.name}:{one.root}" for name, one in made.items()]
    cli = {"library": str(folder / "library"), "state": str(folder / "state"), "host": host,
           "docker": {"labels": False}, **sections}  # fmt: skip
    return load(cli, env={}, cwd=folder, sources=named)


@dataclass
class Service:
    """What `serve` is made of, for these generators: a desk that takes jobs and watchers beside it."""

    tools: Tools
    desk: JobDesk
    watchers: Watchers
    told: list[tuple[float, Event]] = field(default_factory=list)

    def stored(self) -> dict[tuple[str, bytes], float]:
        """When each file was stored, by the wall clock in seconds; by source and path."""
        return {(event.source, event.path): at for at, event in list(self.told) if isinstance(event, FileStored)}

    def jobs(self, cause: Cause) -> list[JobView]:
        """Jobs of one cause that ended, newest first."""
        return [view for view in self.desk.recent(100) if view.request.cause is cause and view.state.ended]

    def running(self) -> list[JobView]:
        """Jobs under way, that of watched files too."""
        return [view for view in self.desk.recent(100) if view.state is JobState.RUNNING]

    def files(self, name: str = "gen") -> dict[bytes, bytes]:
        """What the library holds of a source, read from disk."""
        return library_files(self.tools.library, name)

    async def until(self, met: Callable[[], object], patience: float = 60.0) -> None:
        """Wait for it."""
        give_up = time.monotonic() + patience
        while not met():
            assert time.monotonic() < give_up, (self.stored(), self.desk.recent(10))
            await asyncio.sleep(0.02)

    async def watched(self, *names: str) -> None:
        """Until the sources are watched and what was there before is stored."""
        await self.until(lambda: all(self.watchers.how(name) for name in names or ("gen",)))
        await self.until(lambda: self.jobs(Cause.WATCH))
        await self.at_rest()

    async def at_rest(self) -> None:
        """Until no job waits or runs."""
        await self.until(lambda: not self.desk.queued() and not self.desk.running())


@asynccontextmanager
async def serving(folder: Path, host: str, made: Mapping[str, Generator], **sections: dict[str, Any]
                  ) -> AsyncIterator[Service]:  # fmt: skip
    """Desk and watchers over these generators; jobs come from tests and watches alone."""
    loaded = settings(folder, host, made, **sections)
    async with open_workspace(loaded, {}) as work, JobDesk(work.orchestrator, work.tools) as desk:
        await work.tools.catalog.refresh()
        async with Watchers(work.tools, desk.submit, desk.show) as watchers:
            service = Service(work.tools, desk, watchers)
            work.tools.bus.subscribe(lambda event: service.told.append((time.time(), event)))
            yield service


def library_files(library: Library, name: str) -> dict[bytes, bytes]:
    """What a library holds of a source, read from disk."""
    top = library.root / name
    return {bytes(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@asynccontextmanager
async def opened(folder: Path, host: str, made: Mapping[str, Generator], *, settle: float = 2.0, incomplete: float = 600
                 ) -> AsyncIterator[Parts]:  # fmt: skip
    """Parts for these generators, closed on leaving."""
    loaded = settings(folder, host, made)
    (provider,) = open_providers(loaded, {})
    manifest = Manifest.open(folder / "state")
    library = Library.open(folder / "library", expect=None)
    bus = Bus()
    options = SyncOptions(Settling(int(settle * NS), int(incomplete * NS)), max_freeze=0.25)
    try:
        found = await provider.discover()
        parts = Parts(library, manifest, provider, bus, SyncEngine(library, manifest, options, bus), found.sources)
        bus.subscribe(parts.told.append)
        yield parts
    finally:
        await provider.close()
        library.close()
        manifest.close()
