"""The summary that a quiet service logs."""

from __future__ import annotations

import asyncio
import io
import json
import time

from loguru import logger

from sidecar import logs
from sidecar.events import Bus, FileFailed, FilePurged, FileStored, JobChanged, SourceChanged, SourceSlowed
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.models import NS
from sidecar.telling.story import Story, summing_up


def passed(state: JobState = JobState.DONE, cause: Cause = Cause.SCHEDULE) -> JobChanged:
    return JobChanged("j", "", JobView("j", Request(Action.RUN, cause), state, 0, 0, 1))


def stored(source: str = "comfy", size: int = 1000, *, duplicate: bool = False) -> FileStored:
    return FileStored("j", source, b"/o", b"a.png", b"a.png", b"", size, duplicate, None)


def test_a_quiet_hour() -> None:
    story = Story()
    for _ in range(60):
        story.heard(passed(JobState.RUNNING))
        story.heard(passed())
    assert story.tell()[0] == "60 passes, 0 stored, 0 failed"


def test_a_busy_hour() -> None:
    story = Story()
    events = [passed(), passed(JobState.PARTLY), passed(cause=Cause.API), passed(JobState.CANCELLED), stored(),
              stored(), stored("forge"), stored("forge", duplicate=True), stored("forge"),
              FilePurged("j", "comfy", b"/o", b"a.png", 2_000_000), FileFailed("j", "comfy", b"/o", b"b.png", "x"),
              SourceSlowed("j", "old", 3, 99, "gone"), SourceSlowed("j", "new", 3, 99, "gone"),
              SourceSlowed("j", "new", 0, 0, "")]  # fmt: skip
    for event in events:
        story.heard(event)
    sentence, figures = story.tell()
    assert sentence == ("2 passes (1 did not end well), 5 stored (4.0 kB from forge, comfy), 1 purged (2.0 MB freed), "
                        "1 failed, left alone for failing: old")  # fmt: skip
    assert figures == {"passes": 2, "passes_failed": 1, "stored": 5, "bytes_stored": 4000, "purged": 1,
                       "bytes_freed": 2_000_000, "failed": 1, "slowed": 1}  # fmt: skip
    assert story.tell()[0] == "0 passes, 0 stored, 0 failed, left alone for failing: old", "it begins anew"
    story.heard(SourceChanged("", "old", "gone", ""))
    assert story.tell()[0] == "0 passes, 0 stored, 0 failed"


def test_many_sources_are_counted_not_named() -> None:
    story = Story()
    for number in range(20):
        story.heard(stored(f"s{number:02}"))
    assert "from s00, s01, s02, s03, s04 and 15 more)" in story.tell()[0]


async def test_it_comes_again_and_again_and_ends_with_the_service() -> None:
    stream = io.StringIO()
    logs.setup("info", "json", stream)
    bus = Bus()
    try:
        async with summing_up(bus, NS // 50):
            bus.emit(stored())
            end = time.monotonic() + 30
            while stream.getvalue().count("\n") < 2:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        await asyncio.sleep(0.1)
        assert len(stream.getvalue().splitlines()) == len(lines)
    finally:
        logger.remove()
    assert lines[0]["message"] == "the last 20ms: 0 passes, 1 stored (1.0 kB from comfy), 0 failed"
    assert (lines[0]["stored"], lines[1]["stored"]) == (1, 0)


async def test_it_can_be_switched_off() -> None:
    bus = Bus()
    async with summing_up(bus, None):
        bus.emit(stored())
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "summaries"]
