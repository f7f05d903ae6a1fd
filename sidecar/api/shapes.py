"""What goes over the wire, as models: the schema in /openapi.json is made of these.

Times are ISO 8601 in UTC; `mtime_ns` is what `list --json` prints, ns since the epoch. Sizes are bytes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sidecar.telling.jobs import JobShape
from sidecar.telling.shapes import Hash, Name, Shape, Time


class Asked(BaseModel):
    """The body of a request: keys that are not known are a mistake, not an extra."""

    model_config = ConfigDict(extra="forbid", strict=True)


# -- items ----------------------------------------------------------------------------------------------------------


class ItemShape(Shape):
    """A file that is, or was, in a source, and its copy. The same as `media-sync list --json` prints."""

    hash: Hash
    source: Name
    path: str = Field(description="Relative to its root in the source.", examples=["2026-03-01/ComfyUI_00001_.png"])
    library_path: str = Field(
        description="Relative to the library.", examples=["comfyui/2026-03-01/ComfyUI_00001_.png"]
    )
    size: int = Field(examples=[1843200])
    mtime_ns: int = Field(description="When the generator wrote it, ns since the epoch.")
    state: str = Field(description="stored, purged, vanished or replaced: what became of the original.")
    kind: str = Field(description="image, video, audio, mesh or text.", examples=["image"])
    incomplete: str | None = Field(description="What is missing from it; null when it is whole.")
    metadata: dict[str, Any] | None = Field(description="What the file says of its making; null where it is not known.")


class ItemPage(Shape):
    """A page of files, what was stored last first."""

    items: list[ItemShape]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.", examples=["199900"])


class Metadata(Shape):
    """What a file says of its making."""

    hash: Hash
    metadata: dict[str, Any] | None = Field(description="Null where nothing is known.")
    found: dict[str, Any] | None = Field(
        description="What other steps found out, by name: `type`, `integrity`; null until it was looked into."
    )
    problems: list[str] = Field(description="What could not be read, in a line each.")


# -- sessions and probes --------------------------------------------------------------------------------------------


class SessionAsked(Asked):
    """What a browser presents to begin a session."""

    token: str = Field(max_length=256, description="The token, read or control.", examples=["the-token-in-state/token"])


class SessionBegun(Shape):
    """A session: its cookie came with the answer and lets the browser look; `key` is sent to control."""

    scope: str = Field(description="read or control.", examples=["control"])
    expires_at: Time
    key: str = Field(description="To be sent as X-Media-Sync-Key with every request that is not GET or HEAD.")


class Whoami(Shape):
    """What was presented allows."""

    scope: str = Field(description="read or control.", examples=["read"])
    expires_at: Time | None = Field(description="When the session ends; null for a token.")


class Alive(Shape):
    """A probe's answer. It tells no names."""

    ok: bool
    checks: dict[str, bool] = Field(default_factory=dict, description="Each thing that was looked at.")


# -- jobs -----------------------------------------------------------------------------------------------------------


class JobPage(Shape):
    """Jobs, the newest first."""

    jobs: list[JobShape]
    next: str | None = Field(description="`before` of the next page; null on the last one.")


class JobAsked(Asked):
    """What is to be done. A purge that is no dry run is confirmed by the `id` of its preview, and by nothing else.

    A `run` is what a pass is: it also purges what is proven and old, where `purge.enabled` says so, without a preview.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "sync", "sources": ["comfyui"]}]}
    )

    action: Literal["sync", "purge", "run", "verify"] = Field(
        description="`run` is a sync and then, where `purge.enabled` is set, the purge that each pass makes: without a "
        "preview. To store and delete nothing whatever the settings say, ask for a `sync`."
    )
    sources: list[Name] = Field(default_factory=list, max_length=100, description="Only these; empty for all.")
    dry_run: bool = Field(False, description="Say what would be done, and change nothing.")
    preview: str | None = Field(None, max_length=64, description="The preview whose files are to be purged.")
    accept_missing: bool = Field(
        False, description="With `verify`: missing copies whose originals are gone were deleted on purpose."
    )


# -- what a purge would do ------------------------------------------------------------------------------------------


class PreviewAsked(Asked):
    """What is to be looked at."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sources": ["comfyui"]}]})

    sources: list[Name] = Field(default_factory=list, max_length=100, description="Only these; empty for all.")
    allow_empty: bool = Field(False, description="Whether a root of more than 20 files may be left empty.")


class PlannedFile(Shape):
    """One original, and what would become of it."""

    path: str
    size: int | None = Field(description="Null for what is kept.")
    outcome: str = Field(description="purge or kept.")
    reason: str = Field(description="Why it is kept.")


class PlannedSource(Shape):
    """What a purge would do to one source."""

    name: Name
    candidates: int = Field(description="Originals that would go.")
    bytes: int
    files: list[PlannedFile] = Field(description="A page of them: those that would go first.")
    files_total: int
    kept: dict[str, int] = Field(description="How many originals stay for each reason.")
    refused: str | None = Field(description="Why nothing of this source would be purged.")
    problem: str | None = Field(description="Why nobody could look at it.")


class Preview(Shape):
    """What a purge would do now. Confirmed by POST /api/v1/jobs with its `id`, once, before it expires."""

    id: str = Field(examples=["8f14e45fceea167a"])
    expires_at: Time
    enabled: bool = Field(description="Whether purging is switched on; if not, this cannot be confirmed.")
    sources: list[PlannedSource]


# -- sources and status ---------------------------------------------------------------------------------------------


class SlowedShape(Shape):
    """Why a source is left alone for a while."""

    failures: int = Field(description="In a row.")
    until: Time
    reason: str


class SourceShape(Shape):
    """A source: what discovery says of it now, and what is stored of it."""

    name: Name
    kind: str = Field(examples=["comfyui"])
    transport: str = Field(examples=["docker"])
    container: str
    state: str = Field(description="Its container's state; `gone` for one that is not there any more.")
    group: str
    roots: list[str] = Field(description="Its output folders.", examples=[["/basedir/output"]])
    purge: bool = Field(description="Whether it may be purged.")
    stored: int = Field(description="Files whose originals are there.")
    purged: int
    waiting: int = Field(description="Files that were not settled at the last look.")
    bytes: int = Field(description="Of all that was ever stored of it.")
    last_success: Time | None = Field(description="When it was last pulled without a fault.")
    slowed: SlowedShape | None
    reason: str = Field(description='Why it cannot be used; "" if it can.')
    hint: str


class LeftOutShape(Shape):
    """A container that could be a source and is none."""

    name: str
    container: str
    reason: str
    hint: str
    faulty: bool = Field(description="Whether somebody asked for it.")


class SourceList(Shape):
    """All sources, and what was left out."""

    sources: list[SourceShape]
    left_out: list[LeftOutShape]
    warnings: list[str]
    looked_at: Time | None = Field(description="When discovery last looked; null before it first could.")


class Safe(Shape):
    """The one answer: whether everything is safe. `ok` by the same rule as /readyz and the heartbeat."""

    ok: bool
    sentence: str = Field(examples=["the last pass ended well 12 s ago"])
    reasons: list[str] = Field(description="What is not well.")
    warnings: list[str] = Field(
        description="What somebody should look at while all else is safe.",
        examples=[["comfyui: 1 file could not be stored (permission denied); each pass tries again"]],
    )


class Part(Shape):
    """Whether a part of the service is well, and what there is to say of it."""

    ok: bool
    detail: str


class Passed(Shape):
    """The last pass that ended."""

    id: str
    state: str
    ended_at: Time


class JobCounts(Shape):
    """How many jobs there are now."""

    running: int
    queued: int


class Totals(Shape):
    """Of all sources. `bytes` is what was ever stored."""

    files: int
    bytes: int
    purged: int
    waiting: int


class Filling(Shape):
    """How far a backfill is: files are told in the order of their numbers."""

    at: int
    upto: int


class SinkShape(Shape):
    """A receiver of records, and how far it was told."""

    name: str
    type: str = Field(examples=["postgresql"])
    required: bool = Field(description="Whether a purge keeps what this sink has not got yet.")
    backlog: int = Field(description="Changes that it was not told of yet.")
    refused: int = Field(description="Files that it would not take.")
    unfilled: int = Field(description="Older files, which only a backfill tells it of.")
    retrying: bool = Field(description="Whether what it refused is being told once more.")
    filling: Filling | None = Field(description="The backfill under way.")
    told_at: Time | None = Field(description="When it last took something.")
    problem: str | None = Field(description="What keeps it from being told; null when nothing does.")


class SinkList(Shape):
    """The sinks of the settings."""

    sinks: list[SinkShape]


class Refusal(Shape):
    """A file that a sink would not take."""

    library_path: str
    reason: str
    at: Time


class SinkWithRefusals(SinkShape):
    """A sink, and what it would not take."""

    refusals: list[Refusal]


class Status(Shape):
    """What the page shows first."""

    safe: Safe
    engine: Part
    library: Part
    manifest: Part
    last_pass: Passed | None
    jobs: JobCounts
    sources: list[SourceShape]
    totals: Totals
    sinks: list[SinkShape]
    unread: int = Field(description="Stored files that are still to be looked into for type, metadata and thumbnail.")
    version: str
