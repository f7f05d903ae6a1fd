"""The desk: who waits, who joins whom, what is recorded of those that never began. Nothing here needs an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from sidecar.config import load
from sidecar.errors import ManifestDamaged, TooManyJobs
from sidecar.events import Bus, Event, JobChanged, SourceSlowed
from sidecar.jobs.catalog import Catalog
from sidecar.jobs.desk import WAITING, JobDesk
from sidecar.jobs.job import Action, Cause, JobState, Request
from sidecar.jobs.patience import TOLERATED, Patience
from sidecar.jobs.report import LISTED, JobReport
from sidecar.jobs.syncing import settled, sync_options
from sidecar.jobs.work import Job, Tools
from sidecar.jobs.writers import Writers
from sidecar.library import Library
from sidecar.manifest import Manifest
from sidecar.models import Problem, Source
from sidecar.orchestrator import SyncOrchestrator
from sidecar.progress import ProgressManager
from sidecar.sync.report import SyncReport
from sidecar.sync.slots import Slots

SYNC_A = Request(Action.SYNC, Cause.EVENT, ("a",))


@asynccontextmanager
async def tools_in(folder: Path) -> AsyncIterator[Tools]:
    """A service without any way to a source: a job that begins ends at once, because there is none."""
    settings = load({"library": str(folder / "library"), "state": str(folder)}, env={}, cwd=folder).settings
    manifest, bus = Manifest.open(folder), Bus()
    library = Library.open(folder / "library", expect=manifest.library_id())
    try:
        yield Tools(settings, Catalog([], bus), library, manifest, bus, Writers(), Patience(), Slots(2))
    finally:
        library.close()
        manifest.close()


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[Tools]:
    async with tools_in(tmp_path) as made:
        yield made


@asynccontextmanager
async def desk_of(tools: Tools) -> AsyncIterator[JobDesk]:
    async with JobDesk(SyncOrchestrator(tools), tools) as desk:
        yield desk


async def test_equal_jobs_that_wait_are_one_and_the_stronger_cause_counts(tools: Tools) -> None:
    async with desk_of(tools) as desk, tools.writers.writing("a", Action.SYNC):
        first = desk.submit(SYNC_A)
        assert first.state is JobState.QUEUED
        joined = desk.submit(Request(Action.SYNC, Cause.API, ("a",)))
        assert joined.id == first.id
        assert joined.request.cause is Cause.API
        assert desk.submit(SYNC_A).request.cause is Cause.API, "and stays"
        assert desk.submit(Request(Action.PURGE, Cause.EVENT, ("a",))).id != first.id
        assert desk.submit(Request(Action.SYNC, Cause.EVENT, ("a",), dry_run=True)).id != first.id
        assert len(desk.queued()) == 2, "a dry run waits for nobody"


async def test_a_job_waits_for_its_sources_alone(tools: Tools) -> None:
    async with desk_of(tools) as desk:
        async with tools.writers.writing("a", Action.SYNC):
            waiting, other = desk.submit(SYNC_A), desk.submit(Request(Action.SYNC, Cause.EVENT, ("b",)))
            assert (await desk.wait(other.id)).state is JobState.FAILED, "there is no source b"
            assert [view.id for view in desk.queued()] == [waiting.id]
        done = await asyncio.wait_for(desk.wait(waiting.id), 30)
        assert "there is no source a" in done.problem
        assert (await desk.recall(waiting.id)) == done


async def test_one_that_is_cancelled_before_it_began_has_its_row(tools: Tools) -> None:
    async with desk_of(tools) as desk, tools.writers.writing("a", Action.SYNC):
        view = desk.submit(SYNC_A)
        assert await desk.cancel(view.id)
        assert not await desk.cancel(view.id)
        assert (await desk.wait(view.id)).state is JobState.CANCELLED
    row = tools.manifest.job(view.id)
    assert row is not None
    assert (row.state, row.ok, row.started_ns, row.sources) == ("cancelled", False, None, ("a",))
    assert row.ended_ns is not None


async def test_only_so_many_may_wait(tools: Tools) -> None:
    async with desk_of(tools) as desk, tools.writers.writing("a", Action.SYNC):
        for number in range(WAITING):
            desk.submit(Request(Action.PURGE, Cause.API, ("a",), files={"a": ((b"/o", b"%d" % number),)}))
        with pytest.raises(TooManyJobs):
            desk.submit(SYNC_A)
        desk.close()
        with pytest.raises(TooManyJobs, match="ending"):
            desk.submit(SYNC_A)


async def test_every_change_is_told_and_remembered(tools: Tools) -> None:
    heard: list[Event] = []
    tools.bus.subscribe(heard.append)
    async with desk_of(tools) as desk:
        ids = [(await desk.wait(desk.submit(Request(Action.SYNC, Cause.API)).id)).id for _ in range(3)]
        states = [event.view.state for event in heard if isinstance(event, JobChanged) and event.job == ids[0]]
        assert states == [JobState.QUEUED, JobState.RUNNING, JobState.FAILED]
        assert [view.id for view in desk.recent(2)] == [ids[2], ids[1]]
        assert [view.id for view in desk.recent(5, before=ids[2])] == [ids[1], ids[0]]
        assert desk.running() == desk.queued() == []
        dry = await desk.wait(desk.submit(Request(Action.SYNC, Cause.API, dry_run=True)).id)
        await asyncio.to_thread(tools.manifest.start_job, "older", "sync", "api", 1)
    async with desk_of(tools) as again:
        assert [view.id for view in again.recent(10)] == ["older", *ids[::-1]]
        known = again._views[ids[1]]
        again._views = {dry.id: dry}  # is on no record; behind what is there the history goes on
        assert await again.history(10) == [dry]
        again._views = {ids[1]: known, dry.id: dry}
        assert [view.id for view in await again.history(10)] == [dry.id, ids[1], ids[0]]
        assert [view.id for view in await again.history(10, before=dry.id)] == [ids[1], ids[0]]
        assert [view.id for view in await again.history(1, before=ids[2])] == [ids[1]], "not in memory"
        assert known.problem.startswith("there is no source to work on — label a container")


async def test_a_service_that_waits_for_its_first_container_does_not_fail_each_minute(tools: Tools) -> None:
    said: list[str] = []
    sink = logger.add(lambda line: said.append(line.record["level"].name), level="INFO", format="{message}")
    try:
        async with desk_of(tools) as desk:
            for cause in (Cause.START, Cause.SCHEDULE, Cause.EVENT):
                assert (await desk.wait(desk.submit(Request(Action.RUN, cause)).id)).state is JobState.DONE
            assert said == ["WARNING"], "once"
            asked = desk.submit(Request(Action.RUN, Cause.API))
            assert (await desk.wait(asked.id)).state is JobState.FAILED, "who asks is told"
    finally:
        logger.remove(sink)


async def test_a_source_that_is_gone_is_no_more_slowed_down(tools: Tools) -> None:
    heard: list[Event] = []
    tools.bus.subscribe(heard.append)
    for _ in range(TOLERATED + 1):
        tools.patience.failed("gone", "no")
    async with desk_of(tools) as desk:
        await desk.wait(desk.submit(Request(Action.RUN, Cause.SCHEDULE)).id)
    assert tools.patience.view() == {}
    assert [(event.source, event.until_ns) for event in heard if isinstance(event, SourceSlowed)] == [("gone", 0)]


def test_who_leaves_a_failing_source_alone(tools: Tools) -> None:
    def sparing(cause: Cause, *names: str) -> bool:
        request = Request(Action.SYNC, cause, names)
        return Job(request, JobReport("j", "sync"), ProgressManager("sync"), frozenset(names)).sparing

    for cause in (Cause.START, Cause.SCHEDULE, Cause.WATCH):
        assert sparing(cause)
        assert sparing(cause, "a"), "a schedule of its own, or a watch, bypasses nothing"
    assert sparing(Cause.EVENT), "a look at everything after an engine was away"
    assert not sparing(Cause.EVENT, "a"), "its container began or ended"
    assert not sparing(Cause.API, "a")
    assert not sparing(Cause.COMMAND, "a")


async def test_a_pass_leaves_to_others_what_they_do_already(tools: Tools) -> None:
    writers = tools.writers
    assert not writers.covered("a", Action.SYNC)
    async with writers.writing("a", Action.RUN):
        assert writers.covered("a", Action.SYNC)
        assert writers.covered("a", Action.PURGE)
    async with writers.writing("a", Action.SYNC):
        assert not writers.covered("a", Action.RUN), "nobody purges it"
        assert writers.covered("a", Action.SYNC)
    async with writers.writing("a"):
        assert not writers.claimed("a"), "a short touch is no job"


async def test_one_writer_at_a_time_in_the_order_of_asking(tools: Tools) -> None:
    order: list[int] = []

    async def write(number: int) -> None:
        async with tools.writers.writing("a", Action.SYNC):
            order.append(number)
            await asyncio.sleep(0.01)
            order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(write(number))
    assert order == [0, 0, 1, 1, 2, 2]


async def test_a_damaged_manifest_ends_the_desk(tools: Tools) -> None:
    async def work() -> None:
        async with desk_of(tools) as desk:
            tools.manifest._db.execute("DROP TABLE jobs")
            desk.submit(Request(Action.SYNC, Cause.API))
            await asyncio.sleep(30)

    with pytest.raises(ManifestDamaged):
        await work()


async def test_open_rows_of_a_killed_process_are_closed(tools: Tools) -> None:
    tools.manifest.start_job("killed", "run", "schedule", 1)
    tools.manifest.queue_job("waited", "run", "schedule", 1)
    assert tools.manifest.close_jobs('{"problem": "interrupted"}', 2) == 2
    assert tools.manifest.close_jobs('{"problem": "interrupted"}', 3) == 0
    async with desk_of(tools) as desk:
        assert [(v.state, v.problem) for v in desk.recent(2)] == [(JobState.FAILED, "interrupted")] * 2


async def test_who_ends_is_told_once_and_ends_well(tools: Tools) -> None:
    class Careful(SyncOrchestrator):
        ended = 0

        async def perform(self, *_: Any, **__: Any) -> JobReport:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)  # cuts a transfer off, say
                Careful.ended += 1
                raise
            raise AssertionError("nobody stopped it")

    async def work() -> None:
        async with JobDesk(Careful(tools), tools) as desk:
            views = [desk.submit(replace(SYNC_A, sources=(name,))) for name in "abc"]
            await asyncio.sleep(0.01)
            asked = [asyncio.create_task(desk.cancel(views[0].id)) for _ in range(2)]
            await asyncio.sleep(0.01)
            desk.close()
            await asyncio.sleep(0.01)
            desk.close()
            assert await asyncio.gather(*asked) == [True, True]
            raise KeyError("the service is told to stop")

    with pytest.raises(KeyError):
        await work()
    assert Careful.ended == 3


async def test_a_result_in_memory_has_its_long_lists_cut(tools: Tools) -> None:
    class Failing(SyncOrchestrator):
        async def perform(self, *_: Any, **__: Any) -> JobReport:
            source = SyncReport("a", "c", "/o", "docker")
            source.failed = [Problem(b"%d.png" % n, "the read stalled") for n in range(LISTED + 5)]
            return JobReport("j", "sync", [source])

    async with JobDesk(Failing(tools), tools) as desk:
        view = await desk.wait(desk.submit(SYNC_A).id)
    assert view.state is JobState.PARTLY
    assert view.result is not None
    (told,) = view.result["sources"]
    assert (len(told["problems"]), told["problems_more"], told["failed"]) == (LISTED, 5, LISTED + 5)


@pytest.mark.parametrize(
    ("state", "waits"), [("running", True), ("paused", True), ("exited", False), ("created", False)]
)
def test_where_nothing_runs_nobody_writes(tools: Tools, state: str, waits: bool) -> None:
    options = sync_options(tools.settings, tools.slots, dry_run=False)
    now = settled(options, Source("a", "custom", "docker", "t", "c", (b"/o",), state)).settling
    assert (now.quiet_ns > 0) is waits
    assert now.incomplete_ns == options.settling.incomplete_ns > 0, "what lacks its end waits all the same"
