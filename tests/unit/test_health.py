"""`healthcheck` looks at a sign of life and at passes alone; no small success, long pass or clock deceives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.outcomes import ACCEPT, SINGLE
from sidecar.manifest import JobRow, Manifest
from sidecar.manifest.history import QUIET_KEPT
from sidecar.models import NS
from sidecar.progress import ProgressManager, Snapshot
from sidecar.telling.health import (
    BEAT,
    HANGS_NS,
    JUDGED,
    LATE_NS,
    SILENT_NS,
    Health,
    Heart,
    Sign,
    judged,
    passes_of,
    usual_ns,
)

NOW = 1_700_000_000 * NS
MINUTE = 60 * NS


def row(number: int, *, ok: bool | None = True, action: str = "run", took: int = NS, problem: str = "") -> JobRow:
    """A pass that ended a second ago; `ok` None is one under way."""
    ended = None if ok is None else NOW - NS
    return JobRow(
        f"j{number}", action, "schedule", NOW - NS - took, ended, ok, json.dumps({"problem": problem}), number
    )


SIGN = Sign(NOW - NS, after_job=10, due_ns=NOW + MINUTE)


def test_before_the_first_pass_ended_all_is_well() -> None:
    assert judged(SIGN, [], NOW) == Health(True, "serve is at its first pass")
    assert judged(SIGN, [row(9, ok=False)], NOW) == Health(True, "serve is at its first pass"), (
        "that was an earlier serve"
    )


def test_the_last_pass_of_each_kind_counts() -> None:
    assert judged(SIGN, [row(12), row(11, ok=False)], NOW)[0]
    bad = row(12, ok=False, problem="engine gone")
    assert judged(SIGN, [bad, row(11)], NOW) == Health(False, "the last pass failed: engine gone")
    purge = row(11, ok=False, action="purge", problem="library moved")
    assert judged(SIGN, [row(13, action="sync"), row(12, action="sync"), purge], NOW) == Health(
        False, "the last purge failed: library moved")  # fmt: skip


def partly(number: int, action: str, *entries: dict[str, Any]) -> JobRow:
    return replace(row(number, ok=False, action=action), report=json.dumps({"result": {"sources": entries}}))


def test_a_file_that_cannot_be_read_is_a_warning_and_many_are_a_fault() -> None:
    def night(failed: int) -> Health:
        problems = [{"path": "a.png", "reason": "permission denied"}]
        return judged(SIGN, [partly(12, "sync", {"name": "gen", "failed": failed, "problems": problems})], NOW)

    found = night(1)
    assert found == (True, "the last pass ended, and all else is safe 1 s ago",
                     ("gen: 1 file could not be stored (permission denied); each pass tries again",))  # fmt: skip
    assert night(SINGLE).ok
    assert night(SINGLE + 1)[:2] == (
        False, f"the last pass failed: gen: {SINGLE + 1} files could not be stored (permission denied)")  # fmt: skip
    assert judged(SIGN, [row(13, action="sync"), partly(12, "sync")], NOW).warnings == (), "until a pass has it"


def test_a_source_that_fails_as_a_whole_is_a_fault() -> None:
    gone = {"name": "gen", "failed": 1, "problems": [{"path": "", "reason": "its container was removed"}]}
    assert judged(SIGN, [partly(12, "sync", gone)], NOW)[:2] == (
        False, "the last pass failed: gen: its container was removed")  # fmt: skip
    assert not judged(SIGN, [partly(12, "purge", {"name": "gen", "failed": 0, "error": "engine gone"})], NOW).ok


def test_what_was_kept_is_at_no_risk() -> None:
    refused = judged(SIGN, [partly(12, "purge", {"name": "gen", "failed": 0, "refused": "the clock jumped"})], NOW)
    assert (refused.ok, refused.warnings) == (True, ("gen: not purged: the clock jumped",))
    assert judged(SIGN, [partly(12, "purge", {"name": "gen", "failed": 2})], NOW).ok


def test_a_copy_is_lost_when_its_original_is_gone() -> None:
    def checked(**counts: int) -> Health:
        return judged(SIGN, [row(13), partly(12, "verify", {"name": "gen", "ok": False, **counts})], NOW)

    again = checked(missing=1, damaged=1, forgotten=2)
    assert (again.ok, again.warnings) == (True, ("gen: 2 copies are damaged or missing, and pulled again",))
    lost = f"gen: 1 copy is damaged or missing, and the originals are gone — {ACCEPT}"
    assert checked(missing=2, damaged=0, forgotten=1).sentence == f"the last verify failed: {lost}"


def test_what_cannot_be_told_is_not_called_well() -> None:
    assert not judged(SIGN, [partly(12, "sync", {"name": "gen", "failed": 0})], NOW).ok
    assert not judged(SIGN, [row(12, ok=False)], NOW).ok


def test_a_pass_that_left_its_sources_to_other_jobs_shows_nothing() -> None:
    left = replace(row(12), report=json.dumps({"result": {"busy": ["gen"]}}))
    assert not judged(SIGN, [left, row(11, ok=False)], NOW)[0]
    assert judged(SIGN, [left, row(11)], NOW)[0]
    assert not judged(SIGN, [replace(left, ok=False), row(11)], NOW)[0]


def test_a_serve_that_hangs_is_noticed_whatever_the_clock_does() -> None:
    for later in (NOW + SILENT_NS, NOW - SILENT_NS - 2 * NS):
        ok, why, _ = judged(SIGN, [row(11)], later)
        assert (ok, "no sign of life" in why) == (False, True)
    assert SILENT_NS > 4 * BEAT * NS


def test_a_pass_that_hangs_is_noticed_and_a_long_one_that_moves_is_not() -> None:
    still = replace(SIGN, still_ns=NOW - HANGS_NS - NS)
    assert judged(still, [row(11)], NOW)[1].startswith("work hangs: nothing moved for 601 s")
    assert judged(replace(SIGN, still_ns=NOW - HANGS_NS), [row(11)], NOW)[0]
    slow = row(11, took=HANGS_NS)
    assert judged(still, [slow], NOW)[0], "such passes take that long here"
    assert usual_ns([slow, row(12), row(13)]) == NS


def test_a_schedule_that_does_not_fire_is_noticed() -> None:
    assert judged(replace(SIGN, due_ns=NOW - LATE_NS), [row(11)], NOW)[0]
    ok, why, _ = judged(replace(SIGN, due_ns=NOW - LATE_NS - NS), [row(11)], NOW)
    assert (ok, why) == (False, "a pass was due 121 s ago and did not begin")
    assert judged(replace(SIGN, due_ns=None), [row(11)], NOW)[0], "nothing is due, ever"


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest.open(tmp_path)
    yield made
    made.close()


async def test_only_passes_are_judged(manifest: Manifest) -> None:
    def ended(job: str, cause: str, *, ok: bool) -> None:
        manifest.start_job(job, "sync", cause, NOW)
        manifest.end_job(job, ok, "{}", NOW)

    await asyncio.to_thread(ended, "pass", "schedule", ok=False)
    for number, cause in enumerate(("event", "watch", "api", "command")):
        await asyncio.to_thread(ended, f"other{number}", cause, ok=True)
    rows = passes_of(manifest)
    assert [job.id for job in rows] == ["pass"]
    assert not judged(Sign(NOW, 0), rows, NOW)[0], "a small success does not turn red into green"


async def test_a_failure_stays_until_its_own_kind_succeeds(manifest: Manifest) -> None:
    def ended(job: str, action: str, *, ok: bool, cause: str = "schedule", state: str = "", quiet: bool = True) -> None:
        manifest.start_job(job, action, cause, NOW)
        manifest.end_job(job, ok, "{}", NOW, state, quiet=quiet)

    def well() -> bool:
        return judged(Sign(NOW, 0), passes_of(manifest), NOW)[0]

    def many(kind: str) -> None:
        for number in range(max(QUIET_KEPT, JUDGED) + 5):
            ended(f"{kind}{number}", "run", ok=True)

    await asyncio.to_thread(ended, "check", "verify", ok=False, quiet=False)
    await asyncio.to_thread(many, "a")
    assert not well(), "a pass a minute does not turn the night's check green"
    await asyncio.to_thread(ended, "again", "verify", ok=True, state="cancelled")
    assert not well(), "nor does one that was cancelled"
    await asyncio.to_thread(ended, "better", "verify", ok=True)
    await asyncio.to_thread(many, "b")
    assert well(), "and what was quiet is remembered as long as what it mended"
    assert manifest.job("check") is not None


async def test_young_jobs_that_move_do_not_hide_an_old_one_that_hangs(manifest: Manifest) -> None:
    now = [NOW]
    request = Request(Action.SYNC, Cause.EVENT, ("a",))
    old = JobView("old", request, JobState.RUNNING, NOW, started_ns=NOW)
    young = replace(old, id="young", started_ns=NOW + NS)

    class Desk:
        jobs: tuple[JobView, ...] = (young, old)
        moved = 0

        def running(self) -> list[JobView]:
            return list(self.jobs)

        def progress(self, job: str) -> Snapshot:
            made = ProgressManager("sync")
            made.expect(10**6, 10**6)
            made.advance(files=self.moved if job == "young" else 0)
            return made.snapshot()

    desk = Desk()
    heart = await asyncio.to_thread(Heart, manifest, cast(JobDesk, desk), lambda: None, lambda: now[0])
    for _ in range(3):
        desk.moved += 1
        assert heart._now().still_ns == NOW
        now[0] += NS
    desk.jobs = (young,)
    assert heart._now().still_ns == now[0]
    desk.jobs = ()
    assert heart._now().still_ns is None
