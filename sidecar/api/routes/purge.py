"""What a purge would do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from sidecar.api.board import Board
from sidecar.api.previews import Looked
from sidecar.api.previews import Preview as Kept
from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard
from sidecar.api.shapes import PlannedSource, Preview, PreviewAsked
from sidecar.models import shown
from sidecar.telling.shapes import moment

router = APIRouter(tags=["purge"])

FILES = 200  # on the first page of each source


@router.post("/purge/preview", response_model=Preview, summary="See what a purge would do",
             openapi_extra={"x-problems": [404]})  # fmt: skip
async def preview(board: TheBoard, asked: PreviewAsked) -> Any:
    """Looks at every original and decides, as a dry run does; nothing is deleted.

    To carry it out, send its `id` to /api/v1/jobs: only what is listed goes, each after it proved itself once more.
    """
    made = await board.previews.look(asked.sources, allow_empty=asked.allow_empty)
    return _shape(board, made)


@router.get("/purge/preview/{id}", response_model=PlannedSource, summary="More files of a preview")
async def more(
    board: TheBoard,
    id: Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["8f14e45fceea167a"])],  # noqa: A002
    source: Annotated[str, Query(max_length=63, description="The source whose files are asked for.")],
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = FILES,
) -> Any:
    """A page of the files of one source: those that would go, then those that stay."""
    for looked in board.previews.get(id).sources:
        if looked.name == source.lower():
            return _source(looked, offset, limit)
    raise Problem(404, "this preview has no such source")


def _shape(board: Board, made: Kept) -> dict[str, Any]:
    return {
        "id": made.id,
        "expires_at": moment(made.expires_ns),
        "enabled": board.settings.purge.enabled,
        "sources": [_source(one, 0, FILES) for one in made.sources],
    }


def _source(looked: Looked, offset: int, limit: int) -> dict[str, Any]:
    going = 0 if looked.refused else len(looked.going)
    some: list[dict[str, Any]] = [
        {"path": shown(path), "size": size, "outcome": "kept" if looked.refused else "purge",
         "reason": looked.refused or ""}
        for _, path, size in looked.going[offset : offset + limit]
    ]  # fmt: skip
    at = max(0, offset - len(looked.going))
    some += [
        {"path": shown(path), "size": None, "outcome": "kept", "reason": reason}
        for path, reason in looked.staying[at : at + limit - len(some)]
    ]
    return {
        "name": looked.name,
        "candidates": going,
        "bytes": 0 if looked.refused else sum(size for _, _, size in looked.going),
        "files": some,
        "files_total": len(looked.going) + len(looked.staying),
        "kept": dict(looked.kept),
        "refused": looked.refused,
        "problem": looked.problem,
    }
