"""Events, by every way on which they are told: over a WebSocket, by webhook, and in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sidecar.config import NotifySettings
from sidecar.events import FREQUENT, TYPES, Event
from sidecar.notify import notifying
from sidecar.telling.wire import as_json, published_schema
from tests.api.running import Api, as_control, as_reader
from tests.engine.commands import eventually
from tests.rig.receiver import receiver
from tests.unit.eventsmade import EVERY


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("events")) as made:
        yield made


def listening(api: Api, *also: str) -> ClientConnection:
    query = "?" + "&".join(f"also={kind}" for kind in also) if also else ""
    return connect(f"ws://127.0.0.1:{api.port}/api/v1/ws{query}", additional_headers=as_control(), max_size=None)


async def test_who_is_told_reads_the_same_bytes_everywhere(api: Api) -> None:
    heard: list[Event] = []
    api.bus.subscribe(heard.append)
    api.bus.subscribe(heard.append, *FREQUENT)
    with receiver() as (url, got), listening(api, *FREQUENT.values()) as live:
        live.recv(timeout=30)
        async with notifying(NotifySettings(webhook_url=url, events=TYPES, allow_private=True), api.bus):
            for event in EVERY.values():
                api.bus.emit(event)
            await asyncio.to_thread(eventually, lambda: len(got) == len(EVERY), "all posts")
        frames = [str(live.recv(timeout=30)) for _ in EVERY]
    texts = [as_json(event) for event in heard]
    assert len(texts) == len(EVERY)
    assert [body.decode() for _, body, _ in got] == texts
    assert frames == [
        f'{{"seq": {json.loads(frame)["seq"]}, "type": "event", "event": {text}}}'
        for frame, text in zip(frames, texts, strict=True)
    ]
    assert [headers["X-Media-Sync-Delivery"] for _, _, headers in got] == [event.id for event in heard]


def test_what_is_frequent_comes_to_who_asked(api: Api) -> None:
    with listening(api) as plain, listening(api, "purge.planned") as asked:
        plain.recv(timeout=30)
        asked.recv(timeout=30)
        for event in EVERY.values():
            api.bus.emit(event)
        found = {}
        for name, live in (("plain", plain), ("asked", asked)):
            found[name] = set[str]()
            while "source.recovered" not in found[name]:
                found[name].add(json.loads(live.recv(timeout=30))["event"]["type"])
    assert found["plain"] == set(TYPES) - set(FREQUENT.values())
    assert found["asked"] - found["plain"] == {"purge.planned"}


@pytest.mark.parametrize("also", ["nonsense", "file.stored"])
def test_what_cannot_be_asked_for_is_refused(api: Api, also: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        listening(api, also)
    assert refused.value.response.status_code == 403


def test_the_schema_is_served_to_who_may_look(api: Api) -> None:
    found = api.ask("/api/v1/events/schema", headers=as_reader())
    assert (found.status, found.headers["content-type"]) == (200, "application/schema+json")
    assert found.body == published_schema()
    assert api.ask("/api/v1/events/schema").status == 401
