"""Liveness and readiness: what they say of each part, and that asking often costs nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sidecar.telling.health import Health
from tests.api.running import Api, Reply, as_control, problem
from tests.engine.commands import eventually


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("probes")) as made:
        yield made


def ready(api: Api) -> Reply:
    return api.ask("/readyz")


def test_all_is_well(api: Api) -> None:
    assert api.ask("/livez").json == {"ok": True, "checks": {}}
    found = ready(api)
    assert found.status == 200
    assert found.json == {"ok": True, "checks": dict.fromkeys(("engine", "library", "manifest", "last_pass"), True)}


def test_who_asks_at_the_same_time_shares_one_question_to_the_engine(api: Api) -> None:
    eventually(lambda: ready(api).status == 200, "readiness")
    before = api.pings
    with socket.create_connection(("127.0.0.1", api.port)) as gone:  # and one who goes away takes it from nobody
        gone.sendall(f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n\r\n".encode())
    with ThreadPoolExecutor(20) as pool:
        assert {found.status for found in pool.map(lambda _: ready(api), range(100))} == {200}
    assert api.pings - before <= 3, "one in two seconds"


def test_a_pass_that_failed_is_not_ready_and_alive(api: Api) -> None:
    api.well = Health(False, "the last pass failed: container secret-name is gone")
    try:
        eventually(lambda: ready(api).status == 503, "the failed pass to be seen")
        found = ready(api)
        assert found.headers["content-type"] == "application/json"
        assert found.json["checks"] == {"engine": True, "library": True, "manifest": True, "last_pass": False}
        assert b"secret-name" not in found.body
        assert api.ask("/livez").status == 200
        status = api.ask("/api/v1/status", headers=as_control()).json
        assert status["safe"]["reasons"] == ["last pass: the last pass failed: container secret-name is gone"]
    finally:
        api.well = Health(True, "well")
    eventually(lambda: ready(api).status == 200, "readiness")


def test_a_warning_is_shown_and_everything_is_ready(api: Api) -> None:
    warning = "gen: 1 file could not be stored (permission denied); each pass tries again"
    api.well = Health(True, "the last pass ended, and all else is safe 1 s ago", (warning,))

    def safe() -> Any:
        return api.ask("/api/v1/status", headers=as_control()).json["safe"]

    try:
        eventually(lambda: warning in safe()["warnings"], "the warning")
        assert (safe()["ok"], safe()["reasons"]) == (True, [])
        assert ready(api).status == 200
        assert b"gen" not in ready(api).body
    finally:
        api.well = Health(True, "well")


def test_a_library_without_its_marker_is_not_ready(api: Api) -> None:
    marker = api.settings.library / ".media-sync" / "library.json"
    content = marker.read_text()
    marker.unlink()
    try:
        assert ready(api).json["checks"]["library"] is False
        assert json.loads(ready(api).body)["ok"] is False
    finally:
        marker.write_text(content)
    assert ready(api).status == 200


def test_metrics_where_nothing_is_counted(api: Api) -> None:
    problem(api.ask("/metrics"), 401)
    problem(api.ask("/metrics", headers=as_control()), 404)


def test_metrics_may_be_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Api(tmp_path_factory.mktemp("open"), metrics_open=True) as api:
        problem(api.ask("/metrics"), 404)
        problem(api.ask("/api/v1/status"), 401)
