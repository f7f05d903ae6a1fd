"""Fetching in rounds: as planned first, then what did not come by other roads, until it came or is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sidecar.errors import AgentFailed, EngineUnreachable, MediaSyncError, SourceGone
from sidecar.models import FileStat, Road, Transfer
from sidecar.sync.account import Account
from sidecar.sync.committing import RootCommitter
from sidecar.sync.context import SyncOptions
from sidecar.sync.groups import CHANGED
from sidecar.sync.metering import Meter
from sidecar.sync.planner import Limits, plan
from sidecar.sync.transfer import Mover
from sidecar.transports.base import TransportAdapter

ROUNDS = 3  # as planned; then what did not come that way by other roads, file by file where it locks; then once more
# Files of one stream, each an open file until the stream has ended well; fewer for those that streams have failed
# already, because one that cannot be read may spoil the stream of all.
STREAM_FILES = (2000, 50, 1)
REPLANS = 2  # rounds that may end with folders not read because of what was learned; after that none is read whole


class Rounds:
    """The rounds of one pass over one root; remembers which roads failed a file, and why."""

    def __init__(self, adapter: TransportAdapter, mover: Mover, account: Account, root: bytes, options: SyncOptions,
                 meter: Meter, first: frozenset[Road] = frozenset(Road)) -> None:  # fmt: skip
        self._adapter = adapter
        self._mover = mover
        self._account = account
        self._root = root
        self._options = options
        self._meter = meter
        self._first = first  # roads that are taken before others, where there is one of them
        self._replans = 0
        self._tried: dict[bytes, list[Road]] = {}
        self._reasons: dict[bytes, str] = {}

    async def fetch(self, wanted: Sequence[FileStat], committer: RootCommitter) -> None:
        """Transfer until every file came, or is listed with the reason why it did not."""
        left = list(wanted)
        self._tried = {stat.path: [] for stat in left}
        rounds = 0
        while rounds < ROUNDS:
            replans = self._replans
            left = await self._round(left, committer)
            if not left:
                return
            rounds += self._replans == replans
        await self._give_up_present(left)

    async def _round(self, left: list[FileStat], committer: RootCommitter) -> list[FileStat]:
        """One round; answers what did not come."""
        transfers = await asyncio.to_thread(self._plan, left)
        self._meter.begin_round()
        try:
            moved = await self._mover.run(transfers, committer.prepare)
        except (SourceGone, AgentFailed, EngineUnreachable) as error:
            self._give_up([stat for stat in left if stat.path in self._account.waiting], {}, str(error))
            raise
        report = self._account.report
        self._account.received(moved.received, moved.froze)
        for road, count in moved.roads.items():
            report.road[road] += count
        self._reasons |= moved.broken | {p.path: p.reason for p in moved.failed}
        for transfer in moved.begun:
            for stat in transfer.files:
                self._tried[stat.path].append(transfer.road)
        self._replans += len(moved.begun) < len(transfers)
        left = [stat for stat in left if stat.path not in moved.delivered]
        if moved.lost is not None:
            self._give_up(left, {}, str(moved.lost))
            raise moved.lost
        return left

    def _plan(self, files: Sequence[FileStat]) -> list[Transfer]:
        """The next round: each file by a road that did not fail it yet, while there is one."""
        able = self._adapter.capabilities.roads
        if self._replans >= REPLANS:
            able -= {Road.FOLDER}
        alike: dict[tuple[frozenset[Road], int], list[FileStat]] = {}
        for stat in files:
            before = self._tried[stat.path]
            again = able - {Road.FOLDER} if before else able & self._first or able - {Road.FOLDER}
            roads = again - set(before) or again or able
            alike.setdefault((roads, before.count(Road.STREAM)), []).append(stat)
        transfers: list[Transfer] = []
        meter, most = self._meter, self._options.folder_files
        for (roads, streams), some in alike.items():
            in_stream = STREAM_FILES[min(streams, len(STREAM_FILES) - 1)]
            limits = Limits(meter.max_freeze, most, stream_files=min(in_stream, most))
            transfers += plan(some, meter.folders, roads, meter.costs, limits)
        return transfers

    async def _give_up_present(self, left: Sequence[FileStat]) -> None:
        """What did not come failed, unless it is not there any more: people delete pictures."""
        try:
            there = await self._adapter.restat(self._root, [stat.path for stat in left])
        except MediaSyncError:
            self._give_up(left, self._reasons, "it did not come")
            raise
        self._give_up([stat for stat in left if stat.path in there], self._reasons, "it did not come")
        for stat in left:
            if stat.path not in there:
                self._account.waits(stat, "vanished before it was read", fetched=False)

    def _give_up(self, left: Sequence[FileStat], reasons: Mapping[bytes, str], otherwise: str) -> None:
        for stat in left:
            reason = reasons.get(stat.path, otherwise)
            if reason == CHANGED:
                self._account.waits(stat, reason, fetched=False)
            else:
                self._account.failed(stat.path, reason)
