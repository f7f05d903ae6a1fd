"""Sinks while `serve` runs: told of every file and of its end, and a purge that waits for one that is required."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from sidecar.cleanup.plan import PurgeRules
from sidecar.manifest import Told
from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png, log_lines, serving, stop
from tests.engine.purging import DAY, bench, filled, outcomes, pictures, purge, states
from tests.rig.program import Program
from tests.unit.ingest.telling import known, said
from tests.unit.media.test_workers import picture

NO_MEDIA = {"MEDIA_SYNC_MEDIA__ENABLED": "false"}
YET = "not delivered to out yet"


def sink(path: Path, *, required: bool = True) -> dict[str, str]:
    at = "MEDIA_SYNC_INGEST__SINKS__OUT__"
    return NO_MEDIA | {f"{at}TYPE": "jsonlines", f"{at}PATH": str(path), f"{at}REQUIRED": str(required)}


@pytest.mark.alone
def test_originals_stay_until_a_required_sink_has_them(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"{name}.png": heavy_png(100, n) for n, name in enumerate("ab")}, age=3 * DAY)
    out = tmp_path / "receiver" / "out.jsonl"
    cli.env = sink(out) | {"MEDIA_SYNC_PURGE__ENABLED": "true", "MEDIA_SYNC_PURGE__KEEP_NEWEST": "0"}
    with serving(cli, "--source", f"a={made.name}:/output") as process:
        eventually(lambda: "cannot be written" in cli("ingest", "status").out, "a sink that is down")
        eventually((cli.library / "a" / "b.png").exists, "the copies")
        (one,) = cli("status", "--json").json["sinks"]
        assert (one["name"], one["required"], one["told"]) == ("out", True, 0)
        before = len(cli("status", "--json").json["jobs"])
        eventually(lambda: cli("status", "--json").json["sources"][0]["stored"] == 2, "both", 60)
        made.put({"c.png": heavy_png(100, 9)}, age=60)
        eventually((cli.library / "a" / "c.png").exists, "another pass")
        assert before
        assert made.files() == {b"a.png", b"b.png", b"c.png"}, "the sink has none of them"
        out.parent.mkdir()
        eventually(lambda: cli("status", "--json").json["sources"][0]["purged"] == 2, "what is old and delivered", 180)
        assert made.files() == {b"c.png"}
        eventually(lambda: [line for line in said(out) if line[0] == "retract"] == [
            ("retract", "a.png", "purged"), ("retract", "b.png", "purged")], "what was purged is told")  # fmt: skip
        code, err = stop(process)
    assert code == 0
    assert [path for event, path, _ in said(out) if event == "ingest"][:3] == ["a.png", "b.png", "c.png"]
    messages = [line["message"] for line in log_lines(err)]
    assert len([one for one in messages if one.startswith("sink out cannot be told")]) == 1
    assert "sink out can be told again" in messages
    told = json.loads(out.read_text().splitlines()[0])
    assert (told["source"], told["size"], told["library_path"]) == ("a", len(heavy_png(100, 0)), "a/a.png")


def test_a_purge_keeps_what_a_required_sink_lacks(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    env = sink(tmp_path / "out.jsonl")
    code, report = purge(cli, one, "--dry-run", env=env)
    assert outcomes(report) == {"a.png": ("kept", YET), "b.png": ("kept", YET)}
    code, report = purge(cli, one, env=env)
    assert (code, report["kept"]) == (0, {YET: 2})
    assert one.files() == {b"a.png", b"b.png"}
    assert outcomes(purge(cli, one, "--dry-run", env=sink(tmp_path / "x", required=False))[1])["a.png"][0] == (
        "would purge"
    )
    assert [event for event, _, _ in said(tmp_path / "out.jsonl")] == ["ingest", "ingest"], "told behind the purge"
    code, report = purge(cli, one, env=env)
    assert outcomes(report) == {"a.png": ("purged", ""), "b.png": ("purged", "")}
    assert said(tmp_path / "out.jsonl")[2:] == [("retract", "a.png", "purged"), ("retract", "b.png", "purged")]


def test_one_command_tells_sinks_behind_its_job(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"fox.png": picture(tmp_path / "fox.png").read_bytes(), "cut.png": b"no picture"}, age=700)
    out, source = tmp_path / "receiver" / "out.jsonl", ("--source", f"a={made.name}:/output")
    env = sink(out) | {"MEDIA_SYNC_MEDIA__ENABLED": "true"}
    cli("sync", "--dry-run", *source, env=env).ok()
    done = cli("sync", "--json", *source, env=env)
    (told,) = done.json["sinks"]
    assert (done.code, done.json["ok"], told["ok"], told["backlog"]) == (3, False, False, 2), "stored, and not told"
    assert done.json["sources"][0]["stored"] == 2
    assert "sink out was not told everything" in done.err
    out.parent.mkdir()
    text = cli("run", *source, env=env).ok().out
    assert text.splitlines()[-1].split() == ["out", "2", "0", "0"]
    assert {record.path: (record.metadata or {}).get("prompt") for record in known(out).values()} == {
        "fox.png": "a red fox", "cut.png": None,
    }  # fmt: skip
    wrong = cli("sync", *source, env=env | {"MEDIA_SYNC_INGEST__SINKS__OUT__PATH": "relative"})
    assert (wrong.code, "ingest.sinks.out: path" in wrong.err) == (2, True)


def test_what_was_done_is_said_when_telling_sinks_is_cut_short(
    cli: Program, generator: MakeGenerator, tmp_path: Path
) -> None:
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=700)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = "MEDIA_SYNC_INGEST__SINKS__OUT__"
        env = NO_MEDIA | {f"{at}TYPE": "webhook", f"{at}URL": f"http://127.0.0.1:{silent.getsockname()[1]}/",
                          f"{at}ALLOW_PRIVATE": "true"}  # fmt: skip
        process = cli.start("sync", "--json", "--source", f"a={made.name}:/output", env=env)
        silent.accept()  # the post comes, and is never answered
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert (json.loads(out)["ok"], json.loads(out)["sources"][0]["stored"]) == (False, 1)


def test_while_serve_runs_it_does_what_is_asked_for(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"fox.png": picture(tmp_path / "fox.png").read_bytes()}, age=700)
    out = tmp_path / "out.jsonl"
    cli.env = sink(out) | {"MEDIA_SYNC_MEDIA__ENABLED": "true"}
    with serving(cli, "--source", f"a={made.name}:/output"):
        eventually(lambda: said(out) == [("ingest", "fox.png", "stored")], "the record")
        assert "serve does it now" in cli("ingest", "backfill").ok().out
        eventually(lambda: said(out) == [("ingest", "fox.png", "stored")] * 2, "the backfill")
        assert cli("index").ok().out.strip() == "serve looks into files by itself: 0 wait"
        assert cli("index", "--again", "--json").ok().json["left_to_serve"] == 1
        eventually(lambda: cli("status", "--json").json["unread"] == 0, "another look")
    assert len(said(out)) == 2, "it found out nothing new"


async def test_the_last_look_before_a_deletion_asks_again(
    cli: Program, generator: MakeGenerator, tmp_path: Path
) -> None:
    """Between plan and deletion the sink is found not to have one of them."""
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    cli("ingest", "retry", env=sink(tmp_path / "out.jsonl")).ok()
    rules = PurgeRules(keep_newest=0, allow_empty=True, required=("out",))
    async with bench(cli, one) as parts, parts.planned(rules) as planned:
        assert planned.plan.candidates == 2
        (candidate,) = [c for root in planned.plan.roots for c in root.candidates if c.stat.path == b"a.png"]
        parts.work.manifest.deliveries.keep("out", [Told(candidate.file_id, "no")], 1)
        assert await planned.outcomes() == {b"a.png": ("kept", YET), b"b.png": ("purged", "")}
    assert one.files() == {b"a.png"}
    assert states(cli.state) == {"a.png": "stored", "b.png": "purged"}, "its copy is trusted as before"
