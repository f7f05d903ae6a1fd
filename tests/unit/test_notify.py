"""Heartbeat and webhook against a real HTTP server: what is sent, how it is signed, and where it never goes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loguru import logger

from sidecar import logs
from sidecar.cleanup.report import PurgeReport
from sidecar.config import NotifySettings
from sidecar.errors import SourceGone
from sidecar.events import Bus, Event, FileFailed, FileStored, JobChanged, SourceSlowed
from sidecar.jobs.ends import ends
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.report import JobReport
from sidecar.models import NS, Problem
from sidecar.notify import notifying, sender
from sidecar.notify.guard import CheckedResolver, TargetRefused, is_public
from sidecar.notify.heartbeat import below
from sidecar.notify.sender import Message, Sender
from sidecar.sync.report import SyncReport

SECRET = "a-secret-of-some-length"
STORED = FileStored("j1", "comfy", b"/o", b"a\xff.png", b"comfy/a.png", b"\x01" * 32, 1000, False, None)


@dataclass
class Receiver:
    """A server that remembers what came. `answers` are the statuses of the next requests, then 200."""

    url: str = ""
    got: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    hang: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.hang is not None:
            await self.hang.wait()
        self.got.append((request.path, body, dict(request.headers)))
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(
            status=status, headers={"Location": f"{self.url}/elsewhere"} if status in (301, 307) else {}
        )

    async def until(self, count: int) -> None:
        await eventually(lambda: len(self.got) >= count)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body, _ in self.got]


async def eventually(check: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not check():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    if made.hang is not None:
        made.hang.set()
    await runner.cleanup()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of localhost, with its key beside it. Nobody trusts it by himself."""
    made = tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key.pem", "-out", made],
                   check=True, capture_output=True)  # fmt: skip
    return made


@pytest.fixture
async def secure(receiver: Receiver, certificate: Path) -> AsyncIterator[None]:
    """Lets the receiver speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    receiver.url = f"https://localhost:{runner.addresses[0][1]}"
    yield
    await runner.cleanup()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.setup("info", "json", stream)
    yield stream
    logger.remove()


def said(log: io.StringIO) -> list[str]:
    return [json.loads(line)["message"] for line in log.getvalue().splitlines()]


def job(state: JobState, cause: Cause = Cause.SCHEDULE, report: JobReport | None = None, problem: str = "",
        action: Action = Action.RUN, name: str = "j1", **request: Any) -> JobChanged:  # fmt: skip
    result = None if report is None else report.summary("")["result"]
    ended = 9 * NS if state.ended else None
    view = JobView(name, Request(action, cause, **request), state, 0, NS, ended, result, problem)
    return JobChanged(name, "", view)


def emit(bus: Bus, event: Event) -> None:
    """An event, and what the desk tells besides when a job ended."""
    bus.emit(event)
    if isinstance(event, JobChanged):
        for end in ends(event.view):
            bus.emit(end)


@asynccontextmanager
async def telling(**settings: Any) -> AsyncIterator[Bus]:
    bus = Bus()
    async with notifying(NotifySettings(**({"allow_private": True} | settings)), bus):
        yield bus


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[Sender]:
    one = Sender("webhook", **({"timeout": 10.0, "allow_private": True, "wait": 0.01} | options))
    async with one.running():
        yield one


# -- heartbeat ------------------------------------------------------------------------------------------------------


async def test_a_pass_starts_and_ends_well(receiver: Receiver) -> None:
    async with telling(heartbeat_url=f"{receiver.url}/ping/uuid") as bus:
        for state in (JobState.QUEUED, JobState.RUNNING, JobState.RUNNING, JobState.DONE):
            bus.emit(job(state))
        await receiver.until(2)
        await asyncio.sleep(0.05)
    assert [path for path, _, _ in receiver.got] == ["/ping/uuid/start", "/ping/uuid"]


async def test_a_pass_that_fails_says_why(receiver: Receiver) -> None:
    bad, worse = (SyncReport(name, "c", "/o", "docker") for name in ("comfy", "forge"))
    bad.failed.append(Problem(b"a.png", "the read stalled"))
    worse.error = SourceGone("its container was removed")
    async with telling(heartbeat_url=f"{receiver.url}/ping?create=1") as bus:
        bus.emit(job(JobState.FAILED, problem="cannot reach Docker with token=abcdef123456"))
        bus.emit(job(JobState.PARTLY, report=JobReport("j1", "run", sync=[bad, worse])))
        bus.emit(job(JobState.PARTLY, report=JobReport("j1", "run", sync=[bad])))
        await receiver.until(3)
    assert [path for path, _, _ in receiver.got] == ["/ping/fail"] * 2 + ["/ping"]
    single = b"comfy: 1 file could not be stored (the read stalled); each pass tries again"
    assert [body for _, body, _ in receiver.got] == [
        b"cannot reach Docker with token=***", b"forge: its container was removed; " + single, single]  # fmt: skip


async def test_only_passes_are_judged(receiver: Receiver) -> None:
    async with telling(heartbeat_url=receiver.url) as bus:
        for cause in (Cause.API, Cause.COMMAND, Cause.EVENT, Cause.WATCH):
            bus.emit(job(JobState.RUNNING, cause))
            bus.emit(job(JobState.FAILED, cause))
        bus.emit(job(JobState.FAILED, dry_run=True))
        bus.emit(job(JobState.CANCELLED))
        bus.emit(job(JobState.DONE, Cause.START))
        await receiver.until(1)
        await asyncio.sleep(0.05)
    assert [path for path, _, _ in receiver.got] == ["/"]


def test_suffixes_go_behind_the_path() -> None:
    assert below("https://x/a/?b=1", "/fail") == "https://x/a/fail?b=1"
    assert below("https://x", "/start") == "https://x/start"


# -- webhook --------------------------------------------------------------------------------------------------------


async def test_an_event_is_posted_and_signed(receiver: Receiver) -> None:
    async with telling(webhook_url=f"{receiver.url}/hook", events=("file.stored",), secret=SECRET) as bus:
        bus.emit(STORED)
        bus.emit(FileFailed("j1", "comfy", b"/o", b"b.png", "empty"))  # not wanted
        await receiver.until(1)
        await asyncio.sleep(0.05)
    ((path, body, headers),) = receiver.got
    assert path == "/hook"
    told = json.loads(body)
    assert (told["type"], told["job"], told["source"]) == ("file.stored", "j1", "comfy")
    assert told["data"] == {"root": "/o", "path": "a%FF.png", "library_path": "comfy/a.png", "hash": "01" * 32,
                            "size": 1000, "incomplete": None}  # fmt: skip
    assert told["id"] == STORED.id
    assert (headers["X-Media-Sync-Event"], headers["X-Media-Sync-Delivery"]) == ("file.stored", told["id"])
    at = headers["X-Media-Sync-Timestamp"]
    assert abs(int(at) - time.time()) < 600
    by_hand = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["X-Media-Sync-Signature"] == f"sha256={by_hand}"


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    async with telling(webhook_url=receiver.url, events=("file.stored",)) as bus:
        bus.emit(STORED)
        await receiver.until(1)
    assert not [name for name in receiver.got[0][2] if "Signature" in name or "Timestamp" in name]


def good() -> JobReport:
    stored = SyncReport("comfy", "c", "/o", "docker", stored=2, bytes_stored=500)
    return JobReport("j1", "run", sync=[stored], purge=[PurgeReport("comfy", purged=3, bytes_freed=900)])


@pytest.mark.parametrize(
    ("event", "types"),
    [
        (job(JobState.RUNNING), []),
        (job(JobState.DONE, report=good()), ["job.done", "purge.done"]),
        (job(JobState.DONE, report=JobReport("j1", "run", sync=[SyncReport("a", "c", "/o", "docker")])), []),
        (job(JobState.DONE, Cause.API, JobReport("j1", "sync"), action=Action.SYNC), ["job.done"]),
        (job(JobState.DONE, report=good(), dry_run=True), []),
        (job(JobState.FAILED, problem="no space left"), ["job.failed"]),
        (job(JobState.CANCELLED), []),
        (SourceSlowed("j1", "forge", 3, 99 * NS, "gone"), ["source.slowed"]),
        (SourceSlowed("j1", "forge", 0, 0, ""), ["source.recovered"]),
        (FileFailed("j1", "comfy", b"/o", b"b.png", "empty"), ["file.failed"]),
        (STORED, []),
    ],
)
async def test_which_events_are_posted_by_default(receiver: Receiver, event: Event, types: list[str]) -> None:
    async with telling(webhook_url=receiver.url) as bus:
        emit(bus, event)
        await receiver.until(len(types))
        await asyncio.sleep(0.02)
    assert [told["type"] for told in receiver.told()] == types


async def test_posts_tell_no_secrets(receiver: Receiver) -> None:
    said = "refused by tcp://me:hunter22@engine:2376"
    async with telling(webhook_url=receiver.url) as bus:
        emit(bus, job(JobState.FAILED, problem=said))
        bus.emit(FileFailed("j1", "comfy", b"/o", b"b.png", said))
        bus.emit(SourceSlowed("j1", "forge", 3, 99 * NS, said))
        await receiver.until(3)
    assert not [body for _, body, _ in receiver.got if b"hunter22" in body]
    assert [told["data"].get("problem") or told["data"].get("reason") for told in receiver.told()] == [
        "refused by tcp://me:***@engine:2376"
    ] * 3


async def test_what_a_job_came_to(receiver: Receiver) -> None:
    async with telling(webhook_url=receiver.url) as bus:
        emit(bus, job(JobState.DONE, report=good()))
        await receiver.until(2)
    done, purged = (told["data"] for told in receiver.told())
    assert (done["stored"], done["bytes_stored"], done["purged"], done["problem"]) == (2, 500, 3, None)
    assert (done["started_at"], done["ended_at"]) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:09.000Z")
    assert purged["sources"] == [{"name": "comfy", "purged": 3, "bytes_freed": 900, "failed": 0, "refused": None}]


async def test_events_of_other_threads_come_in_order(receiver: Receiver) -> None:
    async with telling(webhook_url=receiver.url, events=("file.failed",)) as bus:

        def elsewhere() -> None:
            for number in range(50):
                bus.emit(FileFailed("j", "s", b"/o", b"%d" % number, "x"))

        await asyncio.to_thread(elsewhere)
        await receiver.until(50)
    assert [told["data"]["path"] for told in receiver.told()] == [str(n) for n in range(50)]


# -- sending --------------------------------------------------------------------------------------------------------


async def test_what_may_mend_is_tried_again(receiver: Receiver, log: io.StringIO) -> None:
    receiver.answers = [503, 429, 500]
    async with sending() as one:
        one.put(Message(receiver.url, b"x"))
        await receiver.until(4)
    assert said(log) == [], "in the end it came"


@pytest.mark.parametrize(("status", "why"), [(404, "it answered 404"), (307, "redirects are not followed")])
async def test_what_will_not_mend_is_not(receiver: Receiver, log: io.StringIO, status: int, why: str) -> None:
    receiver.answers = [status, status]
    async with sending() as one:
        one.put(Message(f"{receiver.url}/secret/path", b"x"))
        one.put(Message(f"{receiver.url}/secret/path", b"x"))
        one.put(Message(f"{receiver.url}/secret/path", b"x"))
        await receiver.until(3)
        await eventually(lambda: len(said(log)) == 2)
    assert [path for path, _, _ in receiver.got] == ["/secret/path"] * 3, "and no redirect was followed"
    failed, works = said(log)
    assert why in failed, "said once"
    assert works.endswith("works again")
    assert "secret" not in log.getvalue()


async def test_a_receiver_that_never_answers_costs_a_time_out(receiver: Receiver, log: io.StringIO,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(sender, "ATTEMPTS", 2)
    receiver.hang = asyncio.Event()
    async with sending(timeout=0.1) as one:
        one.put(Message(receiver.url, b"x"))
        await eventually(lambda: said(log))
    assert "no answer within 0.1 s" in said(log)[0]


async def test_nobody_listens(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ATTEMPTS", 2)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody accepts here
        async with sending() as one:
            one.put(Message(f"http://127.0.0.1:{held.getsockname()[1]}/", b"x"))
            await eventually(lambda: said(log))
    assert "failed" in said(log)[0]


async def test_the_queue_is_bounded_and_the_oldest_make_way(receiver: Receiver, log: io.StringIO) -> None:
    receiver.hang = asyncio.Event()
    async with sending() as one:
        one.put(Message(receiver.url, b"first"))
        await asyncio.sleep(0.1)  # it is under way
        for number in range(sender.WAITING + 5):
            one.put(Message(receiver.url, b"%d" % number))
        assert one.dropped == 5
        receiver.hang.set()
        receiver.hang = None
        await receiver.until(3)
    assert [body for _, body, _ in receiver.got[:3]] == [b"first", b"5", b"6"]
    assert sum("the oldest are dropped" in line for line in said(log)) == 1


async def test_the_end_does_not_wait_for_a_receiver_that_hangs(receiver: Receiver) -> None:
    receiver.hang = asyncio.Event()
    async with sending() as one:
        one.put(Message(receiver.url, b"x"))
        await asyncio.sleep(0.05)
        leaving = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - leaving < 5, "its time-out is 10 s"


# -- where nothing may go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_private_targets_are_refused(receiver: Receiver, log: io.StringIO, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    async with sending(allow_private=False) as one:
        one.put(Message(f"http://{host}:{port}/x", b"x"))
        await eventually(lambda: said(log))
    assert receiver.got == []
    assert "is in a private network — set notify.allow_private" in said(log)[0], said(log)


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1"])
async def test_nor_are_they_reached_by_other_spellings(receiver: Receiver, log: io.StringIO, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    async with sending(allow_private=False) as one:
        one.put(Message(f"http://{host}:{port}/x", b"x"))
        await eventually(lambda: said(log))
    assert receiver.got == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "192.168.0.7")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(TargetRefused):
        await CheckedResolver(allow_private=False).resolve("rebinding.example", 80)
    found = await CheckedResolver(allow_private=True).resolve("rebinding.example", 80)
    assert [one["host"] for one in found] == ["8.8.8.8", "192.168.0.7"], "the connection goes to what was looked at"


async def test_a_message_that_cannot_be_made_holds_up_no_other() -> None:
    def broken(_: bytes) -> dict[str, str]:
        raise KeyError("a mistake")

    made = Sender("webhook", timeout=1, allow_private=True, wait=0.01)
    async with asyncio.timeout(30), made.running():
        for _ in range(2):
            made.put(Message("http://127.0.0.1:1/", b"", broken))
            await asyncio.sleep(0)
            await made._idle.wait()
        assert not made._queue


# -- TLS ------------------------------------------------------------------------------------------------------------


async def test_a_receiver_is_believed_when_an_authority_vouches_for_it(
    receiver: Receiver, secure: None, certificate: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sending() as one:
        one.put(Message(receiver.url, b"stranger"))
        await eventually(lambda: said(log))
    assert "certificate verify failed" in said(log)[0]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with sending() as one:
        one.put(Message(receiver.url, b"known"))
        await receiver.until(1)
    assert [body for _, body, _ in receiver.got] == [b"known"]
