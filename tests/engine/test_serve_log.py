"""The log of `serve` alone tells the story: a line for what was done, none for passes that did nothing, a summary."""

from __future__ import annotations

import signal
import socket
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png, log_lines, serving
from tests.rig.program import Program

pytestmark = pytest.mark.alone


def test_a_day_in_a_few_seconds(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({b"a.png": heavy_png(100, 1), b"\x1b[31m\nb\xff.png": b""}, age=100)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "MEDIA_SYNC_SYNC__WATCH": "false",
        "MEDIA_SYNC_LOG__SUMMARY_EVERY": "4s",
        "MEDIA_SYNC_API__ENABLED": "true",
        "MEDIA_SYNC_API__LISTEN": f"127.0.0.1:{port}",
        "MEDIA_SYNC_API__METRICS_OPEN": "true",
        "MEDIA_SYNC_NOTIFY__SECRET": "a-secret-of-some-length",
        "MEDIA_SYNC_NOTIFY__WEBHOOK_URL": "http://127.0.0.1:9/T000/B000SECRET",
        "MEDIA_SYNC_NOTIFY__EVENTS": "file.stored",
    }
    with serving(cli, "--source", f"a={made.name}:/output", **env) as process:
        eventually((cli.library / "a" / "a.png").exists, "the first file")
        made.put({"c.png": heavy_png(100, 2), "d.png": heavy_png(100, 3)}, age=100)
        eventually((cli.library / "a" / "d.png").exists, "two more")
        time.sleep(5)  # passes that find nothing new, and a summary
        counted = metrics(port)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        err = process.stderr.read() if process.stderr is not None else ""
    assert counted["media_sync_files_stored_total", "a"] == 3
    assert counted["media_sync_bytes_received_total", "a"] > 3 * 100
    assert counted["media_sync_freeze_seconds_count", "a"] >= 1, "an archive of its folder was read"
    assert 0 < counted["media_sync_freeze_seconds_sum", "a"] < 10
    assert time.time() - counted["media_sync_last_success_timestamp_seconds", "a"] < 60
    lines = log_lines(err)
    assert all({"time", "level", "message", "job", "source"} <= line.keys() for line in lines)
    synced = [line for line in lines if line["message"].startswith("synced: ")]
    assert [line["stored"] for line in synced if line["stored"]] in ([1, 2], [1, 1, 1])
    assert len(synced) == sum(1 for line in synced if line["stored"]), "a pass that did nothing says nothing"
    assert {line["source"] for line in synced} == {"a"}
    assert len({line["job"] for line in synced}) == len(synced), "each of another job"
    summaries = [line for line in lines if line["message"].startswith("the last 4s: ")]
    assert summaries
    assert summaries[-1]["passes"] > 0
    assert not any(line["passes_failed"] for line in summaries), summaries
    refused = [line for line in lines if "private network" in line["message"]]
    assert len(refused) == 1, "said once, though three files were stored"
    assert "B000SECRET" not in err
    told = [*synced, *summaries, *refused]
    # on a machine that is very busy a pass may take the five seconds after which it says how far it is
    rest = [line for line in lines if line not in told and not line["message"].startswith("run: ")]
    assert [line["message"].split()[0] for line in rest] == ["serving:", "the", "stopped"], rest


def metrics(port: int) -> dict[tuple[str, str | None], float]:
    """What Prometheus would read: by name and source."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = text_string_to_metric_families(text)
    return {(sample.name, sample.labels.get("source")): sample.value for family in found for sample in family.samples}
