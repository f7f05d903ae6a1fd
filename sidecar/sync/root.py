"""One pass over one root: scan, decide, fetch."""

from __future__ import annotations

import asyncio

from sidecar.manifest import SourceKey
from sidecar.models import Source
from sidecar.progress import ProgressManager
from sidecar.sync.account import Account
from sidecar.sync.context import Parts
from sidecar.sync.fetching import Fetching, require_apart
from sidecar.sync.look import Place, keep_marks, known_beside, look
from sidecar.sync.report import SyncReport
from sidecar.transports.base import TransportAdapter


class RootPass:
    """The state of one pass over one root; what came of it is added to the report."""

    def __init__(self, parts: Parts, job: str, key: SourceKey, source: Source, number: int,
                 adapter: TransportAdapter, progress: ProgressManager, report: SyncReport) -> None:  # fmt: skip
        self._parts = parts
        self._key = key
        self._root = source.roots[number]
        self._place = Place(key, self._root, source.rules)
        self._adapter = adapter
        self._account = Account(job, source.name, report, parts.bus, parts.clock_ns)
        self._fetching = Fetching(parts, job, key, source, number, adapter, progress, self._account)

    async def run(self) -> None:
        """Raises what concerns the root, or the library and the manifest, as a whole."""
        manifest, options, account = self._parts.manifest, self._parts.options, self._account
        begun = self._parts.clock_ns()
        found = await look(manifest, self._place, self._adapter, options, begun)
        scan, decision = found.scan, found.decision
        require_apart(self._parts.library, scan)
        account.listed(scan.received, scan.froze)
        account.decided(decision)
        if options.dry_run:
            account.previewed(decision)
            return
        if decision.moved_on or decision.vanished:
            now = self._parts.clock_ns()
            await asyncio.to_thread(manifest.confirm, self._key, decision.moved_on, now, decision.vanished)
        try:
            if decision.fetch:
                near = await asyncio.to_thread(known_beside, manifest, self._place, decision)
                await self._fetching.fetch(scan, near, decision)
        finally:
            if account.waiting != found.waiting:
                await asyncio.to_thread(manifest.set_waiting, self._key, self._root, account.waiting)
        await asyncio.to_thread(keep_marks, manifest, self._place, found, account.waiting, begun)
