"""The record of every file ever seen, keyed by content hash."""

from sidecar.manifest.opening import make_folder
from sidecar.manifest.rows import Item, JobRow, Known, NewFile, OpenPurge, SourceKey, SourceTotals, Waiting
from sidecar.manifest.search import Copy, ItemFilter, Search
from sidecar.manifest.store import Manifest

__all__ = [
    "Copy",
    "Item",
    "ItemFilter",
    "JobRow",
    "Known",
    "Manifest",
    "NewFile",
    "OpenPurge",
    "Search",
    "SourceKey",
    "SourceTotals",
    "Waiting",
    "make_folder",
]
