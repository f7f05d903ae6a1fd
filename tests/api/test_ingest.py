"""Sinks over HTTP: how they stand, what they refused, and asking for more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.config import SinkSettings
from sidecar.ingest.opening import open_deliveries
from sidecar.manifest import Told
from tests.api.running import Api, Reply, as_control, as_reader, problem
from tests.unit.ingest.telling import said

AT = "/api/v1/ingest"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    options = {"type": "jsonlines", "path": str(tmp_path / "out.jsonl"), "required": True}
    with Api(tmp_path, sinks={"out": SinkSettings.model_validate(options)}) as running:
        for name in (b"a.png", b"b.png"):
            running.store("gen", name, name)
        yield running


def deliver(api: Api) -> None:
    async def all_of_them() -> None:
        settings = api.settings.model_copy(update={"media": api.settings.media.model_copy(update={"enabled": False})})
        for one in await open_deliveries(settings, api.manifest, api.bus.emit):
            await one.catch_up()
            await one.close()

    asyncio.run(all_of_them())


def post(api: Api, what: str) -> Reply:
    return api.ask(f"{AT}/out/{what}", "POST", as_control())


def test_a_sink_is_told_what_is_asked_for(api: Api, tmp_path: Path) -> None:
    problem(post(api, "retry"), 409, "never opened")
    deliver(api)
    api.manifest.deliveries.keep("out", [Told(2, "no room")], 1)
    (one,) = api.ask(AT, "GET", as_reader()).json["sinks"]
    assert (one["name"], one["type"], one["required"], one["backlog"], one["refused"], one["retrying"]) == (
        "out", "jsonlines", True, 0, 1, False
    )  # fmt: skip
    whole = api.ask(f"{AT}/OUT", "GET", as_reader()).json
    assert whole == one | {"refusals": [
        {"library_path": "gen/b.png", "reason": "no room", "at": "1970-01-01T00:00:00.000Z"}
    ]}  # fmt: skip
    asked = post(api, "retry")
    assert (asked.status, asked.json["retrying"], asked.json["filling"]) == (202, True, None)
    deliver(api)
    assert [path for _, path, _ in said(tmp_path / "out.jsonl")] == ["a.png", "b.png", "b.png"]
    asked = post(api, "backfill")
    assert (asked.status, asked.json["filling"]) == (202, {"at": 0, "upto": 2})
    deliver(api)
    assert [path for _, path, _ in said(tmp_path / "out.jsonl")][3:] == ["a.png", "b.png"]
    (one,) = api.ask("/api/v1/status", "GET", as_reader()).json["sinks"]
    assert (one["refused"], one["retrying"], one["filling"], one["problem"]) == (0, False, None, None)


def test_what_cannot_be_asked_for(api: Api) -> None:
    problem(api.ask(f"{AT}/oot", "GET", as_reader()), 404, "oot", "did you mean out?")
    problem(api.ask(f"{AT}/oot/backfill", "POST", as_control()), 404, "oot")
    problem(api.ask(f"{AT}/out/backfill", "POST", as_reader()), 403)
    problem(api.ask(f"{AT}/out?limit=0", "GET", as_reader()), 422, "limit")


def test_what_is_still_to_be_looked_into_is_told(api: Api) -> None:
    assert api.ask("/api/v1/status", "GET", as_reader()).json["unread"] == 2
