"""The service itself, as a process on a real engine, asked over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.api.running import JSON, Reply, ask, free_port, problem
from tests.engine.commands import ALONE, complaint, eventually, heavy_png
from tests.rig.generator import Generator, Spec
from tests.rig.program import Program
from tests.rig.proxy import EngineProxy

pytestmark = pytest.mark.alone

DAY = 86400
END = {"done", "partly", "failed", "cancelled"}


@dataclass
class Service:
    """A `serve` that answers at `port`."""

    cli: Program
    args: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    def start(self) -> Service:
        env = {**ALONE, "MEDIA_SYNC_API__ENABLED": "true", "MEDIA_SYNC_API__LISTEN": f"127.0.0.1:{self.port}",
               "MEDIA_SYNC_DOCKER__TIMEOUT": "2s", **self.env}  # fmt: skip
        self.process = self.cli.start("serve", "--every", "1s", *self.args, env=env)
        eventually(lambda: self.answers() or self.process is None or self.process.poll() is not None, "an answer")
        assert self.process.poll() is None, self.process.communicate()[1]
        return self

    def stop(self) -> float:
        """SIGTERM; how many seconds it took until the end, which is a clean one."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err, err
        return time.monotonic() - asked

    def answers(self) -> bool:
        try:
            return ask(self.port, "/livez").status == 200
        except OSError:
            return False

    @property
    def token(self) -> str:
        return (self.cli.state / "token").read_text().strip()

    def get(self, path: str, status: int = 200) -> Any:
        found = ask(self.port, path, headers={"Authorization": f"Bearer {self.token}"})
        assert found.status == status, found
        return found.json

    def send(self, path: str, value: Any, method: str = "POST") -> Reply:
        headers = {"Authorization": f"Bearer {self.token}", **JSON}
        return ask(self.port, path, method, headers, body=json.dumps(value).encode())

    def job(self, job: str) -> Any:
        """A job that has ended."""
        eventually(lambda: self.get(f"/api/v1/jobs/{job}")["state"] in END, "the job's end")
        return self.get(f"/api/v1/jobs/{job}")

    @contextmanager
    def live(self, query: str = "") -> Iterator[ClientConnection]:
        with connect(f"ws://127.0.0.1:{self.port}/api/v1/ws{query}", max_size=None,
                     additional_headers={"Authorization": f"Bearer {self.token}"}) as made:  # fmt: skip
            yield made


@pytest.fixture(scope="module")
def made(busybox_image: str) -> Iterator[Generator]:
    one = Generator(f"ms-test-{uuid.uuid4().hex[:8]}", Spec(image=busybox_image))
    one.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(6)}, age=3 * DAY)
    yield one
    one.close()


@pytest.fixture(scope="module")
def proxy(engine_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProxy]:
    with EngineProxy(tmp_path_factory.mktemp("proxy") / "p.sock", engine_host) as one:
        yield one


@pytest.fixture(scope="module")
def service(made: Generator, proxy: EngineProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    cli = Program(tmp_path_factory.mktemp("serve"), proxy.host)
    one = Service(cli, ("--source", f"a={made.name}:/output"), {"MEDIA_SYNC_PURGE__OLDER_THAN": "1h"}).start()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.stop()


def messages(live: ClientConnection, until: Any) -> list[dict[str, Any]]:
    """What comes, up to the first message that `until` holds for."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found.append(json.loads(live.recv(timeout=60)))
        if until(found[-1]):
            return found
    raise AssertionError(f"it did not come: {found[-5:]}")


def stored(name: str) -> Any:
    return lambda one: one.get("event", {}).get("type") == "file.stored" and one["event"]["data"]["path"] == name


def test_the_token_is_made_for_its_owner_alone(service: Service) -> None:
    assert (service.cli.state / "token").stat().st_mode & 0o777 == 0o600
    assert service.get("/api/v1/session") == {"scope": "control", "expires_at": None}


def test_how_everything_stands(service: Service, made: Generator) -> None:
    eventually(lambda: service.get("/api/v1/status")["last_pass"] is not None, "the first pass")
    eventually(lambda: service.get("/api/v1/status")["safe"]["ok"], "all is well")
    eventually(lambda: service.get("/api/v1/status")["totals"]["files"] == 6, "the files to be counted")
    eventually(lambda: service.get("/api/v1/status")["sources"][0]["last_success"], "a pull to end well")
    found = service.get("/api/v1/status")
    assert found["engine"]["ok"]
    assert found["library"]["ok"]
    assert found["manifest"]["ok"]
    (source,) = found["sources"]
    assert (source["name"], source["container"], source["state"], source["stored"]) == ("a", made.name, "running", 6)
    assert service.get("/api/v1/sources")["sources"][0]["roots"] == ["/output"]
    ready = ask(service.port, "/readyz")
    assert ready.status == 200
    assert made.name not in ready.body.decode()


def test_a_job_is_started_and_followed(service: Service) -> None:
    begun = service.send("/api/v1/jobs", {"action": "sync", "sources": ["A"]})
    assert begun.status == 202
    assert begun.headers["location"] == f"/api/v1/jobs/{begun.json['id']}"
    ended = service.job(begun.json["id"])
    assert (ended["state"], ended["cause"], ended["action"]) == ("done", "api", "sync")
    assert ended["result"]["sources"][0]["unchanged"] == 6
    assert ended["started_at"] <= ended["ended_at"]
    assert begun.json["id"] in [job["id"] for job in service.get("/api/v1/jobs?limit=200")["jobs"]]
    problem(service.send("/api/v1/jobs", {"action": "sync", "sources": ["nobody"]}), 404, "there is no source nobody")
    problem(service.send(f"/api/v1/jobs/{begun.json['id']}", {}, "DELETE"), 409, "ended")
    pages: list[str] = []
    before: str | None = ""
    while before is not None and len(pages) < 6:
        page = service.get(f"/api/v1/jobs?limit=2{before and f'&before={before}'}")
        pages += [job["id"] for job in page["jobs"]]
        before = page["next"]
    assert len(set(pages)) == len(pages)


def test_a_purge_that_is_switched_off_is_looked_at_and_not_carried_out(service: Service, made: Generator) -> None:
    looked = service.send("/api/v1/purge/preview", {}).json
    assert looked["enabled"] is False
    assert looked["sources"][0]["candidates"] == 5
    problem(service.send("/api/v1/jobs", {"action": "purge", "preview": looked["id"]}), 409, "purge.enabled")
    problem(service.send("/api/v1/jobs", {"action": "purge"}), 409, "purge/preview")
    assert len(made.files()) >= 6


def test_a_new_file_is_told_at_once_and_who_was_away_gets_what_it_missed(service: Service, made: Generator) -> None:
    with service.live() as live:
        first = json.loads(live.recv(timeout=60))
        assert first["type"] == "snapshot"
        made.put({"y_1.png": heavy_png(1000, 50)}, age=60)
        heard = messages(live, stored("y_1.png"))
    last = heard[-1]
    assert last["event"]["source"] == "a"
    small = ask(service.port, f"/api/v1/items/{last['event']['data']['hash']}/thumbnail",
                headers={"Authorization": f"Bearer {service.token}"})  # fmt: skip
    assert small.status == 200
    assert small.headers["content-type"] in ("image/webp", "image/png"), "itself, until there is one"
    numbers = [first["seq"], *(one["seq"] for one in heard)]
    assert numbers == sorted(set(numbers))
    made.put({"y_2.png": heavy_png(1000, 51)}, age=60)
    eventually((service.cli.library / "a" / "y_2.png").exists, "the file")
    with service.live(f"?since={last['seq']}&epoch={first['epoch']}") as again:
        missed = messages(again, stored("y_2.png"))
    assert missed[0] == {"type": "resumed", "epoch": first["epoch"], "seq": last["seq"]}
    assert all(one["seq"] > last["seq"] for one in missed[1:])
    assert any(one.get("event", {}).get("type") == "job.changed" for one in missed)


def test_progress_comes_while_a_transfer_runs(service: Service, made: Generator, proxy: EngineProxy) -> None:
    with service.live() as live:
        proxy.rate = 2_000_000
        try:
            made.put({f"z_{n}.png": heavy_png(1_000_000, 60 + n) for n in range(3)}, age=60)
            heard = messages(live, stored("z_2.png"))
        finally:
            proxy.rate = None
    told = [one["progress"] for one in heard if one["type"] == "progress" and one["progress"]["bytes_total"]]
    assert len(told) > 3, "some on the way"
    assert any(0 < one["bytes_done"] < one["bytes_total"] for one in told)


def test_readiness_says_that_the_engine_is_gone_and_asks_it_nothing_more(service: Service, proxy: EngineProxy) -> None:
    eventually(lambda: ask(service.port, "/readyz").status == 200, "readiness")
    proxy.gone()
    try:
        eventually(lambda: ask(service.port, "/readyz").status == 503, "the engine's loss to be seen")
        found = ask(service.port, "/readyz")
        assert found.json["checks"]["engine"] is False
        assert found.json["checks"]["library"] is True
        assert ask(service.port, "/livez").status == 200
        status = service.get("/api/v1/status")
        assert not status["safe"]["ok"]
        assert any(reason.startswith("engine: ") for reason in status["safe"]["reasons"])
    finally:
        proxy.back()
    eventually(lambda: ask(service.port, "/readyz").status == 200, "readiness again")


def test_a_restart_begins_a_new_epoch_and_a_session_outlives_it(service: Service) -> None:
    body = json.dumps({"token": service.token}).encode()
    cookie = ask(service.port, "/api/v1/session", "POST", JSON, body=body).headers["set-cookie"].split(";")[0]
    with service.live() as live:
        first = json.loads(live.recv(timeout=60))
        took = service.stop()
        with pytest.raises(ConnectionClosed):
            messages(live, lambda one: False)
    service.start()
    with service.live(f"?since={first['seq']}&epoch={first['epoch']}") as again:
        assert json.loads(again.recv(timeout=60))["type"] == "snapshot"
    assert ask(service.port, "/api/v1/items", headers={"Cookie": cookie}).status == 200
    assert took < 2.0, f"SIGTERM took {took:.2f} s"


def test_a_confirmed_purge_deletes_what_was_listed_and_nothing_else(service: Service, made: Generator) -> None:
    """Purging is switched on for this one; passes are far apart, so that none of them purges by itself."""

    def at_start(*states: str) -> set[str]:
        jobs = service.get("/api/v1/jobs?limit=200")["jobs"]
        return {job["id"] for job in jobs if job["cause"] == "start" and job["state"] in states}

    earlier = at_start("queued", "running", *END)
    service.stop()
    service.env |= {"MEDIA_SYNC_PURGE__ENABLED": "true"}
    service.args = (*service.args[:2], "--every", "1h")
    before = made.files()
    made.put({f"keep_{n:05}_.png": heavy_png(100, 80 + n) for n in range(3)}, age=60)  # too young to go
    service.start()
    eventually(lambda: at_start(*END) - earlier, "the pass at the start")
    made.put({f"p_{n:05}_.png": heavy_png(100, 90 + n) for n in range(4)}, age=2 * DAY)
    assert service.job(service.send("/api/v1/jobs", {"action": "sync"}).json["id"])["state"] == "done"
    looked = service.send("/api/v1/purge/preview", {"sources": ["a"]}).json
    (source,) = looked["sources"]
    listed = {one["path"] for one in source["files"] if one["outcome"] == "purge"}
    assert listed == {"p_00000_.png", "p_00001_.png", "p_00002_.png"}, source
    assert source["kept"]
    rest = service.get(f"/api/v1/purge/preview/{looked['id']}?source=a&offset=1&limit=2")
    assert [one["path"] for one in rest["files"]] == ["p_00001_.png", "p_00002_.png"]
    made.put({f"q_{n:05}_.png": heavy_png(100, 200 + n) for n in range(4)}, age=2 * DAY)
    assert service.job(service.send("/api/v1/jobs", {"action": "sync"}).json["id"])["state"] == "done"
    confirmed = service.send("/api/v1/jobs", {"action": "purge", "preview": looked["id"]})
    assert confirmed.status == 202, confirmed
    ended = service.job(confirmed.json["id"])
    assert ended["state"] == "done", ended
    assert ended["result"]["sources"][0]["purged"] == 3
    left = made.files()
    assert {name.encode() for name in listed} & left == set()
    assert {b"q_00000_.png", b"q_00003_.png", b"p_00003_.png", b"keep_00000_.png"} <= left, "not listed, not deleted"
    assert before - left <= {b"x_0000%d_.png" % n for n in range(5)}, "what the pass at the start purged"
    problem(service.send("/api/v1/jobs", {"action": "purge", "preview": looked["id"]}), 404, "once")
    run = service.job(service.send("/api/v1/jobs", {"action": "run", "sources": ["a"]}).json["id"])
    assert run["result"]["purge"][0]["purged"] == 3, "a run is what a pass is, and needs no preview"
    assert {name for name in made.files() if name.startswith(b"q")} == {b"q_00003_.png"}, "its newest stays"


def test_two_services_cannot_have_one_port(service: Service, engine_host: str, tmp_path: Path) -> None:
    env = {"MEDIA_SYNC_API__ENABLED": "true", "MEDIA_SYNC_API__LISTEN": f"127.0.0.1:{service.port}", **ALONE}
    done = Program(tmp_path, engine_host)("serve", env=env)
    complaint(done, 2, "api.listen", "address already in use")


def test_a_service_that_is_not_asked_over_http_brings_none_of_it(cli: Program) -> None:
    """Start-up of a command must not pay for a server."""
    script = (
        "import sys, sidecar.cli.app, sidecar.service\n"
        "print({m.split('.')[0] for m in sys.modules} & {'fastapi', 'uvicorn', 'starlette', 'websockets'})"
    )
    done = subprocess.run([*cli.argv((), bare=True)[:1], "-c", script], env=cli.environment(), capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_metrics_need_a_token_and_name_no_file(service: Service) -> None:
    problem(ask(service.port, "/metrics"), 401)
    found = ask(service.port, "/metrics", headers={"Authorization": f"Bearer {service.token}"})
    assert found.status == 200
    assert found.headers["content-type"].startswith("text/plain")
    assert b"media_sync_files_stored_total" in found.body
    assert b".png" not in found.body
