"""What is in the library: search, and the files themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from sidecar.api import content
from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard
from sidecar.api.shapes import ItemPage, Metadata
from sidecar.manifest import Copy, ItemFilter
from sidecar.models import NS, clamped

router = APIRouter(tags=["items"])

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the content, in hex.",
                             examples=["9f86d081884c7d659a2feaa0c55ad015" * 2])]  # fmt: skip
SourceNames = Annotated[
    list[Annotated[str, Query(max_length=63)]] | None,
    Query(max_length=100, description="Only these sources; repeatable."),
]
Kinds = Annotated[list[Literal["image", "video", "audio", "mesh", "text"]] | None, Query(description="Only these.")]
States = Annotated[
    list[Literal["stored", "purged", "vanished", "replaced"]] | None, Query(description="Only these; repeatable.")
]
Part = Annotated[str, Query(max_length=200, description="Part of the path in the source; ASCII letters in any case.")]
_WRITTEN = "the generator wrote it; a date, or a date and time (UTC unless it says otherwise)."
After = Annotated[date | datetime | None, Query(description=f"Not before this {_WRITTEN}", union_mode="left_to_right")]
Before = Annotated[date | datetime | None, Query(description=f"Not after this {_WRITTEN}", union_mode="left_to_right")]
Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before.")]


@router.get("/items", response_model=ItemPage, summary="Search what was stored, newest first")
async def search(
    board: TheBoard,
    source: SourceNames = None,
    kind: Kinds = None,
    state: States = None,
    name: Part = "",
    after: After = None,
    before: Before = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Any:
    """Files whose record is newest first. Pages join without gap or repetition, also while files arrive."""
    wanted = ItemFilter(
        sources=tuple(one.lower() for one in source or ()),
        kinds=tuple(kind or ()),
        states=tuple(state or ()),
        name=name,
        since_ns=None if after is None else _ns(after),
        until_ns=None if before is None else _ns(before, end=True),
    )
    last = None if cursor is None else int(cursor)
    found = await asyncio.to_thread(board.search.items, wanted, limit=limit + 1, before=last)
    page = found[:limit]
    return {
        "items": [item.as_json() for item in page],
        "next": str(page[-1].file_id) if len(found) > limit else None,
    }


@router.get("/items/{hash}/metadata", response_model=Metadata, summary="What a file says of its making")
async def metadata(board: TheBoard, hash: Digest) -> Any:  # noqa: A002 (the name in the path)
    """The prompt and settings that it was made with, where they are known."""
    copy = await _copy(board, hash)
    return {"hash": copy.sha256.hex(), "metadata": None}


@router.head("/items/{hash}/content", response_class=Response, summary="What the file is")
@router.get("/items/{hash}/content", response_class=Response, summary="The file")
async def whole(board: TheBoard, request: Request, hash: Digest) -> Response:  # noqa: A002
    """The copy in the library, or a range of it. What browsers cannot run is shown, all else is a download."""
    copy = await _copy(board, hash)
    fd, path = await asyncio.to_thread(content.open_copy, board.tools.library, copy)
    return content.answer(fd, path, copy, request.headers, head=request.method == "HEAD")


@router.get("/items/{hash}/thumbnail", response_class=Response, summary="A small picture of the file")
async def thumbnail(board: TheBoard, request: Request, hash: Digest) -> Response:  # noqa: A002
    """The original of an image that is small enough to be its own thumbnail; 404 for any other file."""
    copy = await _copy(board, hash)
    if copy.size > content.THUMBNAIL_MOST or copy.kind != "image":
        raise Problem(404, "there is no thumbnail of this file")
    fd, path = await asyncio.to_thread(content.open_copy, board.tools.library, copy)
    return content.answer(fd, path, copy, request.headers, head=False)


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
