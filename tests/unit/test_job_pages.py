"""The history of jobs over HTTP: pages join without gap or repetition, from memory into the manifest."""

from __future__ import annotations

from pathlib import Path

from sidecar.api.board import Board
from sidecar.api.routes.jobs import jobs
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import Action, Cause, Request
from sidecar.manifest import Search
from sidecar.orchestrator import SyncOrchestrator
from sidecar.telling.health import Health
from tests.unit.test_desk import tools_in


async def well() -> Health:
    return Health(True, "")


async def test_pages_join(tmp_path: Path) -> None:
    async with tools_in(tmp_path) as tools, JobDesk(SyncOrchestrator(tools), tools) as desk:
        made = [(await desk.wait(desk.submit(Request(Action.SYNC, Cause.API)).id)).id for _ in range(7)]
        desk._views = {job: desk._views[job] for job in made[3:]}  # the rest is in the manifest alone
        search = Search(tools.settings.state)
        board, before, found = Board(tools, desk, search, well, ()), None, list[list[str]]()
        while True:
            page = await jobs(board, limit=2, before=before)
            found.append([job["id"] for job in page["jobs"]])
            before = page["next"]
            if before is None:
                break
        search.close()
    assert [job for page in found for job in page] == made[::-1]
    assert [len(page) for page in found] == [2, 2, 2, 1]
