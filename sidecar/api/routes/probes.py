"""For those who watch the service: liveness, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard, TheChecks
from sidecar.api.shapes import Alive

router = APIRouter(tags=["probes"])

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/livez", response_model=Alive, summary="Whether the process answers")
async def livez() -> Any:
    """Needs no token and tells no names."""
    return {"ok": True}


@router.get("/readyz", response_model=Alive, summary="Whether everything that is needed answers",
            responses={503: {"model": Alive, "description": "Something does not."}})  # fmt: skip
async def readyz(checks: TheChecks, response: Response) -> Any:
    """The engine, the library's marker, the manifest, and the last pass. Needs no token and tells no names."""
    found = await checks.all()
    ok = all(one.ok for one in found.values())
    response.status_code = 200 if ok else 503
    return {"ok": ok, "checks": {name: one.ok for name, one in found.items()}}


@router.get("/metrics", response_class=Response, summary="What Prometheus reads",
            responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
            openapi_extra={"x-problems": [404]})  # fmt: skip
async def metrics(board: TheBoard) -> Response:
    """Counters and gauges; no names of files are in them."""
    if board.metrics is None:
        raise Problem(404, "nothing is counted here")
    return Response(await asyncio.to_thread(board.metrics), media_type=METRICS_TYPE)
