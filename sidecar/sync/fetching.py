"""Bringing in what was decided on, for one root: plan, transfer, prove, commit."""

from __future__ import annotations

import asyncio
import math
import threading

from sidecar.errors import ConfigError
from sidecar.library import Library
from sidecar.manifest import Known, SourceKey
from sidecar.models import FileType, Road, Scan, Source, shown
from sidecar.progress import ProgressManager, by_folder
from sidecar.sync.account import Account
from sidecar.sync.committing import RootCommitter, companions_last
from sidecar.sync.context import Parts
from sidecar.sync.costs import remembered
from sidecar.sync.diff import Decision
from sidecar.sync.marks import unseen
from sidecar.sync.metering import Meter
from sidecar.sync.placing import Placer, folder_of_root
from sidecar.sync.planner import freights
from sidecar.sync.receiving import Receiver
from sidecar.sync.rounds import Rounds
from sidecar.sync.transfer import Mover
from sidecar.transports.base import TransportAdapter
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Fetching:
    """One root of a source in one job, and where everything about it goes. `number` is the root's place in `roots`."""

    parts: Parts
    job: str
    key: SourceKey
    source: Source
    number: int
    adapter: TransportAdapter
    progress: ProgressManager
    account: Account

    @property
    def root(self) -> bytes:
        """The root's path in the source."""
        return self.source.roots[self.number]

    async def fetch(self, scan: Scan, near: dict[bytes, Known], decision: Decision,
                    first: frozenset[Road] = frozenset(Road)) -> None:  # fmt: skip
        """Until each file of the decision came or is accounted for.

        `near` is what is known of these files and their companions; the roads `first` are taken before others.
        """
        parts = self.parts
        must_end = {stat.path: must for stat, must in decision.fetch.items()}
        placer = Placer(parts.library, parts.manifest, self.source.name, folder_of_root(self.source.roots, self.number))
        placer.recall(near, must_end)
        wanted = sorted(decision.fetch, key=companions_last)
        size = sum(stat.size for stat in wanted)
        self.progress.expect(
            len(wanted), size, self.source.name, by_folder((stat.path, stat.size) for stat in wanted), kind="sync"
        )
        able, options = self.adapter.capabilities, parts.options
        folders = await asyncio.to_thread(freights, [*scan.entries, *unseen(scan)])
        async with remembered(parts.manifest, able, parts.clock_ns) as book:
            meter = Meter(book, folders, options.max_freeze if able.reads_lock else math.inf)
            stop = threading.Event()
            receiver = Receiver(parts.library, self.source.name, self.progress, stop, parts.slots.memory)
            mover = Mover(self.adapter, self.root, receiver, options.bounds, parts.slots, meter, stop)
            rounds = Rounds(self.adapter, mover, self.account, self.root, options, meter, first)
            with RootCommitter(parts, self.job, self.key, self.root, self.adapter, placer, self.account,
                               must_end) as committer:  # fmt: skip
                await rounds.fetch(wanted, committer)


def require_apart(library: Library, scan: Scan) -> None:
    """A library inside the folder that is pulled would be pulled into itself, deeper with every pass."""
    try:
        own = library.inode_of()
    except OSError:  # a dry run before there is a library
        return
    for entry in scan.entries:
        if entry.type is FileType.DIRECTORY and (entry.device, entry.inode) == own:
            where = f"{shown(scan.root)}/{shown(entry.path)}".rstrip("/")
            raise ConfigError(f"the library lies inside this source's folder, at {where}",
                              hint="choose a library elsewhere")  # fmt: skip
