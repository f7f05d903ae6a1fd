"""What is in the library: search, and the files themselves."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from sidecar.api import content
from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard
from sidecar.api.shapes import ItemPage, Metadata
from sidecar.manifest import Copy, ItemFilter
from sidecar.manifest.query import parse
from sidecar.models import NS, clamped

router = APIRouter(tags=["items"])

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the content, in hex.",
                             examples=["9f86d081884c7d659a2feaa0c55ad015" * 2])]  # fmt: skip
SourceName = Annotated[str, Field(max_length=63)]
_WRITTEN = "the generator wrote it; a date, or a date and time (UTC unless it says otherwise)."


class Wanted(BaseModel):
    """What is searched for, and which page of it."""

    source: list[SourceName] | None = Field(None, max_length=100, description="Only these sources; repeatable.")
    kind: list[Literal["image", "video", "audio", "mesh", "text"]] | None = Field(None, description="Only these.")
    state: list[Literal["stored", "purged", "vanished", "replaced"]] | None = Field(
        None, description="Only these; repeatable."
    )
    q: str = Field("", max_length=1000, description="Words and KEY:VALUE, as `media-sync list --query` takes them.",
                   examples=['seed:1234 "red fox" kind:video'])  # fmt: skip
    name: str = Field("", max_length=200, description="Part of the path in the source; ASCII letters in any case.")
    after: date | datetime | None = Field(None, description=f"Not before this {_WRITTEN}", union_mode="left_to_right")
    before: date | datetime | None = Field(None, description=f"Not after this {_WRITTEN}", union_mode="left_to_right")
    limit: int = Field(100, ge=1, le=500, description="Items on a page.")
    cursor: str | None = Field(None, pattern="^[0-9]{1,18}$", description="`next` of the page before.")

    def filter(self) -> ItemFilter:
        """The same for the manifest; a parameter goes before what the query says of the same. Raises ConfigError."""
        asked = parse(self.q, UTC)
        return replace(
            asked,
            sources=tuple(one.lower() for one in self.source or asked.sources),
            kinds=tuple(self.kind or asked.kinds),
            states=tuple(self.state or asked.states),
            name=self.name or asked.name,
            since_ns=asked.since_ns if self.after is None else _ns(self.after),
            until_ns=asked.until_ns if self.before is None else _ns(self.before, end=True),
        )


@router.get("/items", response_model=ItemPage, summary="Search what was stored, newest first")
async def search(board: TheBoard, wanted: Annotated[Wanted, Query()]) -> Any:
    """Files whose record is newest first. Pages join without gap or repetition, also while files arrive."""
    last = None if wanted.cursor is None else int(wanted.cursor)
    found = await asyncio.to_thread(board.search.items, wanted.filter(), limit=wanted.limit + 1, before=last)
    page = found[: wanted.limit]
    return {
        "items": [item.as_json() for item in page],
        "next": str(page[-1].file_id) if len(found) > wanted.limit else None,
    }


@router.get("/items/{hash}/metadata", response_model=Metadata, summary="What a file says of its making")
async def metadata(board: TheBoard, hash: Digest) -> Any:  # noqa: A002 (the name in the path)
    """The prompt and settings that it was made with, where they are known, its raw texts, and what the steps found."""
    copy = await _copy(board, hash)
    found = await asyncio.to_thread(board.search.finding, copy.sha256)
    told = dict(found.told) if found is not None else {}
    metadata = told.pop("metadata", None)
    if found is not None and found.raws:
        metadata = {**(metadata or {}), **found.raws}
    return {"hash": copy.sha256.hex(), "metadata": metadata, "found": told if found is not None else None,
            "problems": list(found.problems) if found is not None else []}  # fmt: skip


@router.head("/items/{hash}/content", response_class=Response, summary="What the file is")
@router.get("/items/{hash}/content", response_class=Response, summary="The file")
async def whole(board: TheBoard, request: Request, hash: Digest) -> Response:  # noqa: A002
    """The copy in the library, or a range of it. What browsers cannot run is shown, all else is a download."""
    copy = await _copy(board, hash)
    fd, path = await asyncio.to_thread(content.open_copy, board.tools.library, copy)
    return content.answer(fd, path, copy, request.headers, head=request.method == "HEAD")


@router.get("/items/{hash}/thumbnail", response_class=Response, summary="A small picture of the file")
async def thumbnail(board: TheBoard, request: Request, hash: Digest) -> Response:  # noqa: A002
    """A WebP, its longer side 512 pixels at most; until there is one, the original of an image that is small enough to
    be its own. 404 for any other file.
    """
    copy = await _copy(board, hash)
    small = await asyncio.to_thread(board.thumbnails.open, copy.sha256)
    if small is not None:
        made = Copy(copy.sha256, os.fstat(small).st_size, "image", None, ())
        return content.answer(small, b"thumbnail.webp", made, request.headers, head=False, variant="-thumbnail")
    if copy.size > content.THUMBNAIL_MOST or copy.kind != "image":
        raise Problem(404, "there is no thumbnail of this file")
    fd, path = await asyncio.to_thread(content.open_copy, board.tools.library, copy)
    stand_in = content.answer(fd, path, copy, request.headers, head=False)
    stand_in.headers["Cache-Control"] = "private, no-cache"
    return stand_in


async def _copy(board: TheBoard, digest: str) -> Copy:
    copy = await asyncio.to_thread(board.search.copy, bytes.fromhex(digest))
    if copy is None:
        raise Problem(404, "no file with this hash was ever stored")
    return copy


def _ns(at: date | datetime, *, end: bool = False) -> int:
    """A moment in ns since the epoch; of a date its beginning, or its end."""
    if not isinstance(at, datetime):
        day = datetime(at.year, at.month, at.day, tzinfo=UTC)
        return clamped((int(day.timestamp()) + (86400 if end else 0)) * NS)
    known = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = known - datetime(1970, 1, 1, tzinfo=UTC)
    return clamped(((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds + end) * 1000)
