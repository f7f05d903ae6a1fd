"""What jobs work with, and what the parts of one job share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import field

from sidecar.config import Settings
from sidecar.errors import Cancelled, LibraryFull, MediaSyncError, Refused
from sidecar.events import Bus
from sidecar.jobs.catalog import Catalog
from sidecar.jobs.job import ASKED, PASSING, Cause, Request
from sidecar.jobs.patience import Patience
from sidecar.jobs.report import JobReport
from sidecar.jobs.writers import Writers
from sidecar.library import Library
from sidecar.manifest import Manifest
from sidecar.models import Source
from sidecar.progress import ProgressManager
from sidecar.sync.slots import Slots
from sidecar.transports.base import TransportAdapter
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts of a process that every job uses. `slots` are what all sources that are pulled at once share."""

    settings: Settings
    catalog: Catalog
    library: Library
    manifest: Manifest
    bus: Bus
    writers: Writers
    patience: Patience
    slots: Slots
    clock_ns: Callable[[], int] = time.time_ns


@dataclass(slots=True)
class Job:
    """One job under way. `named` are the sources that somebody asked for by name."""

    request: Request
    report: JobReport
    progress: ProgressManager
    named: frozenset[str] = frozenset()
    on_looked: Callable[[], None] = field(default=lambda: None)

    @property
    def passing(self) -> bool:
        """Whether it is one of the passes that come by themselves, which leave to others what others do."""
        return self.request.cause in PASSING

    @property
    def pressing(self) -> bool:
        """Whether it cannot wait for passes: a container has just started, or stopped and may be removed at once."""
        return self.request.cause is Cause.EVENT and bool(self.named)

    @property
    def sparing(self) -> bool:
        """Whether it leaves sources alone that keep failing: nobody asked, and none of their containers changed."""
        return self.request.cause not in ASKED and not self.pressing


def concerns_all(error: MediaSyncError) -> bool:
    """Whether no other source can do better than the one that met this."""
    return isinstance(error, Refused | LibraryFull | Cancelled)


@asynccontextmanager
async def reached(catalog: Catalog, source: Source
                  ) -> AsyncIterator[tuple[TransportAdapter | None, MediaSyncError | None]]:  # fmt: skip
    """The way to a source, or why there is none."""
    entered = False
    try:
        async with catalog.reached(source) as adapter:
            entered = True
            yield adapter, None
    except MediaSyncError as error:
        if entered:
            raise
        yield None, error
