"""What events are called where others are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from sidecar.events.happened import (
    Event,
    FileDiscovered,
    FileFailed,
    FileKept,
    FilePurged,
    FileRestored,
    FileSkipped,
    FileStored,
    FileVerified,
    JobChanged,
    JobDone,
    JobFailed,
    MetadataRead,
    PurgeDone,
    PurgePlanned,
    SourceChanged,
    SourceSlowed,
)

FrequentType = Literal["file.discovered", "file.skipped", "file.verified", "purge.planned"]
EventType = Literal[
    FrequentType,
    "file.stored",
    "file.duplicate",
    "file.failed",
    "file.purged",
    "file.kept",
    "file.restored",
    "metadata.read",
    "job.changed",
    "job.done",
    "job.failed",
    "purge.done",
    "source.changed",
    "source.slowed",
    "source.recovered",
]
TYPES: tuple[EventType, ...] = get_args(EventType)

# what comes in thousands, and is told to those who ask for it by name
FREQUENT: Mapping[type[Event], FrequentType] = {
    FileDiscovered: "file.discovered",
    FileSkipped: "file.skipped",
    FileVerified: "file.verified",
    PurgePlanned: "purge.planned",
}
_TYPES: Mapping[type[Event], EventType] = {
    **FREQUENT,
    FileStored: "file.stored",
    FileFailed: "file.failed",
    FilePurged: "file.purged",
    FileKept: "file.kept",
    FileRestored: "file.restored",
    MetadataRead: "metadata.read",
    JobChanged: "job.changed",
    JobDone: "job.done",
    JobFailed: "job.failed",
    PurgeDone: "purge.done",
    SourceChanged: "source.changed",
    SourceSlowed: "source.slowed",
}


def type_of(event: Event) -> EventType | None:
    """What an event is called where others are told of it; None for one that is nobody's business."""
    if isinstance(event, FileStored) and event.duplicate:
        return "file.duplicate"
    if isinstance(event, SourceSlowed) and not event.until_ns:
        return "source.recovered"
    return _TYPES.get(type(event))
