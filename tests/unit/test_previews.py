"""Previews of a purge: confirmed once, and not used up by what did not come of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import Response

from sidecar.api.board import Board
from sidecar.api.previews import VALID_NS, Looked, Preview, Previews
from sidecar.api.problems import Problem
from sidecar.api.routes.jobs import start
from sidecar.api.shapes import JobAsked
from sidecar.errors import TooManyJobs
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.work import Tools
from sidecar.manifest import Search
from sidecar.orchestrator import SyncOrchestrator
from sidecar.telling.health import Health
from tests.unit.test_desk import tools_in

ASKED = JobAsked(action="purge", preview="ab")


async def well() -> Health:
    return Health(True, "")


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[Tools]:
    async with tools_in(tmp_path) as made:
        purge = made.settings.purge.model_copy(update={"enabled": True})
        yield replace(made, settings=made.settings.model_copy(update={"purge": purge}))


def looked_at(previews: Previews, tools: Tools, valid_ns: int = VALID_NS) -> None:
    """As if somebody had looked."""
    going = ((b"/o", b"a.png", 1),)
    previews._kept["ab"] = Preview("ab", tools.clock_ns() + valid_ns, False, (Looked("a", going),))


async def test_a_preview_that_the_desk_refused_can_be_confirmed_later(tools: Tools) -> None:
    with_search = Search(tools.settings.state)
    try:
        async with JobDesk(SyncOrchestrator(tools), tools) as desk:
            board = Board(tools, desk, with_search, well, ())
            looked_at(board.previews, tools)
            desk._closed = True
            with pytest.raises(TooManyJobs):
                await start(board, Response(), ASKED)
            desk._closed = False
            begun = await start(board, Response(), ASKED)
            assert begun["action"] == "purge"
            with pytest.raises(Problem, match="once"):
                await start(board, Response(), ASKED)
            await desk.wait(begun["id"])
    finally:
        with_search.close()


async def test_a_preview_is_confirmed_in_time_and_where_something_would_go(tools: Tools) -> None:
    previews = Previews(tools)
    looked_at(previews, tools, valid_ns=-1)
    with pytest.raises(Problem, match="no such preview"), previews.confirmed("ab"):
        raise AssertionError("it is too late")
    looked_at(previews, tools, valid_ns=2 * VALID_NS)
    with pytest.raises(Problem, match="no such preview"), previews.confirmed("ab"):
        raise AssertionError("the clock went back")
    previews._kept["ab"] = Preview("ab", tools.clock_ns() + VALID_NS, False, (Looked("a"),))
    with pytest.raises(Problem, match="nothing that would go"), previews.confirmed("ab"):
        raise AssertionError("nothing would go")
