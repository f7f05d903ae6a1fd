"""The WebSocket over the wire: a client that takes nothing is dropped, and the others do not notice."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from sidecar.api.feed import CLIENTS
from sidecar.events import JobChanged
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from tests.api.running import CONTROL, Api, as_control
from tests.engine.commands import eventually

HEAVY = "x" * 20_000  # of text in each message: what the kernel buffers for a deaf client is soon full


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("live")) as made:
        yield made


def listening(api: Api) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", additional_headers=as_control(), max_size=None)


def deaf(api: Api) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", api.port))
    made.sendall(
        f"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {CONTROL}\r\n\r\n".encode()
    )
    assert made.recv(12) == b"HTTP/1.1 101"
    return made


def changed(job: str) -> JobChanged:
    view = JobView(job, Request(Action.SYNC, Cause.API), JobState.RUNNING, 1, problem=HEAVY)
    return JobChanged(job, "", view)


def connections(api: Api) -> int:
    """Connections of clients that the server's side has open."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split()[1:4] for line in lines]
    return sum(local.endswith(f":{api.port:04X}") and state == "01" for local, _, state in ends)


def test_a_client_that_takes_nothing_is_dropped_and_the_others_hear_all(api: Api) -> None:
    with listening(api) as quick, deaf(api):
        assert json.loads(quick.recv(timeout=30))["type"] == "snapshot"
        eventually(lambda: connections(api) == 2, "both to be connected")
        seen = []
        for n in range(1200):
            api.bus.emit(changed(f"{n:x}"))
            seen.append(json.loads(quick.recv(timeout=30))["event"]["data"]["id"])
        assert seen == [f"{n:x}" for n in range(1200)]
        eventually(lambda: connections(api) == 1, "the deaf one to be dropped")
        api.bus.emit(changed("f"))
        assert json.loads(quick.recv(timeout=30))["event"]["data"]["id"] == "f"


def test_what_a_client_says_means_nothing_and_may_not_be_long(api: Api) -> None:
    with listening(api) as live:
        live.recv(timeout=30)
        live.send('{"type": "purge"}')
        api.bus.emit(changed("a"))
        assert json.loads(live.recv(timeout=30))["seq"] > 0
        live.send("x" * 100_000)
        eventually(lambda: live.close_code is not None or not alive(live), "the end of it")


def alive(live: ClientConnection) -> bool:
    try:
        live.ping().wait(1)
    except Exception:
        return False
    return True


def test_there_are_so_many_clients_and_no_more(api: Api) -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(listening(api)) for _ in range(CLIENTS)]
        for one in made:
            one.recv(timeout=30)
        with listening(api) as one_more:
            eventually(lambda: one_more.close_code == 1013 or not alive(one_more), "to be sent away")
            assert one_more.close_code == 1013
        api.bus.emit(changed("b"))
        assert all(json.loads(one.recv(timeout=30))["type"] == "event" for one in made)
