"""Opens what a process works with: folders, manifest, library, the ways to the sources."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

from loguru import logger

from sidecar.config import Loaded, Settings
from sidecar.events import Bus
from sidecar.host.locks import LOCK, take_lock
from sidecar.host.mounts import goes_with_container, require_mounted
from sidecar.jobs.catalog import Catalog
from sidecar.jobs.patience import Patience
from sidecar.jobs.work import Tools
from sidecar.jobs.writers import Writers
from sidecar.library import Library
from sidecar.manifest import Manifest, make_folder
from sidecar.orchestrator import SyncOrchestrator
from sidecar.sync.slots import Slots
from sidecar.transports import open_providers
from sidecar.transports.base import SourceProvider
from sidecar.values import dataclass

FILES_OPEN = 8192
NOT_STAGED = 600  # of them: connections, also of clients, and what those are sent; folders, the manifest
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The opened parts of one process that writes: it alone has the library and the state folder."""

    tools: Tools
    providers: list[SourceProvider]
    orchestrator: SyncOrchestrator

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.tools.settings

    @property
    def library(self) -> Library:
        """The open library."""
        return self.tools.library

    @property
    def manifest(self) -> Manifest:
        """The open manifest."""
        return self.tools.manifest


@asynccontextmanager
async def open_workspace(loaded: Loaded, env: Mapping[str, str], *, looking: bool = False
                         ) -> AsyncIterator[Workspace]:  # fmt: skip
    """Open state, library and providers, and lock both folders. Raises Refused, ConfigError.

    `looking`, for dry runs: nothing is made, locked, swept or recorded, so it also works beside a running `serve`.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        providers = open_providers(loaded, env)
        for provider in providers:
            stack.push_async_callback(provider.close)
        library, manifest = _look(settings, stack) if looking else _open(settings, stack)
        bus = Bus()
        slots = Slots(settings.sync.parallel, _for_staging(_allow_open_files()))
        tools = Tools(settings, Catalog(providers, bus), library, manifest, bus, Writers(), Patience(), slots)
        if not looking:
            note = json.dumps({"problem": INTERRUPTED})
            await asyncio.to_thread(manifest.close_jobs, note, time.time_ns())  # left open by a process that was killed
        yield Workspace(tools, providers, SyncOrchestrator(tools))


def _look(settings: Settings, stack: AsyncExitStack) -> tuple[Library, Manifest]:
    manifest = Manifest.open_existing(settings.state) or Manifest.empty()
    stack.callback(manifest.close)
    library = Library.look(settings.library, expect=manifest.library_id())
    stack.callback(library.close)
    return library, manifest


def open_state(settings: Settings, stack: ExitStack | AsyncExitStack) -> Manifest:
    """The manifest, to be written by this process alone. Raises Locked, LibraryUnsafe, ManifestDamaged."""
    if goes_with_container(str(settings.state)):
        logger.warning("state {} is not mounted: what is recorded there goes with this container", settings.state)
    make_folder(settings.state)
    stack.callback(take_lock(settings.state / LOCK, f"state {settings.state}"))
    manifest = Manifest.open(settings.state)
    stack.callback(manifest.close)
    return manifest


def _open(settings: Settings, stack: AsyncExitStack) -> tuple[Library, Manifest]:
    require_mounted(settings.library)
    manifest = open_state(settings, stack)
    library = Library.open(settings.library, expect=manifest.library_id())
    stack.callback(library.close)
    manifest.bind_library(library.id)
    if swept := library.sweep():
        logger.info("removed {} unfinished files of an interrupted run", swept)
    return library, manifest


def _for_staging(allowed: int) -> int:
    """How many of the files that this process may have open may be staged ones."""
    return max(16, allowed - min(NOT_STAGED, allowed // 3))


def _allow_open_files() -> int:
    """Staged files are open files without a name; shells commonly allow 1,024 and would grant more. What it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_OPEN if hard == resource.RLIM_INFINITY else min(FILES_OPEN, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
