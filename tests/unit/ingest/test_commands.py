"""`ingest status`, `retry` and `backfill` as they are run: what they tell, how they end, and beside a `serve`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.host.locks import LOCK, take_lock
from sidecar.models import NS
from tests.rig.program import Program
from tests.unit.ingest.telling import Pictures, known, said

OUT = "MEDIA_SYNC_INGEST__SINKS__OUT__PATH"


@pytest.fixture
def cli(tmp_path: Path) -> Program:
    return Program(tmp_path, f"unix://{tmp_path}/none", {
        "MEDIA_SYNC_MEDIA__ENABLED": "false", OUT: str(tmp_path / "out.jsonl"),
        "MEDIA_SYNC_INGEST__SINKS__OUT__TYPE": "jsonlines",
    })  # fmt: skip


@pytest.fixture
def pictures(cli: Program) -> Iterator[Pictures]:
    made = Pictures(cli.state)
    made.store(a="1", b="2")
    yield made
    made.manifest.close()


def test_what_waits_is_told_and_shown(cli: Program, pictures: Pictures, tmp_path: Path) -> None:
    before = cli("ingest", "status", "--json").ok().json["sinks"]
    assert [(one["name"], one["type"], one["problem"]) for one in before] == [("out", "jsonlines", "not tried yet")]
    done = cli("ingest", "retry", "--json").ok()
    assert done.json == {"sinks": [{"name": "out", "ok": True, "told": 2, "backlog": 0, "refused": 0, "unfilled": 0,
                                    "problem": None}], "left_to_serve": False}  # fmt: skip
    assert [path for _, path, _ in said(tmp_path / "out.jsonl")] == ["a", "b"]
    pictures.purge("a")
    (one,) = cli("ingest", "status", "--json").ok().json["sinks"]
    assert (one["backlog"], one["told"], one["refused"], one["problem"], one["refusals"]) == (1, 2, 0, None, [])
    (one,) = cli("status", "--json").ok().json["sinks"]
    assert (one["name"], one["backlog"]) == ("out", 1)
    text = cli("ingest", "retry").ok().out
    assert text.split("\n")[1].split() == ["out", "1", "0", "0"]
    assert "out" in cli("ingest", "status").ok().out
    assert "out" in cli("status").ok().out


def test_a_sink_that_is_down_is_partly_done_and_the_others_are_told(
    cli: Program, pictures: Pictures, tmp_path: Path
) -> None:
    env = {"MEDIA_SYNC_INGEST__SINKS__DOWN__TYPE": "jsonlines",
           "MEDIA_SYNC_INGEST__SINKS__DOWN__PATH": str(tmp_path / "none" / "x")}  # fmt: skip
    done = cli("ingest", "retry", "--json", env=env)
    assert done.code == 3
    rows = {one["name"]: one for one in done.json["sinks"]}
    assert (rows["out"]["ok"], rows["out"]["told"]) == (True, 2)
    assert (rows["down"]["ok"], rows["down"]["backlog"]) == (False, 2)
    assert "cannot be written" in rows["down"]["problem"]
    shown = cli("ingest", "status", env=env).ok().out
    assert "down: " in shown
    assert "cannot be written" in shown
    assert cli("ingest", "retry", "OUT", env=env).code == 0


def test_files_from_before_come_by_backfill(cli: Program, pictures: Pictures, tmp_path: Path) -> None:
    cli("ingest", "retry").ok()
    pictures.read()
    (tmp_path / "out.jsonl").unlink()
    cli("ingest", "retry").ok()
    assert known(tmp_path / "out.jsonl") == {}
    done = cli("ingest", "backfill", "--json").ok()
    assert done.json["sinks"][0]["told"] == 2
    assert {record.path for record in known(tmp_path / "out.jsonl").values()} == {"a", "b"}


def test_what_was_not_looked_into_stays_and_is_said(cli: Program, pictures: Pictures) -> None:
    done = cli("ingest", "retry", env={"MEDIA_SYNC_MEDIA__ENABLED": "true"})
    assert done.code == 3
    assert "2 changes wait until their files were looked into" in done.out


def test_while_another_command_has_the_state_nothing_else_tells(cli: Program, pictures: Pictures) -> None:
    release = take_lock(cli.state / LOCK, "state")
    try:
        for command in ("retry", "backfill"):
            done = cli("ingest", command)
            assert done.code == 5
            assert "in use by another media-sync process" in done.err
        cli("ingest", "status").ok()
    finally:
        release()


def test_serve_is_asked_when_it_has_the_state(cli: Program, pictures: Pictures) -> None:
    release = take_lock(cli.state / LOCK, "state")
    try:
        pictures.manifest.set_note("serve", json.dumps({"beat_ns": time.time_ns(), "after_job": 0}))
        assert "serve does not know the sink" in cli("ingest", "retry").err
        pictures.table.follow(["out"])
        assert cli("ingest", "backfill", "--json").ok().json["left_to_serve"] is True
        assert pictures.table.asked("out").filling is not None
        assert "serve does it now" in cli("ingest", "retry").ok().out
        assert pictures.table.asked("out").again_ns is not None
        (one,) = cli("ingest", "status", "--json").ok().json["sinks"]
        assert (one["retrying"], one["filling"]) == (True, {"at": 0, "upto": 0})
        pictures.manifest.set_note("serve", json.dumps({"beat_ns": time.time_ns() - 10 * 60 * NS, "after_job": 0}))
        assert cli("ingest", "retry").code == 5, "what has the state now is no serve"
    finally:
        release()


@pytest.mark.parametrize(
    ("args", "env", "words"),
    [
        (("retry", "oot"), {}, "did you mean out?"),
        (("retry",), {OUT: "relative"}, "ingest.sinks.out: path: "),
        (("backfill",), {OUT: "", "MEDIA_SYNC_INGEST__SINKS__OUT__TYPE": ""}, "no sink is configured"),
    ],
)
def test_what_cannot_be_meant(args: tuple[str, ...], env: dict[str, str], words: str, cli: Program, pictures: Pictures
                              ) -> None:  # fmt: skip
    done = cli("ingest", *args, env=env)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_nothing_is_configured_and_nothing_is_stored(cli: Program) -> None:
    none = {OUT: "", "MEDIA_SYNC_INGEST__SINKS__OUT__TYPE": ""}
    assert cli("ingest", "status", env=none).ok().out.strip() == "no sink is configured"
    assert cli("ingest", "status", "--json").ok().json["sinks"][0]["backlog"] == 0
    assert not cli.state.exists(), "looking makes nothing"
