"""The HTTP side running on a real port, over a real library and manifest, and clients for it."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sidecar.api.app import make_app
from sidecar.api.board import Board
from sidecar.api.server import listen, serving
from sidecar.api.tokens import Keys
from sidecar.config import ApiSettings, IngestSettings, Settings
from sidecar.events import Bus
from sidecar.jobs.catalog import Catalog
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.patience import Patience
from sidecar.jobs.work import Tools
from sidecar.jobs.writers import Writers
from sidecar.library import Library
from sidecar.manifest import Manifest, NewFile, Search
from sidecar.models import FileStat, Source
from sidecar.orchestrator import SyncOrchestrator
from sidecar.sync.slots import Slots
from sidecar.telling.health import Health

CONTROL, READ = "control-token-of-the-tests", "read-token-of-the-tests"
JSON = {"Content-Type": "application/json"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def as_control(**more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {CONTROL}", **more}


def as_reader(**more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {READ}", **more}


def ask(port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, *,
        body: bytes | None = None, host: str | None = None) -> Reply:  # fmt: skip
    """One request. The path goes over the wire as it is, `..` included."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host if host is not None else f"127.0.0.1:{port}")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def problem(reply: Reply, status: int, *words: str) -> dict[str, Any]:
    """The problem that an answer is; it has this status and holds all `words`."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json", reply
    found: dict[str, Any] = reply.json
    assert set(found) == {"type", "title", "status", "detail", "hint", "errors"}
    assert found["status"] == status
    for word in words:
        assert word in f"{found['detail']} {found['hint']} {found['errors']}", found
    return found


class Api:
    """The app, answering in a thread with a loop of its own. Everything that it reads is made here."""

    def __init__(self, folder: Path, *, sinks: Mapping[str, Any] = MappingProxyType({}), **settings: Any) -> None:
        self.port = free_port()
        self.settings = Settings(
            library=folder / "library",
            state=folder / "state",
            api=ApiSettings(listen=f"127.0.0.1:{self.port}", token=CONTROL, read_token=READ, **settings),
            ingest=IngestSettings(sinks=dict(sinks)),
        )
        self.manifest = Manifest.open(self.settings.state)
        self.library = Library.open(self.settings.library, expect=None)
        self.search = Search(self.settings.state)
        self.bus = Bus()
        self.well = Health(True, "the last pass ended well")
        self.pings = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api")
        self._failed: BaseException | None = None

    def __enter__(self) -> Api:
        self._thread.start()
        assert self._started.wait(30)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.search.close()
        self.library.close()
        self.manifest.close()

    def stop(self) -> None:
        """End the server as the service ends it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._failed = error
            self._started.set()

    async def _serve(self) -> None:
        tools = Tools(
            self.settings, Catalog([], self.bus), self.library, self.manifest, self.bus, Writers(), Patience(), Slots(2)
        )
        async with JobDesk(SyncOrchestrator(tools), tools) as desk:
            board = Board(tools, desk, self.search, self._health, (self._ping,))
            async with serving(make_app(board, Keys(CONTROL, READ)), listen(self.settings.api.listen)):
                self._started.set()
                await self._stop.wait()

    async def _ping(self) -> None:
        self.pings += 1
        await asyncio.sleep(0.3)

    async def _health(self) -> Health:
        return self.well

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, *,
            body: bytes | None = None, host: str | None = None) -> Reply:  # fmt: skip
        """One request."""
        return ask(self.port, path, method, headers, body=body, host=host)

    def post(self, path: str, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """One request with a JSON body."""
        return self.ask(path, "POST", {**JSON, **(headers or {})}, body=json.dumps(value).encode())

    def store(self, source: str, path: bytes, content: bytes, kind: str = "image") -> str:
        """Put a file into library and manifest, as a sync does; answers its hash in hex."""
        digest = hashlib.sha256(content).digest()
        batch = self.library.batch(source)
        staged = batch.stage(content, 1_700_000_000_000_000_000)
        try:
            with ThreadPoolExecutor(1) as pool:
                self.library.flush([staged], pool)
            placed = batch.place(staged, path, digest)
            batch.flush()
        finally:
            staged.close()
        key = self.manifest.enter(Source(source, "comfyui", "docker", source, source, (b"/o",), "running"), 1)
        stat = FileStat(path, len(content), 1_700_000_000_000_000_000, 1)
        self.manifest.record(key, b"/o", [NewFile(stat, digest, placed.path, kind)], 1)
        return digest.hex()
