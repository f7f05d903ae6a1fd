"""What goes over the wire is made of these. Times are ISO 8601 in UTC, sizes bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

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
    """A part of what is told."""

    model_config = ConfigDict(extra="forbid")
