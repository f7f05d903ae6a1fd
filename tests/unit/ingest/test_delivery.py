"""From the manifest's log of changes to sinks: order, place, what is refused, what is down, what is older."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar.errors import LibraryUnsafe, MediaSyncError
from sidecar.events import Bus, Event, FileStored, SinkTold
from sidecar.ingest.base import SinkDown
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.webhook import Webhook
from sidecar.manifest import Asked, Finding, deliveries
from sidecar.telling.metrics import counting
from tests.unit.ingest.receiver import Receiver, receiving
from tests.unit.ingest.telling import NOW, Pictures, asked, known, lines, said, sha, way


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Pictures]:
    made = Pictures(tmp_path / "state")
    yield made
    made.manifest.close()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def posting(receiver: Receiver) -> Webhook:
    return Webhook(receiver.url, secret=None, allow_private=True, timeout=30)


async def eventually(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not check():  # noqa: ASYNC110 (nobody says when)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*ways: Delivery) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in ways]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done), done


# order and place


async def test_what_happened_is_told_in_its_order_and_once(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out)
    pictures.store(a="1", b="2")
    await one.catch_up()
    pictures.purge("a")
    pictures.store(c="3")
    pictures.vanish("b")
    await one.catch_up()
    await one.catch_up()
    assert said(out) == [
        ("ingest", "a", "stored"), ("ingest", "b", "stored"),
        ("retract", "a", "purged"), ("ingest", "c", "stored"), ("retract", "b", "vanished"),
    ]  # fmt: skip
    assert pictures.table.backlog("out") == 0


async def test_what_is_told_late_is_told_as_it_is_now(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out)
    pictures.store(a="1")
    pictures.store(a="2")
    pictures.purge("a")
    await one.catch_up()
    assert said(out) == [("ingest", "a", "replaced"), ("retract", "a", "replaced"), ("ingest", "a", "purged"),
                         ("retract", "a", "purged")]  # fmt: skip
    assert [record.hash for record in known(out).values()] == [sha("1").hex(), sha("2").hex()]


async def test_the_same_content_at_the_same_place_again_is_the_same_record(pictures: Pictures, out: Path) -> None:
    """A copy that was damaged is pulled again, a purged picture made again: what ended before says nothing of it."""
    one = way(pictures, out)
    pictures.store(a="1")
    pictures.distrust("a")
    pictures.store(a="1")
    await one.catch_up()
    assert {record.state for _, record in lines(out)} == {"stored"}
    assert len(known(out)) == 1
    pictures.purge("a")
    pictures.store(a="1")
    await asked(pictures, one, everything=True)
    await one.catch_up()
    assert [record.state for record in known(out).values()] == ["stored"]


async def test_a_record_says_what_is_known(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out)
    pictures.store_all({b"a b\xff.png": "1"})
    pictures.store(b="1")
    pictures.read(**{"1": {"prompt": "a fox", "seed": 2**64 - 1}})
    await one.catch_up()
    first, second = known(out).values()
    assert (first.path, first.library_path, first.hash) == ("a b%FF.png", "gen/a b%FF.png", sha("1").hex())
    assert (first.source, first.size, first.mtime_ns, first.stored_ns, first.kind) == ("gen", 10, NOW, NOW, "image")
    assert first.metadata == second.metadata == {"prompt": "a fox", "seed": 2**64 - 1}
    assert first.key != second.key, "one content in two places"


async def test_keys_stay_when_the_manifest_is_made_anew(pictures: Pictures, out: Path, tmp_path: Path) -> None:
    pictures.store(a="1", b="2")
    await way(pictures, out).catch_up()
    anew = Pictures(tmp_path / "anew")
    anew.store(x="9", b="2")
    await way(anew, tmp_path / "anew.jsonl").catch_up()
    anew.manifest.close()
    assert {r.path: r.key for r in known(out).values()}["b"] in known(tmp_path / "anew.jsonl")
    assert len(set(known(out)) & set(known(tmp_path / "anew.jsonl"))) == 1


async def test_many_come_in_batches(pictures: Pictures, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RECORDS", 40)
    one = way(pictures, posting(receiver))
    pictures.store_all({b"f%03d" % n: str(n) for n in range(100)})
    await one.catch_up()
    await one.close()
    assert [len(batch) for batch in receiver.batches] == [40, 40, 20]
    assert [record["path"] for batch in receiver.batches for record in batch] == [f"f{n:03}" for n in range(100)]


async def test_batches_are_bounded_by_what_was_found_out(pictures: Pictures, receiver: Receiver) -> None:
    one = way(pictures, posting(receiver))
    pictures.store_all({b"f%d" % n: str(n) for n in range(5)})
    pictures.read(**{str(n): {"prompt": "x" * 1_500_000} for n in range(4)})
    await one.catch_up()
    await one.close()
    assert [len(batch) for batch in receiver.batches] == [2, 3]


# the media steps come first


async def test_nothing_is_told_before_it_was_looked_into(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out, read_first=True)
    pictures.store(a="1")
    await one.catch_up()
    assert said(out) == []
    assert pictures.table.backlog("out") == 1
    pictures.read(**{"1": {"prompt": "a fox"}})
    pictures.store(b="2")
    await one.catch_up()
    assert [(r.path, r.metadata) for r in known(out).values()] == [("a", {"prompt": "a fox"})]


async def test_of_originals_that_went_is_told_though_nobody_looks_again(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out, read_first=True)
    pictures.store(a="1", b="2")
    pictures.read()
    await one.catch_up()
    pictures.vanish("a")
    pictures.purge("b")
    pictures.store(c="3")
    await one.catch_up()
    assert {r.path: r.state for r in known(out).values()} == {"a": "vanished", "b": "purged"}


# the log


async def test_the_log_is_kept_for_who_is_behind_and_no_longer(pictures: Pictures, out: Path, tmp_path: Path) -> None:
    first, second = way(pictures, out, "a"), way(pictures, tmp_path / "b.jsonl", "b")
    pictures.store(a="1", b="2")
    pictures.read()
    await first.catch_up()
    assert pictures.logged() == 2, "b was not told"
    await second.catch_up()
    assert pictures.logged() == 0


async def test_a_sink_that_was_removed_does_not_hold_the_log(pictures: Pictures, out: Path, tmp_path: Path) -> None:
    first = way(pictures, out, "a")
    way(pictures, tmp_path / "b.jsonl", "b")
    pictures.store(a="1")
    pictures.read()
    await first.catch_up()
    assert pictures.logged() == 1
    assert pictures.table.forget_others(["a"]) == ["b"]
    assert pictures.logged() == 0
    assert [row.name for row in pictures.table.standings()] == ["a"]


async def test_a_sink_that_comes_later_gets_what_is_in_the_log_and_by_backfill_the_rest(
    pictures: Pictures, out: Path, tmp_path: Path
) -> None:
    first = way(pictures, out, "first")
    pictures.store(a="1", b="2")
    pictures.read()
    await first.catch_up()
    pictures.store(c="3")
    later = way(pictures, tmp_path / "later.jsonl", "later")
    await later.catch_up()
    assert said(tmp_path / "later.jsonl") == [("ingest", "c", "stored")]
    row = next(row for row in pictures.table.standings() if row.name == "later")
    assert (row.backlog, row.unfilled) == (0, 2)
    numbers = [pictures.number(name) for name in "abc"]
    assert pictures.table.lacking(["first", "later"], numbers) == {numbers[0]: "later", numbers[1]: "later"} | (
        {numbers[2]: "first"}
    )
    pictures.purge("a")
    await asked(pictures, later, everything=True)
    assert {(r.path, r.state) for r in known(tmp_path / "later.jsonl").values()} == {
        ("a", "purged"), ("b", "stored"), ("c", "stored")
    }  # fmt: skip
    await later.catch_up()
    assert pictures.table.lacking(["later"], numbers) == {}
    row = next(row for row in pictures.table.standings() if row.name == "later")
    assert (row.backlog, row.unfilled, row.asked) == (0, 0, Asked())


async def test_a_backfill_goes_on_where_it_was_cut_short(
    pictures: Pictures, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "RECORDS", 4)
    pictures.store_all({b"f%d" % n: str(n) for n in range(10)})
    one = way(pictures, posting(receiver))
    await one.catch_up()
    receiver.batches.clear()
    receiver.answers = [200, 503]
    with pytest.raises(SinkDown):
        await asked(pictures, one, everything=True)
    (row,) = pictures.table.standings()
    assert (row.asked.filling.at, row.asked.filling.upto) == (4, 10)
    pictures.store(new="new")
    await asked(pictures, way(pictures, posting(receiver)), everything=True)
    await one.close()
    paths = [record["path"] for batch in receiver.batches for record in batch]
    assert paths == [*(f"f{n}" for n in range(4)), "new", *(f"f{n}" for n in range(4, 10))], "what is new comes first"


async def test_a_backfill_leaves_to_the_log_what_is_in_it(pictures: Pictures, out: Path) -> None:
    """Metadata of those is not known yet, and whoever is told of them early is told of them twice."""
    one = way(pictures, out, read_first=True)
    pictures.store(a="1")
    pictures.read()
    await one.catch_up()
    pictures.store(b="2")
    await asked(pictures, one, everything=True)
    assert said(out) == [("ingest", "a", "stored")] * 2
    assert pictures.table.lacking(["out"], [pictures.number("b")]) == {pictures.number("b"): "out"}


async def test_who_delivers_does_what_another_process_asks_for(
    pictures: Pictures, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ingest.delivery.LOOK_EVERY", 0.01)
    pictures.store(a="1", b="2")
    receiver.refuses = {"b"}
    beside = Pictures(pictures.state)
    async with running(way(pictures, posting(receiver))):
        await eventually(lambda: len(pictures.table.refusals("out", 10)) == 1)
        receiver.refuses = set()
        beside.table.ask(["out"], NOW, everything=False)
        await eventually(lambda: pictures.table.asked("out") == Asked())
        assert receiver.paths() == ["a", "b"]
        beside.table.ask(["out"], NOW, everything=True)
        await eventually(lambda: pictures.table.asked("out") == Asked())
    assert receiver.paths() == ["a", "b", "a", "b"]
    beside.manifest.close()


async def test_asking_ends_the_pause_of_a_sink_that_was_down(
    pictures: Pictures, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ingest.delivery.LOOK_EVERY", 0.01)
    monkeypatch.setattr("sidecar.ingest.delivery.FIRST_PAUSE", 3600.0)
    monkeypatch.setattr("sidecar.ingest.delivery.LONGEST_PAUSE", 3600.0)
    receiver.answers = [503, 503]
    pictures.store(a="1")
    async with running(way(pictures, posting(receiver))):
        await eventually(lambda: receiver.answers == [503])
        pictures.table.ask(["out"], NOW, everything=False)
        await eventually(lambda: receiver.answers == [])
        pictures.table.ask(["out"], NOW + 1, everything=False)  # what was asked for before is not done yet
        await eventually(lambda: pictures.table.backlog("out") == 0)


async def test_what_is_asked_for_again_meanwhile_begins_anew(
    pictures: Pictures, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "RECORDS", 2)
    one = way(pictures, posting(receiver))
    pictures.store(a="1", b="2", c="3", d="4")
    receiver.refuses = set("abcd")
    await one.catch_up()
    due_again = pictures.table.due_again

    def mended(sink: str, after: int) -> Any:
        if after:  # a and b were refused once more: now somebody mends the receiver, and asks
            receiver.refuses = set()
            pictures.table.ask([sink], NOW + 1, everything=False)
            monkeypatch.setattr(pictures.table, "due_again", due_again)
        return due_again(sink, after)

    monkeypatch.setattr(pictures.table, "due_again", mended)
    await asked(pictures, one)
    await one.close()
    assert pictures.table.refusals("out", 10) == []
    assert pictures.table.asked("out") == Asked()


# what is read once more


async def test_what_is_found_out_later_is_told_once_more(pictures: Pictures, out: Path) -> None:
    one = way(pictures, out, read_first=True)
    pictures.store(a="1", b="1", c="2")
    pictures.read(**{"1": {"seed": 1}})
    await one.catch_up()
    assert said(out) == [("ingest", name, "stored") for name in "abc"]
    pictures.manifest.findings.forget()
    pictures.read(**{"1": {"seed": 2}})
    await one.catch_up()
    assert [(r.path, r.metadata) for _, r in lines(out)][3:] == [("a", {"seed": 2}), ("b", {"seed": 2})], (
        "nothing new is known of c"
    )
    pictures.read()
    assert pictures.logged() == 0, "and everybody is behind it"


async def test_what_is_looked_into_after_it_was_told_is_told_once_more(pictures: Pictures, out: Path) -> None:
    """The media steps were off, and are on now."""
    one = way(pictures, out)
    pictures.store(a="1")
    await one.catch_up()
    pictures.vanish("a")
    await one.catch_up()
    pictures.read(**{"1": {"seed": 1}})
    await one.catch_up()
    assert said(out) == [("ingest", "a", "stored"), ("retract", "a", "vanished"), ("ingest", "a", "vanished")]
    assert lines(out)[-1][1].metadata == {"seed": 1}


async def test_a_copy_that_was_damaged_and_came_again_is_told_with_what_is_known_now(
    pictures: Pictures, out: Path
) -> None:
    one = way(pictures, out, read_first=True)
    pictures.store(a="1")
    (unread,), place = pictures.manifest.findings.unread()
    assert place is not None
    pictures.manifest.findings.keep([Finding(unread.hash, problems=("its copy cannot be read",))], place, NOW)
    await one.catch_up()
    pictures.store(b="1")
    pictures.read(**{"1": {"seed": 1}})
    await one.catch_up()
    assert {r.path: r.metadata for r in known(out).values()} == {"a": {"seed": 1}, "b": {"seed": 1}}
    assert [r.path for _, r in lines(out)] == ["a", "b", "a"]


# refused


async def test_the_one_that_is_refused_is_set_aside_and_the_others_go_on(
    pictures: Pictures, receiver: Receiver
) -> None:
    one = way(pictures, posting(receiver))
    pictures.store_all({b"f%d" % n: str(n) for n in range(10)})
    receiver.refuses = {"f3", "f7"}
    await one.catch_up()
    assert set(receiver.paths()) == {f"f{n}" for n in range(10)} - {"f3", "f7"}
    (row,) = pictures.table.standings()
    assert (row.backlog, row.refused, row.told) == (0, 2, 8)
    found = pictures.table.refusals("out", 10)
    assert [path for _, path, _, _ in found] == [b"gen/f7", b"gen/f3"]
    assert all("it answered 422" in reason for _, _, reason, _ in found)
    bad = {pictures.number("f3"), pictures.number("f7")}
    assert set(pictures.table.lacking(["out"], range(1, 11))) == bad
    receiver.refuses = {"f7"}
    await asked(pictures, one)
    assert [path for _, path, _, _ in pictures.table.refusals("out", 10)] == [b"gen/f7"]
    receiver.refuses = set()
    pictures.purge("f7")
    await one.catch_up()
    await one.close()
    assert pictures.table.refusals("out", 10) == [], "a record that was taken later is known as a whole"


async def test_what_is_too_large_together_is_told_in_parts(pictures: Pictures, receiver: Receiver) -> None:
    receiver.most = 3
    one = way(pictures, posting(receiver))
    pictures.store_all({b"f%d" % n: str(n) for n in range(10)})
    await one.catch_up()
    await one.close()
    assert receiver.paths() == [f"f{n}" for n in range(10)]
    assert pictures.table.standings()[0].refused == 0


# down


async def test_what_was_cut_short_is_told_again(pictures: Pictures, receiver: Receiver) -> None:
    one = way(pictures, posting(receiver))
    pictures.store(a="1", b="2")
    receiver.answers = [503]
    with pytest.raises(SinkDown, match="it answered 503"):
        await one.catch_up()
    assert pictures.table.backlog("out") == 2
    await one.catch_up()
    await one.close()
    assert receiver.paths() == ["a", "b"]


async def test_a_sink_that_is_down_delays_only_itself(
    pictures: Pictures, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.ingest.delivery.FIRST_PAUSE", 0.05)
    bus = Bus()
    told: list[Event] = []
    bus.subscribe(told.append)
    missing = tmp_path / "none" / "down.jsonl"
    well, down = way(pictures, out, "well", bus=bus), way(pictures, missing, "down", bus=bus)
    for one in (well, down):
        bus.subscribe(one.heard)
    with counting(bus) as metrics:
        async with running(well, down):
            pictures.store(a="1")
            bus.emit(FileStored("j", "gen", b"/o", b"a", b"gen/a", b"h" * 32, 1, False, None))
            await eventually(lambda: said(out) == [("ingest", "a", "stored")])
            await eventually(lambda: any(isinstance(e, SinkTold) and not e.up and e.backlog for e in told))
            await eventually(lambda: pictures.table.backlog("well") == 0)
            rows = {row.name: row for row in pictures.table.standings()}
            assert rows["well"].problem is None
            assert rows["down"].backlog == 1
            assert "none/down.jsonl cannot be written" in rows["down"].problem
            missing.parent.mkdir()
            await eventually(lambda: said(missing) == [("ingest", "a", "stored")])
            await eventually(lambda: pictures.table.backlog("down") == 0)
            await eventually(lambda: metrics.registry.get_sample_value("media_sync_ingest_up", {"sink": "down"}) == 1)
        value = metrics.registry.get_sample_value
        assert value("media_sync_ingest_backlog", {"sink": "down"}) == 0
        assert value("media_sync_ingest_delivered_total", {"sink": "down"}) == 1
        assert value("media_sync_ingest_refused_total", {"sink": "down"}) == 0
    rows = {row.name: row for row in pictures.table.standings()}
    assert rows["down"].problem is None


async def test_a_sink_with_a_mistake_is_down_and_named(pictures: Pictures) -> None:
    class Mistaken(Webhook):
        async def ingest(self, batch: Any) -> None:
            raise KeyError("prompt")

    one = way(pictures, Mistaken("http://127.0.0.1:9/", secret=None, allow_private=True, timeout=1))
    pictures.store(a="1")
    with pytest.raises(SinkDown, match="unexpected KeyError"):
        await one.catch_up()
    await one.close()
    assert pictures.table.backlog("out") == 1


async def test_a_sink_that_is_not_made_for_a_loop_is_down_and_ends_nothing(pictures: Pictures) -> None:
    class Plain(Webhook):
        def ingest(self, batch: Any) -> None:  # type: ignore[override]
            raise KeyError("prompt")

    one = way(pictures, cast("Webhook", Plain("http://127.0.0.1:9/", secret=None, allow_private=True, timeout=1)))
    pictures.store(a="1")
    async with running(one):
        await eventually(lambda: "unexpected KeyError" in str(pictures.table.standings()[0].problem))
    assert pictures.table.backlog("out") == 1


async def test_what_waits_and_cannot_be_counted_ends_nothing(
    pictures: Pictures, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = way(pictures, out)
    count, faults = pictures.table.backlog, [LibraryUnsafe("the disk does not answer")] * 3

    def faulty(sink: str) -> int:
        if faults:
            raise faults.pop()
        return int(count(sink))

    monkeypatch.setattr(pictures.table, "backlog", faulty)
    monkeypatch.setattr("sidecar.ingest.delivery.FIRST_PAUSE", 0.01)
    async with running(one):
        await eventually(lambda: not faults)
        pictures.store(a="1")
        await eventually(lambda: out.exists() and said(out) == [("ingest", "a", "stored")])


async def test_a_sink_that_never_answers_is_down(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.ingest.delivery.LONGEST_CALL", 0.05)

    class Silent(Webhook):
        async def ingest(self, batch: Any) -> None:
            await asyncio.Event().wait()

    one = way(pictures, Silent("http://127.0.0.1:9/", secret=None, allow_private=True, timeout=1))
    pictures.store(a="1")
    with pytest.raises(SinkDown, match="did not answer"):
        await one.catch_up()
    assert one._most == deliveries.RECORDS // 2, "the next time it gets fewer"
    await one.close()


async def test_pauses_grow_to_a_bound_and_begin_anew(pictures: Pictures, tmp_path: Path) -> None:
    slept: list[float] = []
    one = Delivery("out", way(pictures, tmp_path / "x")._sink, pictures.manifest, read_first=False,
                   tell=lambda _event: None, chance=lambda: 1.0)  # fmt: skip
    for _ in range(12):
        await one._failed(MediaSyncError("no"))
        slept.append(one.pause())
    assert slept == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    pictures.store(a="1")
    await one.catch_up()
    await one._failed(MediaSyncError("no"))
    assert one.pause() == 1


# what a purge asks


async def test_a_sink_lacks_what_waits_what_it_refused_and_all_when_it_never_followed(
    pictures: Pictures, out: Path
) -> None:
    pictures.store(a="1")
    number = pictures.number("a")
    assert pictures.table.lacking(["out"], [number]) == {number: "out"}, "it never followed"
    one = way(pictures, out)
    assert pictures.table.lacking(["out"], [number]) == {number: "out"}, "it waits"
    await one.catch_up()
    assert pictures.table.lacking(["out"], [number]) == {}
    assert pictures.table.lacking(["out", "other"], [number]) == {number: "other"}
    assert pictures.table.lacking([], [number]) == {}
    pictures.table.forget_others([])
    assert pictures.table.lacking(["out"], [number]) == {number: "out"}, "it was forgotten"
