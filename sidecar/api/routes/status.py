"""How everything stands: the sources, and the one answer to whether everything is safe."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter

from sidecar import __version__
from sidecar.api import views
from sidecar.api.board import Board
from sidecar.api.routes.common import TheBoard, TheChecks
from sidecar.api.shapes import SourceList, Status
from sidecar.ingest.standing import standings
from sidecar.jobs.job import PASSING
from sidecar.telling.shapes import maybe_moment, moment

router = APIRouter(tags=["status"])

RECENT = 200  # jobs that are looked through for each source's last success
PASSES = 20  # that are looked through for the last one that ended: others may be under way


@router.get("/status", response_model=Status, summary="Whether everything is safe, and what is going on")
async def status(board: TheBoard, checks: TheChecks) -> Any:
    """Everything that the page shows first."""
    found, totals = await asyncio.gather(checks.all(), asyncio.to_thread(board.search.totals))
    sources = await _sources(board, totals)
    reasons = [f"{name.replace('_', ' ')}: {one.detail}" for name, one in found.items() if not one.ok]
    reasons += [f"source {one['name']}: {one['slowed']['reason']}" for one in sources if one["slowed"]]
    reasons += [f"source {one['name']}: {one['reason']}" for one in sources if one["reason"]]
    warnings = [warning for one in found.values() for warning in one.warnings]
    latest = board.tools.catalog.latest()
    if latest is not None and not latest.sources:
        warnings.append("sources: there is none to work on")
    sinks = [views.sink(one) for one in await asyncio.to_thread(standings, board.settings.ingest, board.tools.manifest)]
    warnings += [f"sink {one['name']}: {one['problem']}" for one in sinks if one["problem"]]
    sentence = _sentence(reasons, found["last_pass"].detail)
    return {
        "safe": {"ok": not reasons, "sentence": sentence, "reasons": reasons, "warnings": warnings},
        **{name: {"ok": found[name].ok, "detail": found[name].detail} for name in ("engine", "library", "manifest")},
        "last_pass": await asyncio.to_thread(_last_pass, board),
        "jobs": {"running": len(board.desk.running()), "queued": len(board.desk.queued())},
        "sources": sources,
        "totals": views.totals(totals),
        "sinks": sinks,
        "unread": await asyncio.to_thread(_unread, board),
        "version": __version__,
    }


@router.get("/sources", response_model=SourceList, summary="The sources, and what was left out")
async def sources(board: TheBoard) -> Any:
    """As discovery last saw them, with what is stored of each. Asking starts no discovery."""
    found = board.tools.catalog.latest()
    return {
        "sources": await _sources(board, await asyncio.to_thread(board.search.totals)),
        "left_out": views.left_out(found),
        "warnings": [] if found is None else list(found.warnings),
        "looked_at": maybe_moment(None if found is None else found.at_ns),
    }


def _unread(board: Board) -> int:
    return board.tools.manifest.findings.waiting() if board.settings.media.enabled else 0


async def _sources(board: Board, totals: Any) -> list[dict[str, Any]]:
    successes = views.successes(await board.desk.history(RECENT))
    return views.sources(board.tools.catalog.latest(), totals, board.tools.patience.view(), successes)


def _last_pass(board: Board) -> dict[str, Any] | None:
    for row in board.tools.manifest.jobs(PASSES, causes=sorted(PASSING)):
        if row.ended_ns is not None:
            return {"id": row.id, "state": row.state, "ended_at": moment(row.ended_ns)}
    return None


def _sentence(reasons: list[str], last_pass: str) -> str:
    if not reasons:
        return last_pass
    return "one thing is not well" if len(reasons) == 1 else f"{len(reasons)} things are not well"
