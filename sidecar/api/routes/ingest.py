"""Sinks: how far each was told, and telling it again."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from sidecar.api import views
from sidecar.api.board import Board
from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard
from sidecar.api.shapes import SinkList, SinkShape, SinkWithRefusals
from sidecar.config import near
from sidecar.ingest.standing import Standing, standings

router = APIRouter(prefix="/ingest", tags=["ingest"])

Name = Annotated[str, Path(max_length=63, examples=["postgresql"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="Refused files that are listed, the newest first.")]


@router.get("", response_model=SinkList, summary="The sinks")
async def sinks(board: TheBoard) -> Any:
    """Who is told of every file, and how far."""
    return {"sinks": [views.sink(one) for one in await _standings(board)]}


@router.get("/{name}", response_model=SinkWithRefusals, summary="One sink")
async def sink(board: TheBoard, name: Name, limit: Limit = 100) -> Any:
    """How far it was told, and the files that it would not take."""
    known = await _known(board, name)
    refused = await asyncio.to_thread(board.tools.manifest.deliveries.refusals, known.name, limit)
    return views.sink(known) | {"refusals": [views.refusal(*one) for one in refused]}


@router.post("/{name}/retry", response_model=SinkShape, status_code=202, summary="Tell a sink what it refused",
             openapi_extra={"x-problems": [409]})  # fmt: skip
async def retry(board: TheBoard, name: Name) -> Any:
    """Tell it once more of the files that it would not take; one that is down is tried at once."""
    return await _ask(board, name, everything=False)


@router.post("/{name}/backfill", response_model=SinkShape, status_code=202, summary="Tell a sink of everything",
             openapi_extra={"x-problems": [409]})  # fmt: skip
async def backfill(board: TheBoard, name: Name) -> Any:
    """Tell it of every file that was ever stored, beside what is new. One that is under way goes on."""
    return await _ask(board, name, everything=True)


async def _ask(board: Board, name: str, *, everything: bool) -> Any:
    known = await _known(board, name)
    if known.row is None:
        raise Problem(409, "this sink was never opened", hint="its deliveries begin with the service; look at its log")
    await asyncio.to_thread(board.tools.manifest.deliveries.ask, [known.name], time.time_ns(), everything=everything)
    return views.sink(await _known(board, name))


async def _known(board: Board, name: str) -> Standing:
    found = {one.name: one for one in await _standings(board)}
    if name.lower() not in found:
        raise Problem(404, f"there is no sink {name}", hint=near(name, sorted(found)) or "ingest.sinks has them")
    return found[name.lower()]


async def _standings(board: Board) -> list[Standing]:
    return await asyncio.to_thread(standings, board.settings.ingest, board.tools.manifest)
