"""Jobs of the service on a real engine: cancelled in the middle, side by side, slowed down when they keep failing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.patience import TOLERATED
from sidecar.workspace import Workspace, open_workspace
from tests.conftest import MakeGenerator
from tests.engine.commands import heavy_png, leftovers
from tests.engine.inprocess import settings
from tests.rig.generator import Generator
from tests.rig.proxy import EngineProxy

pytestmark = pytest.mark.alone

TWO_SECONDS = 2.0  # promised from a cancel to its end


@asynccontextmanager
async def service(folder: Path, host: str, **made: Generator) -> AsyncIterator[tuple[JobDesk, Workspace]]:
    """A desk over these generators."""
    async with open_workspace(settings(folder, host, made), {}) as work, JobDesk(work.orchestrator, work.tools) as desk:
        yield desk, work


async def until(check: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end, f"waited 60 s for: {what}"
        await asyncio.sleep(0.02)


async def test_a_job_that_is_cancelled_in_mid_transfer_leaves_nothing_partial(
    engine_host: str, generator: MakeGenerator, tmp_path: Path
) -> None:
    made, library = generator(), tmp_path / "library"
    files = {f"f{n}.png": heavy_png(2_000_000, n) for n in range(6)}
    made.put(files, age=60)
    with EngineProxy(tmp_path / "p.sock", engine_host) as proxy:
        async with service(tmp_path, proxy.host, gen=made) as (desk, work):
            proxy.rate = 1_000_000
            job = desk.submit(Request(Action.SYNC, Cause.API)).id
            await until(lambda: (now := desk.progress(job)) and now.bytes_done > 1_000_000, "a transfer under way")
            asked = time.monotonic()
            assert await desk.cancel(job)
            assert time.monotonic() - asked < TWO_SECONDS
            assert (await desk.wait(job)).state is JobState.CANCELLED
            row = work.manifest.job(job)
            assert row is not None
            assert (row.state, row.ok) == ("cancelled", False)
            assert leftovers(library) == []
            assert all(path.read_bytes() == files[path.name] for path in library.glob("gen/*"))
            proxy.rate = None
            again = await desk.wait(desk.submit(Request(Action.SYNC, Cause.API)).id)
            assert again.state is JobState.DONE
    assert {path.name: path.read_bytes() for path in library.glob("gen/*")} == files


async def test_a_damaged_copy_is_found_and_pulled_again(
    engine_host: str, generator: MakeGenerator, tmp_path: Path
) -> None:
    made, copies = generator(), tmp_path / "library" / "gen"
    files = {f"f{n}.png": heavy_png(10_000, n) for n in range(5)}
    made.put(files, age=60)
    async with service(tmp_path, engine_host, gen=made) as (desk, _):

        async def ended(action: Action, *, dry_run: bool = False) -> JobView:
            return await desk.wait(desk.submit(Request(action, Cause.API, dry_run=dry_run)).id)

        assert (await ended(Action.SYNC)).state is JobState.DONE
        assert (await ended(Action.VERIFY)).state is JobState.DONE
        (copies / "f1.png").write_bytes(files["f1.png"][:-1] + b"x")
        (copies / "f2.png").write_bytes(files["f2.png"][:-1])
        (copies / "f3.png").unlink()
        for dry_run in (True, False):  # a dry run forgets nothing
            view = await ended(Action.VERIFY, dry_run=dry_run)
            assert view.state is JobState.PARTLY
            assert view.result is not None
            (told,) = view.result["sources"]
            counted = {key: told[key] for key in ("checked", "missing", "damaged", "forgotten")}
            assert counted == {"checked": 5, "missing": 1, "damaged": 2, "forgotten": 0 if dry_run else 3}
            reasons = {one["path"]: one["reason"] for one in told["problems"]}
            assert reasons["gen/f1.png"] == "damaged: other content"
            assert reasons["gen/f2.png"].startswith("damaged: ")
            assert reasons["gen/f3.png"] == "missing"
        again = await ended(Action.SYNC)
        assert again.result is not None
        assert again.result["sources"][0]["stored"] == 3
        assert (await ended(Action.VERIFY)).state is JobState.DONE, "the bad ones are nobody's copies any more"
    assert set(files.values()) <= {path.read_bytes() for path in copies.iterdir()}


async def test_one_slow_source_holds_no_other_up(engine_host: str, generator: MakeGenerator, tmp_path: Path) -> None:
    slow, quick = generator(), generator()
    for made in (slow, quick):
        made.put({"a.png": heavy_png(100, 1)}, age=60)
    async with service(tmp_path, engine_host, quick=quick, slow=slow) as (desk, _):
        async with desk.writing("slow"):  # as a watcher has it, or a long first pull
            first = desk.submit(Request(Action.RUN, Cause.START)).id
            await until((tmp_path / "library" / "quick" / "a.png").exists, "the source that is free")
            second = await asyncio.wait_for(desk.wait(desk.submit(Request(Action.RUN, Cause.SCHEDULE)).id), 60)
            assert second.state is JobState.DONE
            assert second.result is not None
            assert second.result["busy"] == ["slow"], "the first pass waits for it already"
            assert [one["name"] for one in second.result["sync"]] == ["quick"]
            assert [view.id for view in desk.running()] == [first]
        assert (await desk.wait(first)).state is JobState.DONE
    assert (tmp_path / "library" / "slow" / "a.png").exists()


async def test_a_source_that_keeps_failing_is_left_alone_and_named_it_is_tried(
    engine_host: str, generator: MakeGenerator, tmp_path: Path
) -> None:
    bad, good = generator(), generator()
    for made in (bad, good):
        made.put({"a.png": heavy_png(100, 1)}, age=60)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "bad").write_text("a file where the source's folder must be")
    async with service(tmp_path, engine_host, bad=bad, good=good) as (desk, work):

        async def ran(cause: Cause, *names: str, dry_run: bool = False) -> JobState:
            return (await desk.wait(desk.submit(Request(Action.SYNC, cause, names, dry_run)).id)).state

        before = len(work.manifest.jobs(100))
        assert await ran(Cause.API, dry_run=True) is not None
        assert len(work.manifest.jobs(100)) == before, "a dry run has no row"
        for _ in range(TOLERATED + 1):
            work.tools.patience.failed("bad", "its folder is a file")
        view = await desk.wait(desk.submit(Request(Action.SYNC, Cause.SCHEDULE)).id)
        assert view.state is JobState.PARTLY, "a failed part is never a green whole"
        assert view.result is not None
        problems = {one["name"]: one["problems"] for one in view.result["sources"]}
        assert "failures in a row" in problems["bad"][0]["reason"]
        assert problems["good"] == []
        assert work.tools.patience.view()["bad"].failures == TOLERATED + 1, "to be left alone is no failure"
        (tmp_path / "library" / "bad").unlink()
        assert await ran(Cause.API, "bad") is JobState.DONE
        assert work.tools.patience.view() == {}
