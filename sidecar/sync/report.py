"""What one pass over one source did: the object that `sync --json` prints."""

from __future__ import annotations

from dataclasses import field
from itertools import chain, islice
from typing import Any

from sidecar.errors import MediaSyncError
from sidecar.models import Problem, Road, shown
from sidecar.values import dataclass


@dataclass(slots=True)
class SyncReport:
    """One source's pass. Counts are files, sizes bytes; `error` is why the source as a whole could not be pulled.

    `bytes_received` came to fetch files, `bytes_listed` with the lists of what there is. `failed` are
    files that should be in the library and are not; `skipped` and `unsettled` are no failures. In a dry run
    `would_store` and `bytes_to_store` say what a real one would fetch.
    """

    name: str
    container: str
    root: str
    transport: str
    road: dict[Road, int] = field(default_factory=lambda: dict.fromkeys(Road, 0))
    scanned: int = 0
    unchanged: int = 0
    stored: int = 0
    duplicates: int = 0
    vanished: int = 0
    bytes_stored: int = 0
    bytes_received: int = 0
    bytes_listed: int = 0
    seconds: float = 0.0
    skipped: list[Problem] = field(default_factory=list)
    unsettled: list[Problem] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    incomplete: list[Problem] = field(default_factory=list)
    error: MediaSyncError | None = None
    would_store: int = 0
    bytes_to_store: int = 0

    @property
    def ok(self) -> bool:
        """Whether every file that should be in the library is."""
        return not self.failed and self.error is None

    def add(self, part: SyncReport) -> None:
        """Count in what one of the source's roots came to."""
        for road, count in part.road.items():
            self.road[road] += count
        self.scanned += part.scanned
        self.unchanged += part.unchanged
        self.stored += part.stored
        self.duplicates += part.duplicates
        self.vanished += part.vanished
        self.bytes_stored += part.bytes_stored
        self.bytes_received += part.bytes_received
        self.bytes_listed += part.bytes_listed
        self.skipped += part.skipped
        self.unsettled += part.unsettled
        self.failed += part.failed
        self.incomplete += part.incomplete
        self.would_store += part.would_store
        self.bytes_to_store += part.bytes_to_store

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """The promised shape of `--json`, with `vanished` and `error` besides; no more than `most` problems in it."""
        lists = (self.failed, self.unsettled, self.skipped, self.incomplete)
        problems = [{"path": shown(p.path), "reason": p.reason} for p in islice(chain(*lists), most)]
        more = sum(map(len, lists)) - len(problems)
        if self.error:
            problems.insert(0, {"path": "", "reason": self.error.line()})
        told = {
            "name": self.name,
            "container": self.container,
            "root": self.root,
            "transport": self.transport,
            "road": {road.value: n for road, n in self.road.items()},
            "scanned": self.scanned,
            "unchanged": self.unchanged,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "unsettled": len(self.unsettled),
            "skipped": len(self.skipped),
            "failed": len(self.failed) + (self.error is not None),
            "vanished": self.vanished,
            "incomplete": len(self.incomplete),
            "bytes_stored": self.bytes_stored,
            "bytes_received": self.bytes_received,
            "bytes_listed": self.bytes_listed,
            "seconds": round(self.seconds, 3),
            "problems": problems,
        }
        return told | {"problems_more": more} if more else told
