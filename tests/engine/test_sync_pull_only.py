"""Pull-only mode: what a socket proxy that allows GET and HEAD alone would see, seen on the wire and by the engine."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from generators.container import HOLD

from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, pngs
from tests.rig.program import Program

REQUEST = re.compile(rb"(?:^|\n)([A-Z]+) (/\S*) HTTP/1\.1\r\n")
STAMP = 1_700_000_000_123_456_789
FILES = pngs("a.png", "sub/b.png", "sub/c.png")


@contextmanager
def recorded(path: Path, engine_host: str) -> Iterator[list[bytes]]:
    """A socket at `path` that leads to the engine and refuses to pass on anything but GET and HEAD.

    The list holds the method of every request seen.
    """
    methods: list[bytes] = []
    threads: list[threading.Thread] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)

    def pump(source: socket.socket, target: socket.socket, *, asking: bool) -> None:
        seen = b""
        try:
            while data := source.recv(65536):
                if asking:
                    seen = seen[-4096:] + data
                    found = [match[1] for match in REQUEST.finditer(seen)]
                    seen = b"" if found else seen
                    methods.extend(found)
                    if set(found) - {b"GET", b"HEAD"}:
                        source.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        break
                target.sendall(data)
        except OSError:
            return
        finally:
            for link in (source, target):
                try:
                    link.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            beyond = socket.socket(socket.AF_UNIX)
            beyond.connect(engine_host.removeprefix("unix://"))
            for pair, asking in (((link, beyond), True), ((beyond, link), False)):
                thread = threading.Thread(target=pump, args=pair, kwargs={"asking": asking}, daemon=True)
                thread.start()
                threads.append(thread)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield methods
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join()
        for thread in threads:
            thread.join(5)


def execs(engine: docker.DockerClient, container: str, began_ns: int) -> list[str]:
    """What the engine noted of execs in a container since then."""
    events = engine.events(since=began_ns // 10**9, until=int(time.time()) + 1, filters={"container": container},
                           decode=True)  # fmt: skip
    return [e["Action"] for e in events if e["Action"].startswith("exec_create") and e["timeNano"] >= began_ns]


@pytest.mark.parametrize("image", ["busybox_image", "python_image", "noshell_image"])
def test_pulling_needs_no_right_to_post(image: str, cli: Program, engine: docker.DockerClient, engine_host: str,
                                        generator: MakeGenerator, request: pytest.FixtureRequest) -> None:  # fmt: skip
    command = ("/sleep", "infinity") if image == "noshell_image" else HOLD
    made = generator(image=request.getfixturevalue(image), root="/out", command=command)
    made.put(FILES, mtime_ns=STAMP)
    began = time.time_ns()
    with recorded(cli.folder / "s", engine_host) as methods:
        cli.host = f"unix://{cli.folder / 's'}"
        pull = Pull(cli, made, env={"MEDIA_SYNC_DOCKER__PULL_ONLY": "true"})
        assert pull.sync()["stored"] == 3
        assert pull.sync()["bytes_received"] == 0
        pull.run("sources").ok()
    assert pull.library() == FILES
    assert set(methods) == {b"GET", b"HEAD"}
    assert execs(engine, made.id, began) == []


def test_without_that_mode_an_agent_is_started(cli: Program, engine: docker.DockerClient, generator: MakeGenerator
                                               ) -> None:  # fmt: skip
    """So that the test above could fail."""
    made = generator(root="/out")
    made.put(FILES, mtime_ns=STAMP)
    began = time.time_ns()
    Pull(cli, made).sync()
    said = execs(engine, made.id, began)
    assert said
    assert not any("a.png" in action for action in said), "names travel over stdin, and not in the event stream"
