"""How many sources are worked on at once: one bound for the process, and room for what cannot wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sidecar.jobs.job import Action, Cause, Request
from sidecar.jobs.places import AT_ONCE, PRESSING, Places
from sidecar.jobs.report import JobReport
from sidecar.jobs.work import Job
from sidecar.models import Source
from sidecar.orchestrator import SyncOrchestrator
from sidecar.progress import ProgressManager
from tests.unit.test_desk import tools_in


class Work:
    """Counts who is at work until it is let go."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0
        self.over = asyncio.Event()

    async def __call__(self, _: object = None) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.over.wait()
        self.now -= 1
        self.done += 1


async def settled() -> None:
    """Everything that can go on has."""
    for _ in range(50):
        await asyncio.sleep(0)


def job(cause: Cause, *names: str) -> Job:
    request = Request(Action.SYNC, cause, names)
    return Job(request, JobReport("j", "sync"), ProgressManager("sync"), frozenset(names))


def sources(*names: str) -> list[Source]:
    return [Source(name, "custom", "docker", name, name, (b"/o",), "running") for name in names]


async def test_several_jobs_share_one_bound_and_what_presses_has_its_own(tmp_path: Path) -> None:
    async with tools_in(tmp_path) as tools:
        orchestrator, work = SyncOrchestrator(tools), Work()
        async with asyncio.TaskGroup() as group:

            def begin(cause: Cause, named: bool, *names: str) -> None:
                one = job(cause, *(names if named else ()))
                group.create_task(orchestrator._side_by_side(one, sources(*names), work, Action.SYNC))

            for part in "abc":
                begin(Cause.API, False, *(f"{part}{n}" for n in range(AT_ONCE)))
            await settled()
            assert work.now == AT_ONCE, "of three jobs together"
            for n in range(PRESSING + 2):
                begin(Cause.EVENT, True, f"stopped{n}")
            await settled()
            assert work.now == AT_ONCE + PRESSING, "a container that stopped need not wait for passes"
            work.over.set()
        assert work.done == 3 * AT_ONCE + PRESSING + 2
        assert work.most == AT_ONCE + PRESSING


async def test_jobs_that_want_the_same_sources_come_to_an_end(tmp_path: Path) -> None:
    async with tools_in(tmp_path) as tools:
        orchestrator, work = SyncOrchestrator(tools), Work()
        names = [f"s{n}" for n in range(2 * AT_ONCE)]
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for order in (names, names[::-1], names):
                begun = orchestrator._side_by_side(job(Cause.API), sources(*order), work, Action.SYNC)
                group.create_task(begun)
            await settled()
            work.over.set()
        assert work.done == 3 * len(names)


async def test_who_is_cancelled_leaves_no_place_behind() -> None:
    places = Places(1, 0)

    async def one() -> None:
        async with places.taken():
            raise AssertionError("cancelled before")

    async with places.taken():
        waits, granted = asyncio.create_task(one()), asyncio.create_task(one())
        await settled()
        waits.cancel()
        await asyncio.wait([waits])
    granted.cancel()  # the place is its own, and it has not run since
    await asyncio.wait([granted])
    assert waits.cancelled()
    assert granted.cancelled()
    async with asyncio.timeout(30), places.taken():
        pass


async def test_what_presses_comes_first() -> None:
    places, order = Places(1, 0), list[str]()

    async def one(name: str, *, pressing: bool) -> None:
        async with places.taken(pressing=pressing):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name, pressing in (("first", False), ("later", False), ("stopped", True)):
            group.create_task(one(name, pressing=pressing))
    assert order == ["first", "stopped", "later"]
