"""The service's parts in the test's own process: library, manifest, engine of sync, and a way to real containers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.config import Loaded, load
from sidecar.events import Bus, Event, FileStored
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
        top = self.library.root / name
        return {bytes(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

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
