"""The engine's events over the real wire: what is heard, what a proxy forbids, what a gap looks like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sidecar.config import ResolvedHost
from sidecar.transports.base import Change, Gap, Happened
from sidecar.transports.docker import events
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.events import WAITS, Feed, read_event

ID = "f" * 64


def event(action: str, at_ns: int = 5, **more: Any) -> bytes:
    """One line as Docker 20.10 and 28 send it."""
    attributes = {"name": "gen", "image": "x"}
    whole = {"status": action, "id": ID, "from": "x", "Type": "container", "Action": action,
             "Actor": {"ID": ID, "Attributes": attributes}, "scope": "local", "timeNano": at_ns}  # fmt: skip
    return json.dumps(whole | more).encode() + b"\n"


@pytest.mark.parametrize(
    ("action", "change"),
    [("start", Change.STARTED), ("die", Change.STOPPED), ("destroy", Change.REMOVED), ("rename", Change.RENAMED)],
)
def test_what_is_heard(action: str, change: Change) -> None:
    assert read_event(event(action)) == Happened(change, ID, "gen", 5)


@pytest.mark.parametrize(
    "line",
    [
        event("exec_create: python3 -c x"),
        event("exec_start: sh"),
        event("exec_die"),
        event("archive-path"),
        event("extract-to-dir"),
        event("start", Type="network"),
        event("die", timeNano="soon"),
        event("die", Actor=None),
        b"",
        b"[]\n",
        b"{",
        b"\xff\n",
    ],
)
def test_what_is_not(line: bytes) -> None:
    assert read_event(line) is None


class Wire:
    """What stands between: answers /version as an engine does, and /events as a test says."""

    def __init__(self, path: Path) -> None:
        self.host = ResolvedHost(f"unix://{path}", None, "test")
        self.asked: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.lines: list[list[bytes]] = []
        self._path = path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/version", self._version)
        app.router.add_get("/{api}/version", self._version)
        app.router.add_get("/{api}/_ping", self._ping)
        app.router.add_get("/{api}/events", self._events)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self._path)).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"Version": "28.5.2", "ApiVersion": "1.44", "MinAPIVersion": "1.24"})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="OK", headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.Response(status=status)
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in self.lines.pop(0) if self.lines else []:
            await answer.write(line)
        if not self.lines:
            await asyncio.sleep(60)
        return answer

    def feed(self) -> Feed:
        return Feed(lambda: Engine.connect(self.host, 5.0), forbidden_for=0.2)


async def heard(feed: Feed, count: int) -> list[Happened | Gap]:
    found: list[Happened | Gap] = []
    async with asyncio.timeout(30), aclosing(feed.run()) as stream:
        async for one in stream:
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_a_stream_that_ends_is_taken_up_where_it_was_with_a_gap(tmp_path: Path) -> None:
    wire = Wire(tmp_path / "s")
    whole, rest = event("die", 8 * 10**9 + 1), event("start", 9 * 10**9)
    wire.lines = [[event("start", 7 * 10**9), whole[:40], whole[40:]], [rest], []]
    async with wire.running():
        found = await heard(wire.feed(), 5)
    changes = [one.change if isinstance(one, Happened) else bool(one.reason) for one in found]
    assert changes == [False, Change.STARTED, Change.STOPPED, True, Change.STARTED]
    assert [asked["since"] for asked in wire.asked[:2]] == ["0.000000001", "8.000000002"]
    assert json.loads(wire.asked[0]["filters"])["event"] == ["start", "die", "destroy", "rename"]


async def test_a_proxy_that_forbids_is_asked_again_later(tmp_path: Path) -> None:
    wire = Wire(tmp_path / "s")
    wire.statuses, wire.lines = [403, 404, 503, 200], [[event("die")], []]
    async with wire.running():
        found = await heard(wire.feed(), 2)
    assert isinstance(found[0], Gap)
    assert "no events now" in found[0].reason, "an engine that is just starting is nobody that forbids"
    assert isinstance(found[1], Happened)
    assert len(wire.asked) == 4


async def test_an_engine_that_was_away_is_heard_soon_and_never_asked_in_a_rush(tmp_path: Path) -> None:
    assert sum(WAITS[:3]) < 1.0, "what starts right then is stored within two seconds"
    assert WAITS[-1] <= 2.0
    wire = Wire(tmp_path / "s")
    wire.lines = [[] for _ in range(100)]  # every stream ends at once
    async with wire.running():
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5), aclosing(wire.feed().run()) as stream:
                async for _ in stream:
                    pass
    assert 2 <= len(wire.asked) <= 6, "at 0, 0.1, 0.3, 0.8 and 1.8 s"


async def test_a_stream_that_lasted_is_taken_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STEADY", 0.0)
    wire = Wire(tmp_path / "s")
    wire.lines = [[event("start", n + 1)] for n in range(8)]
    async with wire.running():
        feed = wire.feed()
        found = [one for one in await heard(feed, 16) if isinstance(one, Happened)]
    assert len(found) == 8
    assert feed._failures <= 1
