"""Jobs: what runs and ran, starting and cancelling."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from sidecar.api.board import Board
from sidecar.api.guards import API
from sidecar.api.problems import Problem
from sidecar.api.routes.common import TheBoard, require_known
from sidecar.api.shapes import JobAsked, JobPage
from sidecar.jobs.job import Action, Cause, JobView, Request
from sidecar.telling.jobs import JobShape, job

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{1,32}$", examples=["3f2b9c1d7e40"])]
Limit = Annotated[int, Query(ge=1, le=200, description="Jobs on a page.")]
Before = Annotated[str | None, Query(pattern="^[0-9a-f]{1,32}$", description="`next` of the page before.")]


@router.get("/jobs", response_model=JobPage, summary="What runs and what ran")
async def jobs(board: TheBoard, limit: Limit = 50, before: Before = None) -> Any:
    """Jobs, the newest first: those that wait and run, and the history."""
    found = await board.desk.history(limit + 1, before)
    return {
        "jobs": [_shape(board, view) for view in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


@router.get("/jobs/{id}", response_model=JobShape, summary="One job")
async def one_job(board: TheBoard, id: JobId) -> Any:  # noqa: A002 (the name in the path)
    """Where it stands, and what came of it."""
    return _shape(board, await _known(board, id))


@router.post("/jobs", response_model=JobShape, status_code=202, summary="Start a job",
             openapi_extra={"x-problems": [404, 409]})  # fmt: skip
async def start(board: TheBoard, response: Response, asked: JobAsked) -> Any:
    """Queue a job; an equal one that waits is joined.

    A purge is started by the `id` of its preview and deletes what that listed, as far as it still proves itself. A run
    does what the schedule's passes do: where `purge.enabled` is set, it purges what is proven and old, without a
    preview.
    """
    view = _submit(board, asked)
    response.headers["Location"] = f"{API}/jobs/{view.id}"
    return _shape(board, view)


@router.delete("/jobs/{id}", response_model=JobShape, summary="Cancel a job",
               openapi_extra={"x-problems": [409]})  # fmt: skip
async def cancel(board: TheBoard, id: JobId) -> Any:  # noqa: A002
    """Stop it and answer when it has stopped; what it finished is kept, and nothing partial is left."""
    view = await _known(board, id)
    if not await board.desk.cancel(id):
        if view.state.ended:
            raise Problem(409, "this job has ended already")
        raise Problem(409, "what a watch stores cannot be called off", hint="it ends by itself when nothing new comes")
    return _shape(board, await _known(board, id))


def _submit(board: Board, asked: JobAsked) -> JobView:
    action = Action(asked.action)
    if asked.preview is not None:
        return _confirm(board, asked, asked.preview)
    if action is Action.PURGE and not asked.dry_run:
        raise Problem(409, "a purge has to be looked at before it is confirmed",
                      hint=f"POST {API}/purge/preview, then send its id as `preview`")  # fmt: skip
    if asked.accept_missing and action is not Action.VERIFY:
        raise Problem(409, "accept_missing is for a verify", hint='send {"action": "verify", "accept_missing": true}')
    require_known(board, asked.sources)
    names = tuple(name.lower() for name in asked.sources)
    request = Request(action, Cause.API, names, asked.dry_run, accept_missing=asked.accept_missing)
    return board.desk.submit(request)


def _confirm(board: Board, asked: JobAsked, preview: str) -> JobView:
    if Action(asked.action) is not Action.PURGE or asked.sources or asked.dry_run:
        raise Problem(409, "a preview goes with a purge, and says itself which sources are meant",
                      hint='send {"action": "purge", "preview": id}')  # fmt: skip
    if not board.settings.purge.enabled:
        raise Problem(409, "purging is switched off", hint="set purge.enabled: true and start the service again")
    with board.previews.confirmed(preview) as request:
        return board.desk.submit(request)


async def _known(board: Board, job: str) -> JobView:
    view = await board.desk.recall(job)
    if view is None:
        raise Problem(404, "there is no such job")
    return view


def _shape(board: Board, view: JobView) -> dict[str, Any]:
    return job(view, board.desk.progress(view.id)).model_dump()
