"""What happens, and who hears of it.

`happened` are the events as values, `types` their names; `bus` brings each one to whoever listens. How an event looks
as JSON is said in `sidecar.telling.wire`, once for all who are told.
"""

from sidecar.events.bus import Bus, Listener
from sidecar.events.happened import (
    Event,
    FileDiscovered,
    FileEvent,
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
    Outcome,
    PurgeDone,
    PurgePlanned,
    SinkTold,
    SourceChanged,
    SourceRead,
    SourceSlowed,
)
from sidecar.events.types import FREQUENT, TYPES, EventType, FrequentType, type_of

__all__ = [
    "FREQUENT",
    "TYPES",
    "Bus",
    "Event",
    "EventType",
    "FileDiscovered",
    "FileEvent",
    "FileFailed",
    "FileKept",
    "FilePurged",
    "FileRestored",
    "FileSkipped",
    "FileStored",
    "FileVerified",
    "FrequentType",
    "JobChanged",
    "JobDone",
    "JobFailed",
    "Listener",
    "MetadataRead",
    "Outcome",
    "PurgeDone",
    "PurgePlanned",
    "SinkTold",
    "SourceChanged",
    "SourceRead",
    "SourceSlowed",
    "type_of",
]
