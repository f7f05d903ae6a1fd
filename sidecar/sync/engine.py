"""One pass over all roots of a source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sidecar.errors import Cancelled, LibraryFull, MediaSyncError, Refused
from sidecar.events import Bus
from sidecar.library import Library
from sidecar.manifest import Manifest, SourceKey
from sidecar.models import Source
from sidecar.progress import ProgressManager
from sidecar.sync.context import Parts, SyncOptions
from sidecar.sync.report import SyncReport
from sidecar.sync.root import RootPass
from sidecar.transports.base import TransportAdapter


class SyncEngine:
    """Pulls sources into the library. Knows transports by their contract alone."""

    def __init__(self, library: Library, manifest: Manifest, options: SyncOptions, bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._parts = Parts(library, manifest, options, bus, clock_ns)

    async def run(self, job: str, source: Source, adapter: TransportAdapter, progress: ProgressManager) -> SyncReport:
        """One pass over all roots of a source.

        What went wrong with single files, or with the source as a whole, is in the report; errors of the library and
        the manifest are raised, for they concern every source.
        """
        roots = ";".join(root.decode("utf-8", "backslashreplace") for root in source.roots)
        report = SyncReport(source.name, source.container, roots, source.transport)
        started = time.monotonic()
        try:
            self._parts.library.check_marker()
            key = await asyncio.to_thread(self._key, source)
            for number in range(len(source.roots)):
                await RootPass(self._parts, job, key, source, number, adapter, progress, report).run()
        except (Refused, LibraryFull, Cancelled):
            raise
        except MediaSyncError as error:
            report.error = error
        finally:
            progress.finish(source.name)
        report.seconds = time.monotonic() - started
        return report

    def _key(self, source: Source) -> SourceKey:
        if self._parts.options.dry_run:
            return self._parts.manifest.look_up(source)
        return self._parts.manifest.enter(source, self._parts.clock_ns())
