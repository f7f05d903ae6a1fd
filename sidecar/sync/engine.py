"""One pass over all roots of a source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from sidecar.errors import Cancelled, LibraryFull, MediaSyncError, Refused
from sidecar.events import Bus
from sidecar.library import Library
from sidecar.manifest import Manifest, SourceKey
from sidecar.models import Source
from sidecar.progress import ProgressManager
from sidecar.sync.account import Account
from sidecar.sync.context import Parts, SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.fetching import Fetching
from sidecar.sync.pulling import Pull, Pulled
from sidecar.sync.report import SyncReport
from sidecar.sync.root import RootPass
from sidecar.sync.slots import Slots
from sidecar.transports.base import TransportAdapter

_FATAL = (Refused, LibraryFull, Cancelled)  # they concern every source


class SyncEngine:
    """Pulls sources into the library. Knows transports by their contract alone.

    `slots` are shared by all engines of a process; without them this one has its own.
    """

    def __init__(self, library: Library, manifest: Manifest, options: SyncOptions, bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns, slots: Slots | None = None) -> None:  # fmt: skip
        self._parts = Parts(library, manifest, options, bus, slots or Slots(options.bounds.parallel), clock_ns)

    @property
    def settling(self) -> Settling:
        """How long files are left alone."""
        return self._parts.options.settling

    async def run(self, job: str, source: Source, adapter: TransportAdapter, progress: ProgressManager) -> SyncReport:
        """One pass over all roots of a source.

        What went wrong with single files, or with the source as a whole, is in the report; errors of the library and
        the manifest are raised, for they concern every source.
        """
        report = _report(source)
        with self._accounted(report, progress):
            key = await asyncio.to_thread(self._key, source)
            passes = [RootPass(self._parts, job, key, source, number, adapter, progress)
                      for number in range(len(source.roots))]  # fmt: skip
            try:
                await _all_roots(passes)
            finally:
                for one in passes:
                    report.add(one.report)
        return report

    async def pull(self, job: str, source: Source, adapter: TransportAdapter, root: bytes, paths: Collection[bytes],
                   progress: ProgressManager, now_ns: int) -> Pulled:  # fmt: skip
        """Look at these paths of a root and store what is finished among them, without a scan.

        Decides as a pass does; `now_ns` is the source's own clock, ns since the epoch. Errors as with `run`: what has
        to be tried again because of one is in the answer.
        """
        pulled = Pulled(_report(source))
        account = Account(job, source.name, root, pulled.report, self._parts.bus, self._parts.clock_ns)
        with self._accounted(pulled.report, progress):
            key = await asyncio.to_thread(self._known_key, source)
            number = source.roots.index(root)
            at = Fetching(self._parts, job, key, source, number, adapter, progress, account)
            await Pull(at, paths, now_ns).run(pulled)
        if pulled.report.error is not None:
            pulled.again |= frozenset(paths) - pulled.later.keys()
        return pulled

    @contextmanager
    def _accounted(self, report: SyncReport, progress: ProgressManager) -> Iterator[None]:
        """What goes wrong with the source goes into its report; what concerns every source is raised."""
        started = time.monotonic()
        try:
            self._parts.library.check_marker()
            yield
        except _FATAL:
            raise
        except MediaSyncError as error:
            report.error = error
        finally:
            progress.finish(report.name)
        report.seconds = time.monotonic() - started

    def _key(self, source: Source) -> SourceKey:
        if self._parts.options.dry_run:
            return self._parts.manifest.look_up(source)
        return self._parts.manifest.enter(source, self._parts.clock_ns())

    def _known_key(self, source: Source) -> SourceKey:
        """The same without writing where there is nothing new: a look at one file is frequent."""
        key = self._parts.manifest.look_up(source)
        return self._key(source) if -1 in (key.source_id, key.generation_id) else key


async def _all_roots(passes: Sequence[RootPass]) -> None:
    """Look at the roots one after the other, for they share an agent, then fetch from them side by side.

    One that cannot be looked at does not keep those before it from being fetched. Raises the first error.
    """
    errors: list[MediaSyncError] = []
    looked: list[RootPass] = []
    for one in passes:
        with _kept(errors):
            await one.look()
            looked.append(one)
        if errors:
            break

    async def fetch(one: RootPass) -> None:
        with _kept(errors):
            await one.fetch()

    try:
        async with asyncio.TaskGroup() as group:
            for one in looked:
                group.create_task(fetch(one), name="root")
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    if errors:
        raise errors[0]


@contextmanager
def _kept(errors: list[MediaSyncError]) -> Iterator[None]:
    """What goes wrong with one root is no reason to leave the others; what concerns every source is raised."""
    try:
        yield
    except _FATAL:
        raise
    except MediaSyncError as error:
        errors.append(error)


def _report(source: Source) -> SyncReport:
    roots = ";".join(root.decode("utf-8", "backslashreplace") for root in source.roots)
    return SyncReport(source.name, source.container, roots, source.transport)
