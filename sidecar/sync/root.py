"""One pass over one root: scan, decide, fetch."""

from __future__ import annotations

import asyncio

from sidecar.manifest import SourceKey
from sidecar.models import Source
from sidecar.progress import ProgressManager
from sidecar.sync.account import Account
from sidecar.sync.context import Parts
from sidecar.sync.fetching import Fetching, require_apart
from sidecar.sync.look import Look, Place, keep_marks, known_beside, look
from sidecar.sync.report import SyncReport
from sidecar.transports.base import TransportAdapter


class RootPass:
    """The state of one pass over one root: `look`, then `fetch` beside other roots. What came of it is in `report`."""

    def __init__(self, parts: Parts, job: str, key: SourceKey, source: Source, number: int,
                 adapter: TransportAdapter, progress: ProgressManager) -> None:  # fmt: skip
        self.report = SyncReport(source.name, source.container, "", source.transport)
        self._found: Look | None = None
        self._begun = 0
        self._parts = parts
        self._key = key
        self._root = source.roots[number]
        self._place = Place(key, self._root, source.rules)
        self._adapter = adapter
        self._account = Account(job, source.name, self._root, self.report, parts.bus, parts.clock_ns)
        self._fetching = Fetching(parts, job, key, source, number, adapter, progress, self._account)

    async def look(self) -> None:
        """Scan and decide. Raises what concerns the root, or the manifest, as a whole."""
        options, account = self._parts.options, self._account
        self._begun = self._parts.clock_ns()
        found = await look(self._parts.manifest, self._place, self._adapter, options, self._begun)
        require_apart(self._parts.library, found.scan)
        account.listed(found.scan.received, found.scan.froze)
        await asyncio.to_thread(account.decided, found.decision, found.waiting)  # it may have thousands to tell
        if options.dry_run:
            account.previewed(found.decision)
        else:
            self._found = found

    async def fetch(self) -> None:
        """Bring in what was decided on; nothing in a dry run. Raises as `look` does, and what concerns the library."""
        if self._found is None:
            return
        manifest, account, found = self._parts.manifest, self._account, self._found
        decision = found.decision
        if decision.moved_on or decision.vanished:
            now = self._parts.clock_ns()
            await asyncio.to_thread(manifest.confirm, self._key, decision.moved_on, now, decision.vanished)
        try:
            if decision.fetch:
                near = await asyncio.to_thread(known_beside, manifest, self._place, found.scan, decision)
                await self._fetching.fetch(found.scan, near, decision)
        finally:
            if account.waiting != found.waiting:
                await asyncio.to_thread(manifest.set_waiting, self._key, self._root, account.waiting)
        await asyncio.to_thread(keep_marks, manifest, self._place, found, account.waiting, self._begun)
