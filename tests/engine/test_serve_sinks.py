"""Sinks while `serve` runs: told of every file and of its end, and a purge that waits for one that is required."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.cleanup.plan import PurgeRules
from sidecar.manifest import Told
from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png, log_lines, serving, stop
from tests.engine.purging import DAY, bench, filled, outcomes, pictures, purge, states
from tests.rig.program import Program
from tests.unit.ingest.telling import said

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
        eventually(lambda: made.files() == {b"c.png"}, "the purge of what is old and delivered", 180)
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
    cli("ingest", "retry", env=env).ok()
    code, report = purge(cli, one, env=env)
    assert outcomes(report) == {"a.png": ("purged", ""), "b.png": ("purged", "")}
    cli("ingest", "retry", env=env).ok()
    assert said(tmp_path / "out.jsonl")[2:] == [("retract", "a.png", "purged"), ("retract", "b.png", "purged")]


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
