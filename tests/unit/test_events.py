"""Events: who hears of them, what belongs together, and the one form in which all are told."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from sidecar.events import (
    FREQUENT,
    TYPES,
    Bus,
    Event,
    EventType,
    FileDiscovered,
    FileEvent,
    FileFailed,
    FilePurged,
    FileRestored,
    FileSkipped,
    SourceRead,
    type_of,
)
from sidecar.jobs.ends import ends
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.telling.wire import as_json, made_schema, published_schema, written
from tests.unit.eventsmade import EVERY, PLACE, SECRET


def told(event: Event) -> dict[str, Any]:
    text = as_json(event)
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    return found


# -- the one form ---------------------------------------------------------------------------------------------------


def test_every_type_has_an_event_and_a_form() -> None:
    assert EVERY.keys() == set(TYPES)
    assert {kind: type_of(event) for kind, event in EVERY.items()} == {kind: kind for kind in TYPES}
    assert as_json(SourceRead("j", "comfy", 5)) is None, "nobody's business"


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_told_is_what_the_schema_says(kind: EventType) -> None:
    schema = json.loads(published_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema)
    event = told(EVERY[kind])
    valid.validate(event)
    for wrong in ({**event, "type": "nonsense"}, {**event, "more": 1}, {**event, "data": {**event["data"], "more": 1}},
                  *({key: value for key, value in event.items() if key != left} for left in event)):  # fmt: skip
        assert not valid.is_valid(wrong), wrong


def test_the_published_schema_is_made_of_the_shapes() -> None:
    assert published_schema() == written(made_schema()), "run: python -m sidecar.telling.wire"


def test_the_head_of_an_event() -> None:
    event = EVERY["file.stored"]
    head = told(event)
    assert list(head) == ["id", "type", "time", "job", "source", "correlation", "data"]
    assert (head["id"], head["job"], head["source"]) == (event.id, "j", "comfy")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", head["time"])
    assert (head["data"]["root"], head["data"]["path"]) == ("/o", "a%FF.png")
    assert told(EVERY["metadata.read"])["job"] is None
    assert told(EVERY["job.done"])["source"] is None
    assert told(EVERY["job.done"])["correlation"] is None
    assert as_json(event) == as_json(event), "whoever tells it"


def test_nothing_that_is_told_holds_a_secret() -> None:
    texts = [as_json(event) or "" for event in EVERY.values()]
    assert sum("no route" in text for text in texts) == 8
    assert not [text for text in texts if SECRET in text]
    assert any("token=is_a_name.png" in text for text in texts), "a file has the name that it has"


def test_ids_are_their_own() -> None:
    assert len({event.id for event in EVERY.values()}) == len(EVERY)
    assert FilePurged(*PLACE, 5) == FilePurged(*PLACE, 5), "though they say the same"


def test_one_file_has_one_correlation() -> None:
    of_file = [event for event in EVERY.values() if isinstance(event, FileEvent)]
    assert len({event.correlation for event in of_file}) == 1
    assert {told(event)["correlation"] for event in of_file} == {of_file[0].correlation}
    name = PLACE[-1]
    others = [FileRestored("j", "other", b"/o", name), FileRestored("j", "comfy", b"/p", name),
              FileRestored("j", "comfy", b"/o", b"b.png"), FileRestored("j", "comfy", b"/oa", name[1:])]  # fmt: skip
    assert len({one.correlation for one in (*others, of_file[0])}) == 5
    assert FileRestored("another", *PLACE[1:]).correlation == of_file[0].correlation, "the job is told beside it"


# -- who hears ------------------------------------------------------------------------------------------------------


def test_what_is_frequent_is_heard_by_who_names_it() -> None:
    bus, all_heard, some_heard = Bus(), list[Event](), list[Event]()
    assert not bus.wants(FilePurged)
    bus.subscribe(all_heard.append)
    assert bus.wants(FilePurged)
    assert not [kind for kind in FREQUENT if bus.wants(kind)]
    leave = bus.subscribe(some_heard.append, FileDiscovered, FilePurged)
    assert bus.wants(FileDiscovered)
    for event in EVERY.values():
        bus.emit(event)
    assert [type_of(event) for event in all_heard] == [kind for kind in TYPES if kind not in FREQUENT.values()]
    assert [type_of(event) for event in some_heard] == ["file.discovered", "file.purged"]
    leave()
    assert not bus.wants(FileDiscovered)


def test_the_same_is_said_once() -> None:
    bus, heard = Bus(), list[Event]()
    bus.subscribe(heard.append, FileSkipped, FileFailed)
    for job in ("j1", "j2", "j3"):  # a pass each
        bus.emit_news(FileSkipped(job, "comfy", b"/o", b"a.txt", "not media"))
    assert heard == [FileSkipped("j1", "comfy", b"/o", b"a.txt", "not media")]
    others: list[FileSkipped | FileFailed] = [
        FileSkipped("j4", "comfy", b"/o", b"b.txt", "not media"),
        FileSkipped("j4", "comfy", b"/p", b"a.txt", "not media"),
        FileSkipped("j4", "comfy", b"/o", b"a.txt", "excluded"),
        FileSkipped("j4", "other", b"/o", b"a.txt", "not media"),
        FileFailed("j4", "comfy", b"/o", b"a.txt", "not media"),
    ]
    for event in others:
        bus.emit_news(event)
    assert heard[1:] == others


def test_what_was_said_takes_no_more_than_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.events.bus.REMEMBERED", 10)
    bus, heard = Bus(), list[Event]()
    bus.subscribe(heard.append, FileSkipped)
    for n in (*range(11), 10, 0):
        bus.emit_news(FileSkipped("j", "comfy", b"/o", b"%d" % n, "not media"))
    assert [event.path for event in heard if isinstance(event, FileSkipped)] == [b"%d" % n for n in (*range(11), 0)]
    assert len(bus._said) <= 10


# -- how jobs end ---------------------------------------------------------------------------------------------------


def view(state: JobState, cause: Cause = Cause.SCHEDULE, *, dry_run: bool = False, **entry: int) -> JobView:
    result = {"sync": [{"name": "a", **entry}], "purge": [{"name": "a", **entry}]}
    return JobView("j", Request(Action.RUN, cause, dry_run=dry_run), state, 1, 2, 3, result)


@pytest.mark.parametrize(
    ("ended", "types"),
    [
        (view(JobState.RUNNING, stored=1), []),
        (view(JobState.DONE), []),
        (view(JobState.DONE, Cause.API), ["job.done"]),
        (view(JobState.DONE, stored=1), ["job.done"]),
        (view(JobState.DONE, purged=1), ["job.done", "purge.done"]),
        (view(JobState.PARTLY, failed=1), ["job.failed", "purge.done"]),
        (view(JobState.FAILED), ["job.failed"]),
        (view(JobState.CANCELLED), []),
        (view(JobState.FAILED, Cause.API, dry_run=True, purged=1), []),
    ],
)
def test_what_the_end_of_a_job_is_told_as(ended: JobView, types: list[str]) -> None:
    found = list(ends(ended))
    assert [type_of(event) for event in found] == types
    assert {(event.job, event.source) for event in found} <= {("j", "")}
