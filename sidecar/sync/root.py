"""One pass over one root: scan, decide, fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sidecar.errors import ConfigError
from sidecar.manifest import SourceKey
from sidecar.models import FileStat, FileType, Scan, Source, shown
from sidecar.progress import ProgressManager
from sidecar.sync.account import Account
from sidecar.sync.committing import RootCommitter, companions_last
from sidecar.sync.context import Parts
from sidecar.sync.diff import Decision
from sidecar.sync.look import Place, keep_marks, known_beside, look
from sidecar.sync.placing import Placer, folder_of_root
from sidecar.sync.report import SyncReport
from sidecar.sync.rounds import Rounds
from sidecar.sync.transfer import Mover
from sidecar.transports.base import TransportAdapter


class RootPass:
    """The state of one pass over one root; what came of it is added to the report."""

    def __init__(self, parts: Parts, job: str, key: SourceKey, source: Source, number: int,
                 adapter: TransportAdapter, progress: ProgressManager, report: SyncReport) -> None:  # fmt: skip
        self._parts = parts
        self._job = job
        self._key = key
        self._source = source
        self._number = number
        self._root = source.roots[number]
        self._place = Place(key, self._root, source.rules)
        self._adapter = adapter
        self._progress = progress
        self._account = Account(job, source.name, report, parts.bus, parts.clock_ns)

    async def run(self) -> None:
        """Raises what concerns the root, or the library and the manifest, as a whole."""
        manifest, options, account = self._parts.manifest, self._parts.options, self._account
        begun = self._parts.clock_ns()
        found = await look(manifest, self._place, self._adapter, options, begun)
        scan, decision = found.scan, found.decision
        self._require_apart(scan)
        account.report.bytes_listed += scan.received
        account.decided(decision)
        if options.dry_run:
            account.previewed(decision)
            return
        if decision.moved_on or decision.vanished:
            now = self._parts.clock_ns()
            await asyncio.to_thread(manifest.confirm, self._key, decision.moved_on, now, decision.vanished)
        try:
            if decision.fetch:
                await self._fetch(scan, decision)
        finally:
            if account.waiting != found.waiting:
                await asyncio.to_thread(manifest.set_waiting, self._key, self._root, account.waiting)
        await asyncio.to_thread(keep_marks, manifest, self._place, found, account.waiting, begun)

    def _require_apart(self, scan: Scan) -> None:
        """A library inside the folder that is pulled would be pulled into itself, deeper with every pass."""
        try:
            own = self._parts.library.inode_of()
        except OSError:  # a dry run before there is a library
            return
        for entry in scan.entries:
            if entry.type is FileType.DIRECTORY and (entry.device, entry.inode) == own:
                where = f"{shown(self._root)}/{shown(entry.path)}".rstrip("/")
                raise ConfigError(f"the library lies inside this source's folder, at {where}",
                                  hint="choose a library elsewhere")  # fmt: skip

    async def _fetch(self, scan: Scan, decision: Decision) -> None:
        parts, source = self._parts, self._source
        must_end = {stat.path: must for stat, must in decision.fetch.items()}
        placer = Placer(parts.library, parts.manifest, source.name, folder_of_root(source.roots, self._number))
        placer.recall(await asyncio.to_thread(known_beside, parts.manifest, self._place, decision), must_end)
        wanted = sorted(decision.fetch, key=companions_last)
        size = sum(stat.size for stat in wanted)
        self._progress.expect(len(wanted), size, source.name, _by_folder(wanted), kind="sync")
        mover = Mover(self._adapter, parts.library, source.name, self._root, parts.options.bounds, self._progress)
        rounds = Rounds(self._adapter, mover, self._account, scan, parts.options)
        with RootCommitter(parts, self._job, self._key, self._root, self._adapter, placer, self._account,
                           must_end) as committer:  # fmt: skip
            await rounds.fetch(wanted, committer)


def _by_folder(files: Sequence[FileStat]) -> dict[str, tuple[int, int]]:
    """Files and bytes of each folder, by its name as it is shown."""
    found: dict[bytes, tuple[int, int]] = {}
    for stat in files:
        folder = stat.path.rpartition(b"/")[0]
        count, size = found.get(folder, (0, 0))
        found[folder] = (count + 1, size + stat.size)
    return {shown(folder): counts for folder, counts in found.items()}
