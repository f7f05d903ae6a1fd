"""An event of every type."""

from __future__ import annotations

from sidecar.events import (
    Event,
    EventType,
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
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.models import NS

SECRET = "hunter2hunter2"
WHY = f"cannot reach ssh://root:{SECRET}@box: no route"
PLACE = "j", "comfy", b"/o", b"a\xff.png"
HASH = b"\x01" * 32
VIEW = JobView(
    "j", Request(Action.RUN, Cause.API), JobState.PARTLY, 1, 2, 3,
    {"sync": [{"name": "a", "stored": 2, "problems": [{"path": "token=is_a_name.png", "reason": WHY}]}],
     "purge": [{"name": "a", "purged": 1, "refused": WHY, "error": None, "files": [{"path": "b", "reason": WHY}]}]},
    WHY,
)  # fmt: skip
EVERY: dict[EventType, Event] = {
    "file.discovered": FileDiscovered(*PLACE, 5, 6),
    "file.stored": FileStored(*PLACE, b"comfy/a.png", HASH, 5, False, "no end"),
    "file.duplicate": FileStored(*PLACE, b"comfy/a.png", HASH, 5, True, None),
    "file.skipped": FileSkipped(*PLACE, "not media"),
    "file.failed": FileFailed(*PLACE, WHY),
    "file.verified": FileVerified(*PLACE, b"comfy/a.png", HASH, 5, "damaged", "damaged: other content"),
    "purge.planned": PurgePlanned(*PLACE, 5, True),
    "file.purged": FilePurged(*PLACE, 5),
    "file.kept": FileKept(*PLACE, WHY),
    "file.restored": FileRestored(*PLACE),
    "metadata.read": MetadataRead("", *PLACE[1:], b"comfy/a.png", HASH, (WHY,), True),
    "job.changed": JobChanged("j", "", VIEW),
    "job.done": JobDone("j", "", VIEW),
    "job.failed": JobFailed("j", "", VIEW),
    "purge.done": PurgeDone("j", "", VIEW),
    "source.changed": SourceChanged("", "comfy", "found", "running"),
    "source.slowed": SourceSlowed("j", "comfy", 3, 9 * NS, WHY),
    "source.recovered": SourceSlowed("j", "comfy", 0, 0, ""),
}
