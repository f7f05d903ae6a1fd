"""The feed: numbers without gaps or repetition, merged progress, and nobody who waits for a slow client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from typing import Any

import pytest

from sidecar.api.feed import KEPT, KEPT_SIZE, OFTEN, QUEUED, QUEUED_SIZE, SINGLY, TICK, Client, Feed
from sidecar.events import Bus, FileDiscovered, FilePurged, JobChanged, PurgePlanned
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request


class Rig:
    """A feed, its bus, and what the desk would say."""

    def __init__(self) -> None:
        self.progress: dict[str, dict[str, Any]] = {}
        self.bus = Bus()
        self.feed = Feed(lambda: [{"id": "j"}], lambda: self.progress)

    def purged(self, job: str = "j") -> None:
        self.bus.emit(FilePurged(job, "gen", b"/o", b"a.png", 1))

    def discovered(self) -> None:
        self.bus.emit(FileDiscovered("j", "gen", b"/o", b"a.png", 1, 1))

    def planned(self) -> None:
        self.bus.emit(PurgePlanned("j", "gen", b"/o", b"a.png", 1, dry_run=False))

    def changed(self, job: str, problem: str = "") -> None:
        view = JobView(job, Request(Action.SYNC, Cause.API), JobState.QUEUED, 1, problem=problem)
        self.bus.emit(JobChanged(job, "", view))


async def heard(client: Client, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        return [json.loads(await client.next()) for _ in range(count)]


async def test_a_snapshot_and_then_what_changes() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        rig.purged()
        await asyncio.sleep(0)
        with rig.feed.joined(None, None) as client:
            assert client is not None
            rig.purged()
            first, second = await heard(client, 2)
    assert first == {"type": "snapshot", "epoch": rig.feed.epoch, "seq": 1, "jobs": [{"id": "j"}]}
    assert (second["type"], second["seq"]) == ("event", 2)
    assert (second["event"]["type"], second["event"]["job"]) == ("file.purged", "j")


async def test_who_comes_back_gets_what_it_missed() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        for job in "abc":
            rig.changed(job)
        await asyncio.sleep(0)
        with rig.feed.joined(1, rig.feed.epoch) as client:
            assert client is not None
            rig.changed("d")
            hello, *rest = await heard(client, 4)
    assert hello == {"type": "resumed", "epoch": rig.feed.epoch, "seq": 1}
    assert [(one["seq"], one["event"]["job"]) for one in rest] == [(2, "b"), (3, "c"), (4, "d")]


@pytest.mark.parametrize(("since", "epoch"), [(1, "another"), (1, None), (None, "mine"), (99, "mine"), (-1, "mine")])
async def test_who_comes_back_to_another_feed_gets_a_snapshot(since: int | None, epoch: str | None) -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        rig.changed("a")
        await asyncio.sleep(0)
        with rig.feed.joined(since, rig.feed.epoch if epoch == "mine" else epoch) as client:
            assert client is not None
            (first,) = await heard(client, 1)
    assert first["type"] == "snapshot"


async def test_what_was_missed_too_long_ago_is_a_snapshot() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        for n in range(KEPT + 10):
            rig.changed(str(n))
        await asyncio.sleep(0.01)
        for since, kind in ((9, "snapshot"), (KEPT, "resumed")):
            with rig.feed.joined(since, rig.feed.epoch) as client:
                assert client is not None
                assert (await heard(client, 1))[0]["type"] == kind


async def test_progress_is_merged_and_at_most_ten_times_a_second() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as client:
            assert client is not None
            loop = asyncio.get_running_loop()
            began, n = loop.time(), 0
            while loop.time() - began < 1.0:
                n += 1
                rig.progress = {job: {"bytes_done": n} for job in "xy"}
                await asyncio.sleep(0.002)
            await asyncio.sleep(3 * TICK)
            waiting = await heard(client, 3)
    assert [one["type"] for one in waiting] == ["snapshot", "progress", "progress"], "of each job only the newest waits"
    assert {one["job"] for one in waiting[1:]} == {"x", "y"}
    assert waiting[1]["seq"] < waiting[2]["seq"] <= 2 * 12
    assert waiting[1]["progress"] == waiting[2]["progress"] == {"bytes_done": n}


async def test_numbers_grow_though_progress_waits() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as client:
            assert client is not None
            for n in range(4):
                rig.progress = {"x": {"n": n}}
                await asyncio.sleep(0.12)
                rig.changed("j")
                await asyncio.sleep(0)
            numbers = [one["seq"] for one in await heard(client, 6)]
    assert numbers == sorted(set(numbers))


async def test_many_files_at_once_are_counted() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as client:
            assert client is not None
            for _ in range(1000):
                rig.purged()
            rig.changed("never merged")
            heard_of = await heard(client, SINGLY + 3)
    events = [one["event"]["type"] for one in heard_of if one["type"] == "event"]
    (more,) = [one for one in heard_of if one["type"] == "more"]
    assert (more["of"], more["count"] + events.count("file.purged")) == ("file.purged", 1000)
    assert events.count("job.changed") == 1


async def test_frequent_types_come_to_those_who_ask_and_are_counted_too() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        assert not rig.bus.wants(FileDiscovered), "nobody makes thousands of events for nobody"
        with rig.feed.joined(None, None) as plain:
            assert plain is not None
            with rig.feed.joined(None, None, ["file.discovered"]) as asked:
                assert asked is not None
                assert rig.bus.wants(FileDiscovered)
                assert not rig.bus.wants(PurgePlanned), "another type"
                for _ in range(20_000):
                    rig.discovered()
                    rig.planned()
                rig.changed("after")
                found = await heard(asked, OFTEN + 3)
                assert not asked.too_slow.is_set()
            assert not rig.bus.wants(FileDiscovered), "who asked is gone"
            others = await heard(plain, 2)
    kinds = [one["event"]["type"] for one in found if one["type"] == "event"]
    (more,) = [one for one in found if one["type"] == "more"]
    assert (more["of"], more["count"] + kinds.count("file.discovered")) == ("file.discovered", 20_000)
    assert set(kinds) == {"file.discovered", "job.changed"}
    assert [one.get("event", one)["type"] for one in others] == ["snapshot", "job.changed"]


async def test_frequent_types_leave_room_for_who_comes_back() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None, ["file.discovered"]) as asked:
            assert asked is not None
            rig.changed("a")
            rig.discovered()
            await heard(asked, 3)
            with rig.feed.joined(0, rig.feed.epoch, ["file.discovered"]) as again:
                assert again is not None
                rig.changed("b")
                missed = await heard(again, 3)
    assert [one["type"] for one in missed] == ["resumed", "event", "event"]
    assert [one["event"]["job"] for one in missed[1:]] == ["a", "b"]


async def test_a_slow_client_is_dropped_and_holds_nobody_up() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as slow, rig.feed.joined(None, None) as quick:
            assert slow is not None
            assert quick is not None
            await heard(quick, 1)
            for n in range(QUEUED + 1):
                rig.changed(str(n))
                assert (await heard(quick, 1))[0]["event"]["job"] == str(n)
            assert slow.too_slow.is_set()
            assert not quick.too_slow.is_set()
            assert len(slow._queue) <= QUEUED


async def test_long_messages_take_no_more_memory() -> None:
    rig = Rig()
    long = "x" * 100_000
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as slow:
            assert slow is not None
            for n in range(200):
                rig.changed(str(n), long)
            await asyncio.sleep(0.01)
            assert slow.too_slow.is_set()
            assert sum(len(one.text) for one in slow._queue) <= QUEUED_SIZE + 2 * len(long)
        assert 0 < sum(len(one.text) for one in rig.feed._ring) == rig.feed._ring_size <= KEPT_SIZE
        with rig.feed.joined(190, rig.feed.epoch) as again, rig.feed.joined(100, rig.feed.epoch) as late:
            assert again is not None
            assert late is not None
            assert (await heard(again, 1))[0]["type"] == "resumed"
            assert (await heard(late, 1))[0]["type"] == "snapshot"


async def test_events_come_from_any_thread_in_order() -> None:
    rig = Rig()
    async with rig.feed.running(rig.bus):
        with rig.feed.joined(None, None) as client:
            assert client is not None
            thread = threading.Thread(target=lambda: deque(map(rig.changed, map(str, range(300))), maxlen=0))
            thread.start()
            found = await heard(client, 301)
            thread.join()
    assert [one["event"]["job"] for one in found[1:]] == [str(n) for n in range(300)]
    assert [one["seq"] for one in found] == list(range(301))


async def test_a_feed_that_dies_ends_what_it_belongs_to() -> None:
    rig = Rig()

    def broken() -> dict[str, dict[str, Any]]:
        raise ValueError("a mistake")

    async def serve() -> None:
        async with rig.feed.running(rig.bus):
            with rig.feed.joined(None, None):
                await asyncio.sleep(60)

    rig.feed._progress = broken
    with pytest.raises(ExceptionGroup) as died:
        await serve()
    assert died.group_contains(ValueError, match="a mistake")
