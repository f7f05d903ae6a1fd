"""When a watched file is looked at, how often, and what of it goes into the history."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from sidecar.errors import LibraryFull, StreamBroken
from sidecar.jobs.job import Cause, JobState, JobView
from sidecar.manifest import Manifest, Waiting
from sidecar.models import NS, Problem
from sidecar.sync.diff import EMPTY, UNFETCHED, Settling
from sidecar.sync.groups import CHANGED
from sidecar.sync.pulling import Pulled, look_again
from sidecar.sync.report import SyncReport
from sidecar.watchers.agenda import AT_ONCE, TRIES, Agenda
from sidecar.watchers.bursts import LONGEST_NS, QUIET, Bursts

R = b"/output"
HOUR = 3600 * NS


# -- agenda ---------------------------------------------------------------------------------------------------------


def test_files_are_due_in_their_order_and_once() -> None:
    agenda = Agenda()
    for path, due in ((b"late", 30), (b"early", 10), (b"middle", 20)):
        assert agenda.note(R, path, due * NS)
    assert agenda.next_ns() == 10 * NS
    assert agenda.due(9 * NS) == {}
    assert agenda.due(20 * NS) == {R: {b"early": 0, b"middle": 0}}
    assert agenda.due(20 * NS) == {}
    assert (agenda.next_ns(), len(agenda)) == (30 * NS, 1)


def test_a_file_that_is_told_of_again_has_its_new_time_only() -> None:
    agenda = Agenda()
    for due in (10, 40, 20, 30):
        agenda.note(R, b"busy", due * NS)
    assert agenda.due(29 * NS) == {}
    assert agenda.due(30 * NS) == {R: {b"busy": 0}}
    assert agenda.next_ns() is None


def test_what_fails_is_tried_again_with_growing_pauses_and_then_given_up() -> None:
    agenda, now, tries, pauses = Agenda(), 0, 0, []
    while agenda.again(R, b"bad", tries, now):
        due = agenda.next_ns()
        assert due is not None
        pauses.append((due - now) // NS)
        now = due
        (tries,) = agenda.due(now)[R].values()
    assert len(pauses) == TRIES - 1
    assert pauses == sorted(set(pauses))


def test_what_is_told_of_while_it_is_read_is_not_put_off_by_its_failure() -> None:
    agenda = Agenda()
    agenda.note(R, b"a", 5 * NS)
    assert agenda.again(R, b"a", 2, 100 * NS)
    assert agenda.due(5 * NS) == {R: {b"a": 0}}


def test_it_remembers_so_many_files_and_no_more() -> None:
    agenda = Agenda(most=3)
    assert [agenda.note(R, b"%d" % n, n) for n in range(5)] == [True, True, True, False, False]
    assert agenda.note(R, b"1", 7), "one that is known needs no room"


def test_a_thousand_files_are_looked_at_in_parts_and_old_times_take_no_room() -> None:
    agenda = Agenda()
    for n in range(AT_ONCE + 10):
        agenda.note(R, b"%d" % n, n)
    assert len(agenda.due(NS)[R]) == AT_ONCE
    assert len(agenda.due(NS)[R]) == 10
    for n in range(100_000):
        agenda.note(R, b"busy", n)
    assert len(agenda._heap) < 5000
    assert agenda.next_ns() == 99_999


# -- when a pull says to look again ---------------------------------------------------------------------------------


def look(reason: str, *, mtime_ns: int, fetched: bool = False, now_ns: int = 100 * NS) -> int | None:
    pulled = Pulled(SyncReport("gen", "c", "", "docker"))
    look_again(pulled, {b"a": Waiting(1, mtime_ns, 1, 0, fetched, reason)}, now_ns, Settling(2 * NS, 600 * NS))
    return pulled.later.get(b"a")


def test_when_a_file_is_worth_another_look() -> None:
    assert look("changed a moment ago", mtime_ns=99 * NS) == 101 * NS
    assert look("its mtime lies in the future", mtime_ns=100 * HOUR) == 102 * NS, "only our own watch counts"
    assert look(CHANGED, mtime_ns=50 * NS) == 102 * NS
    assert look("ends without IEND", mtime_ns=90 * NS, fetched=True) == 690 * NS
    assert look("ends without IEND", mtime_ns=0, fetched=True, now_ns=HOUR) == HOUR + 2 * NS
    assert look(EMPTY, mtime_ns=90 * NS) is None, "whoever fills it closes it, and that is told"
    assert look(UNFETCHED, mtime_ns=90 * NS) is None, "what failed is tried again as often as failures are"


# -- bursts ---------------------------------------------------------------------------------------------------------


class Clock:
    ns = HOUR

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    manifest = Manifest.open(tmp_path)
    yield manifest
    manifest.close()


def report(name: str, stored: int, failed: int = 0) -> SyncReport:
    problems = [Problem(b"%d" % n, "broken") for n in range(failed)]
    return SyncReport(name, "c", "", "docker", stored=stored, bytes_stored=10 * stored, failed=problems)


async def test_a_burst_is_one_job_of_all_sources_that_took_part(manifest: Manifest) -> None:
    clock, shown, number = Clock(), list[JobView](), count(1)
    bursts = Bursts(manifest, clock, shown.append, lambda: f"job{next(number)}")
    first = bursts.job
    await bursts.add(report("a", 0))
    assert (shown, manifest.jobs()) == ([], []), "a look that came to nothing is no news"
    for name, stored, failed in (("b", 2, 0), ("a", 3, 1), ("b", 4, 0)):
        await bursts.add(report(name, stored, failed))
        clock.ns += 10 * NS
        await bursts.end_if_over()
    assert bursts.job == first
    (row,) = manifest.jobs()
    assert (row.id, row.cause, row.state) == (first, Cause.WATCH, JobState.RUNNING)
    clock.ns += int(QUIET * NS)
    await bursts.end_if_over()
    assert bursts.job != first
    (row,) = manifest.jobs()
    assert (row.state, row.ok) == (JobState.PARTLY, False)
    assert [view.state for view in shown] == [JobState.RUNNING, JobState.PARTLY]
    assert shown[-1].request.sources == ("a", "b")
    assert shown[-1].result is not None
    assert [(one["name"], one["stored"], one["failed"]) for one in shown[-1].result["sources"]] == [
        ("a", 3, 1),
        ("b", 6, 0),
    ]
    await bursts.end()
    assert len(manifest.jobs()) == 1, "ending nothing records nothing"


async def test_what_cannot_be_recorded_ends_nothing(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shown = Clock(), list[JobView]()
    bursts = Bursts(manifest, clock, shown.append, lambda: "job")
    broken = report("a", 0)
    broken.error = StreamBroken("it broke off")
    await bursts.add(broken)
    await bursts.add(report("a", 1))
    await bursts.end()
    assert [view.state for view in shown] == [JobState.RUNNING, JobState.PARTLY]
    assert shown[-1].result is not None
    assert [one["reason"] for one in shown[-1].result["sources"][0]["problems"]] == [broken.error.line()]

    def full(*_: object) -> None:
        raise LibraryFull("no space is left")

    monkeypatch.setattr(manifest, "start_job", full)
    monkeypatch.setattr(manifest, "end_job", full)
    await bursts.add(report("a", 1))
    await bursts.end()
    assert shown[-1].state is JobState.DONE


async def test_a_stream_of_files_becomes_one_job_an_hour(manifest: Manifest) -> None:
    clock, number = Clock(), count(1)
    bursts = Bursts(manifest, clock, lambda view: None, lambda: f"job{next(number)}")
    for _ in range(0, 2 * LONGEST_NS, 30 * NS):
        await bursts.add(report("a", 1))
        clock.ns += 30 * NS
        await bursts.end_if_over()
    await bursts.end()
    assert len(manifest.jobs()) == 2


async def test_a_steady_trickle_is_a_line_a_minute(manifest: Manifest) -> None:
    clock, lines = Clock(), list[tuple[int, dict[str, Any]]]()
    bursts = Bursts(manifest, clock, lambda view: None, lambda: "job")
    sink = logger.add(lambda line: lines.append((clock.ns, line.record["extra"])), level="INFO", format="{message}")
    try:
        for second in range(0, 600, 5):
            if second % 20 == 0:
                await bursts.add(report("b" if second % 40 else "a", 1))
            clock.ns += 5 * NS
            await bursts.end_if_over()
        await bursts.end()
    finally:
        logger.remove(sink)
    assert 8 <= len(lines) <= 11, "ten minutes"
    assert all(b - a >= 60 * NS for (a, _), (b, _) in pairwise(lines[:-1]))
    assert sum(told["stored"] for _, told in lines) == 30, "each file in one line"
    assert {told["job"] for _, told in lines} == {"job"}
    assert len(manifest.jobs()) == 1, "the history has it as one"
