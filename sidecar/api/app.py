"""Puts the API together for one running service."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute

from sidecar.api import openapi, problems
from sidecar.api.access import Access
from sidecar.api.board import Board
from sidecar.api.checks import Checks
from sidecar.api.feed import Feed
from sidecar.api.gate import Gate
from sidecar.api.guards import API, Places
from sidecar.api.routes import events, ingest, items, jobs, live, page, probes, purge, session, status
from sidecar.api.tokens import Keys
from sidecar.telling.jobs import job, progress


def make_app(board: Board, keys: Keys) -> FastAPI:
    """The ASGI application. It owns nothing of what is on the board."""
    app = FastAPI(title="media-sync", docs_url=None, redoc_url=None, redirect_slashes=False,
                  generate_unique_id_function=_operation)  # fmt: skip
    app.state.board = board
    app.state.access = access = Access(keys, board.tools.clock_ns, board.clock)
    app.state.checks = Checks(board)
    app.state.feed = _feed(board)
    problems.install(app)
    for part in (status, jobs, items, purge, ingest, session, events, live):
        app.include_router(part.router, prefix=API)
    for part in (probes, page):
        app.include_router(part.router)
    settings = board.settings.api
    openapi.describe(app, metrics_open=settings.metrics_open)
    app.add_middleware(Gate, places=Places.of(settings), access=access, metrics_open=settings.metrics_open)
    return app


def _feed(board: Board) -> Feed:
    desk = board.desk
    return Feed(
        lambda: [job(view, desk.progress(view.id)).model_dump() for view in (*desk.running(), *desk.queued())],
        lambda: {view.id: progress(now) for view in desk.running() if (now := desk.progress(view.id)) is not None},
    )


def _operation(route: APIRoute) -> str:
    """Operations are called what their functions are; a function that answers two methods is two operations."""
    methods = sorted(route.methods or ())
    return route.name if methods == ["GET"] else f"{route.name}_{methods[0].lower()}"
