"""What goes over the wire, as models: the schema in /openapi.json is made of these.

Times are ISO 8601 in UTC; `mtime_ns` is what `list --json` prints, ns since the epoch. Sizes are bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sidecar.models import NS

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-03-01T12:00:00.250Z"])]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["9f86d081884c7d659a2feaa0c55ad015" * 2])]
Name = Annotated[str, Field(max_length=63, pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["comfyui"])]


def moment(ns: int) -> str:
    """A time in ns since the epoch as ISO 8601, in milliseconds; what no calendar holds becomes its nearest end."""
    seconds = min(max(ns // NS, -62135596800), 253402300799)
    made = datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns % NS // 1_000_000 * 1000)
    return made.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_moment(ns: int | None) -> str | None:
    """`moment`, where there may be none."""
    return None if ns is None else moment(ns)


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


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
