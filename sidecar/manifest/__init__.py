"""The record of every file ever seen, keyed by content hash."""

from sidecar.manifest.findings import Finding, Unread
from sidecar.manifest.opening import make_folder
from sidecar.manifest.purges import Ended
from sidecar.manifest.rows import (
    CostRow,
    Item,
    JobRow,
    Known,
    MarkedFolder,
    Marks,
    NewFile,
    OpenPurge,
    Recorded,
    SourceKey,
    SourceTotals,
    Waiting,
)
from sidecar.manifest.search import Copy, ItemFilter, Search
from sidecar.manifest.sinkrows import Asked, Backfill, Due, SinkRow, Told
from sidecar.manifest.store import Manifest

__all__ = [
    "Asked",
    "Backfill",
    "Copy",
    "CostRow",
    "Due",
    "Ended",
    "Finding",
    "Item",
    "ItemFilter",
    "JobRow",
    "Known",
    "Manifest",
    "MarkedFolder",
    "Marks",
    "NewFile",
    "OpenPurge",
    "Recorded",
    "Search",
    "SinkRow",
    "SourceKey",
    "SourceTotals",
    "Told",
    "Unread",
    "Waiting",
    "make_folder",
]
