"""What each type of event says besides its head: the shape of its `data`, and how it is made from the event.

Names of files are shown as everywhere, reasons are without secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from sidecar.events import (
    EventType,
    FileDiscovered,
    FileEvent,
    FileFailed,
    FileKept,
    FileSkipped,
    FileStored,
    FileVerified,
    JobDone,
    JobFailed,
    MetadataRead,
    Outcome,
    PurgeDone,
    PurgePlanned,
    SourceChanged,
    SourceSlowed,
)
from sidecar.jobs.job import Action
from sidecar.jobs.outcomes import entries, total, why_not
from sidecar.logs import SECRETS
from sidecar.models import shown
from sidecar.telling.jobs import JobShape, job
from sidecar.telling.shapes import Hash, Shape, Time, maybe_moment, moment


class FileData(Shape):
    """Which file it is about."""

    root: str = Field(description="The output folder in the source.", examples=["/basedir/output"])
    path: str = Field(description="Relative to its root.", examples=["2026-03-01/ComfyUI_00001_.png"])


class DiscoveredData(FileData):
    """A file that is not in the library as it is now, and is going to be pulled."""

    size: int
    mtime_ns: int = Field(description="When the generator wrote it, ns since the epoch.")


class StoredData(FileData):
    """A file that is in the library, durable and recorded."""

    library_path: str = Field(description="Relative to the library.")
    hash: Hash
    size: int
    incomplete: str | None = Field(description="What is missing from it; null when it is whole.")


class ReasonData(FileData):
    """A file, and why this happened to it."""

    reason: str


class VerifiedData(FileData):
    """A copy that was read again from the disk."""

    library_path: str = Field(description="Relative to the library.")
    hash: Hash = Field(description="What was stored.")
    size: int
    outcome: Outcome = Field(description="`given_up`: missing, because somebody deleted it on purpose and said so.")
    reason: str = Field(description='What is wrong with it; "" for nothing.')


class PlannedData(FileData):
    """An original that a purge is about to prove and delete; in a dry run, that it would."""

    size: int
    dry_run: bool


class PurgedData(FileData):
    """An original that was deleted."""

    size: int


class MetadataData(FileData):
    """A stored file that was looked into. One that has several places in the library is told of once."""

    library_path: str = Field(description="Relative to the library.")
    hash: Hash
    problems: list[str] = Field(description="What could not be found out, or is wrong with it.")
    thumbnail: bool = Field(description="Whether there is a small picture of it.")


class JobData(Shape):
    """What a job came to."""

    action: str = Field(description="sync, purge, run or verify.")
    cause: str = Field(description="Who asked: command, start, schedule, event, watch or api.")
    state: str = Field(description="done, partly or failed.")
    started_at: Time | None
    ended_at: Time | None
    stored: int
    bytes_stored: int
    purged: int
    bytes_freed: int
    failed: int
    problem: str | None = Field(description="Why it did not do all that it was to; null if it did.")


class PurgedSource(Shape):
    """What a purge did to one source."""

    name: str
    purged: int
    bytes_freed: int
    failed: int
    refused: str | None


class PurgeData(Shape):
    """What a job's purge came to."""

    cause: str
    state: str
    purged: int
    bytes_freed: int
    sources: list[PurgedSource]


class ChangedData(Shape):
    """A source that discovery found, lost, or found in another state."""

    change: Literal["found", "gone", "changed"]
    state: str = Field(description='Its container\'s state; "" where there is none any more.')


class SlowedData(Shape):
    """A source that keeps failing, and is left alone for a while."""

    failures: int = Field(description="In a row.")
    until: Time
    reason: str


class RecoveredData(Shape):
    """A source that works again, or that nobody waits for any more."""


def _file(event: FileEvent) -> dict[str, str]:
    return {"root": shown(event.root), "path": shown(event.path)}


def _stored(event: FileStored) -> StoredData:
    return StoredData(**_file(event), library_path=shown(event.library_path), hash=event.sha256.hex(), size=event.size,
                      incomplete=event.incomplete)  # fmt: skip


def _why(event: FileSkipped | FileFailed | FileKept) -> ReasonData:
    return ReasonData(**_file(event), reason=SECRETS.hide(event.reason))


def _verified(event: FileVerified) -> VerifiedData:
    return VerifiedData(**_file(event), library_path=shown(event.library_path), hash=event.sha256.hex(),
                        size=event.size, outcome=event.outcome, reason=event.reason)  # fmt: skip


def _read(event: MetadataRead) -> MetadataData:
    return MetadataData(**_file(event), library_path=shown(event.library_path), hash=event.sha256.hex(),
                        problems=[SECRETS.hide(one) for one in event.problems], thumbnail=event.thumbnail)  # fmt: skip


def _ended(event: JobDone | JobFailed) -> JobData:
    view = event.view
    return JobData(
        action=view.request.action,
        cause=view.request.cause,
        state=view.state,
        started_at=maybe_moment(view.started_ns),
        ended_at=maybe_moment(view.ended_ns),
        stored=total(view, "stored"),
        bytes_stored=total(view, "bytes_stored"),
        purged=total(view, "purged"),
        bytes_freed=total(view, "bytes_freed"),
        failed=total(view, "failed"),
        problem=SECRETS.hide(why_not(view)) or None,
    )


def _purged(event: PurgeDone) -> PurgeData:
    view = event.view
    each = [
        PurgedSource(name=source, purged=int(entry.get("purged") or 0), bytes_freed=int(entry.get("bytes_freed") or 0),
                     failed=int(entry.get("failed") or 0), refused=SECRETS.hide(entry.get("refused") or "") or None)
        for source, action, entry in entries(view) if action is Action.PURGE
    ]  # fmt: skip
    return PurgeData(cause=view.request.cause, state=view.state, purged=total(view, "purged"),
                     bytes_freed=total(view, "bytes_freed"), sources=each)  # fmt: skip


def _changed(event: SourceChanged) -> ChangedData:
    return ChangedData(change=event.change, state=event.state)


def _slowed(event: SourceSlowed) -> SlowedData:
    return SlowedData(failures=event.failures, until=moment(event.until_ns), reason=SECRETS.hide(event.reason))


def _discovered(event: FileDiscovered) -> DiscoveredData:
    return DiscoveredData(**_file(event), size=event.size, mtime_ns=event.mtime_ns)


def _planned(event: PurgePlanned) -> PlannedData:
    return PlannedData(**_file(event), size=event.size, dry_run=event.dry_run)


# for each type the shape of its data, what makes it from an event, and what it says in a sentence
DATA: Mapping[EventType, tuple[type[Shape], Callable[[Any], Shape], str]] = {
    "file.discovered": (DiscoveredData, _discovered, "A scan found a file that is going to be pulled."),
    "file.stored": (StoredData, _stored, "A file is in the library."),
    "file.duplicate": (StoredData, _stored, "A file is in the library whose content was there before."),
    "file.skipped": (ReasonData, _why, "A file is none that is pulled; told once, and not in each pass."),
    "file.failed": (ReasonData, _why, "A file could not be stored in this pass."),
    "file.verified": (VerifiedData, _verified, "A copy was read again and compared."),
    "purge.planned": (PlannedData, _planned, "A purge is about to prove an original and to delete it."),
    "file.purged": (PurgedData, lambda e: PurgedData(**_file(e), size=e.size), "An original was deleted."),
    "file.kept": (ReasonData, _why, "An original was to be deleted and was kept."),
    "file.restored": (FileData, lambda e: FileData(**_file(e)), "What an interrupted purge moved away is back."),
    "metadata.read": (MetadataData, _read, "A stored file was looked into."),
    "job.changed": (JobShape, lambda e: job(e.view), "A job was queued, began, or ended."),
    "job.done": (JobData, _ended, "A job did something, or somebody asked for it, and all went well."),
    "job.failed": (JobData, _ended, "A job did not come to its end, or left something undone."),
    "purge.done": (PurgeData, _purged, "A job deleted originals, or could not."),
    "source.changed": (ChangedData, _changed, "A source appeared, went, or changed its state."),
    "source.slowed": (SlowedData, _slowed, "A source keeps failing and is left alone for a while."),
    "source.recovered": (RecoveredData, lambda _: RecoveredData(), "A source works again."),
}
