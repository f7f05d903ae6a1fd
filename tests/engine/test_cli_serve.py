"""`serve`: passes by itself, outlives its engine, ends when told to; and `healthcheck` knows."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, eventually, heavy_png, leftovers, log_lines, serving, stop
from tests.rig.program import Program
from tests.rig.proxy import EngineProxy

pytestmark = pytest.mark.alone

IMPATIENT = {"MEDIA_SYNC_DOCKER__TIMEOUT": "2s", "MEDIA_SYNC_SYNC__STALL_TIMEOUT": "2s"}
DAY = 86400


def healthy(cli: Program) -> bool:
    return cli("healthcheck").code == 0


def test_new_files_health_and_a_clean_end(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=3 * DAY)
    before = cli("healthcheck")
    assert before.code == 1
    assert "nothing has run yet" in before.out
    with serving(cli, "--source", f"a={made.name}:/output") as process:
        eventually((cli.library / "a" / "a.png").exists, "the first file")
        eventually(lambda: healthy(cli), "health")
        assert "the last pass ended well" in cli("healthcheck").out or healthy(cli)
        made.put({"b.png": heavy_png(100, 2)}, age=60)
        eventually((cli.library / "a" / "b.png").exists, "the second file")
        time.sleep(2.5)  # passes with nothing to do
        code, err = stop(process)
    assert code == 0
    said = [line["message"] for line in log_lines(err)]
    assert said[0].startswith("serving: a pass every 1s, not purging")
    assert said[-1] == "stopped"
    told = [line[:16] for line in said[1:-1] if " % of " not in line]  # progress, where the machine is that slow
    assert told == ["synced: 1 stored"] * 2, "a pass that did nothing says nothing"
    assert made.files() == {b"a.png", b"b.png"}, "purge.enabled is off"
    after = cli("healthcheck", "--json")
    assert (after.code, after.json["ok"]) == (1, False)
    assert "not running" in after.json["detail"]


def test_purges_when_that_is_enabled(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(3)}, age=3 * DAY)
    with serving(cli, "--source", f"a={made.name}:/output", MEDIA_SYNC_PURGE__ENABLED="true") as process:
        eventually(lambda: "2 purged" in cli("status").out, "the purge of all but the newest", 180)
        code, err = stop(process)
    assert code == 0
    assert "purged 2 originals" in err
    assert made.files() == {b"x_00002_.png"}
    assert len(list((cli.library / "a").iterdir())) == 3


def test_an_engine_that_goes_and_comes_back(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=60)
    with (
        EngineProxy(tmp_path / "p.sock", cli.host) as proxy,
        serving(cli, "--source", f"a={made.name}:/output", host=proxy.host, **IMPATIENT) as process,
    ):
        eventually((cli.library / "a" / "a.png").exists, "the first file")
        proxy.gone()
        eventually(lambda: not healthy(cli), "bad health")
        assert "cannot reach Docker" in cli("healthcheck").out
        made.put({"b.png": heavy_png(100, 2)}, age=60)
        time.sleep(2.5)  # more passes that fail
        proxy.back()
        eventually((cli.library / "a" / "b.png").exists, "the file written meanwhile")
        eventually(lambda: healthy(cli), "good health")
        code, err = stop(process)
    assert code == 0
    assert "Traceback" not in err
    said = [line["message"] for line in log_lines(err)]
    complaints = [line for line in said if "cannot reach Docker" in line]
    assert complaints, said
    assert len(complaints) == len(set(complaints)), "the same complaint comes once"
    assert "all is well again" in said


def test_starts_before_its_engine(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=60)
    proxy = EngineProxy(tmp_path / "p.sock", cli.host)
    with serving(cli, "--source", f"a={made.name}:/output", host=proxy.host) as process:
        eventually(lambda: "cannot reach" in cli("healthcheck").out, "the first failed pass")
        with proxy:
            eventually((cli.library / "a" / "a.png").exists, "the file")
        assert stop(process)[0] == 0


def test_told_to_end_in_the_middle_of_a_transfer(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    files = {f"f{n}.png": heavy_png(3_000_000, n) for n in range(4)}
    made.put(files, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.rate = 1_000_000
        with serving(cli, "--source", f"a={made.name}:/output", host=proxy.host) as process:
            eventually(lambda: proxy.passed > 1_500_000, "a transfer under way")
            code, err = stop(process)
    assert code == 0, err
    assert "Traceback" not in err
    assert leftovers(cli.library) == []
    cli("sync", "--source", f"a={made.name}:/output").ok()
    assert {path.name: path.read_bytes() for path in (cli.library / "a").iterdir()} == files


@pytest.mark.parametrize("at", [500, 3_000_000], ids=["discovery", "transfer"])
def test_told_to_end_while_the_engine_hangs(at: int, cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"f{n}.png": heavy_png(3_000_000, n) for n in range(3)}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.after(at, proxy.hang)
        with serving(cli, "--source", f"a={made.name}:/output", host=proxy.host) as process:
            eventually(lambda: proxy.passed >= at, "the engine to hang")
            time.sleep(0.5)
            code, err = stop(process)
    assert code == 0, err
    assert "Traceback" not in err
    assert leftovers(cli.library) == []


@pytest.mark.parametrize(("command", "code"), [("sync", 3), ("serve", 0)])
def test_a_second_signal_forces_the_end(command: str, code: int, cli: Program, generator: MakeGenerator,
                                        tmp_path: Path) -> None:  # fmt: skip
    made = generator()
    made.put({"f.png": heavy_png(5_000_000)}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.after(2_000_000, proxy.hang)
        process = Program(cli.folder, proxy.host).start(command, "--source", f"a={made.name}:/output", env=ALONE)
        eventually(lambda: proxy.passed >= 2_000_000, "a transfer under way")
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert leftovers(cli.library) == []


def test_a_sync_that_is_interrupted_is_partly_done(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"f{n}.png": heavy_png(3_000_000, n) for n in range(3)}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.rate = 1_000_000
        process = Program(cli.folder, proxy.host).start("sync", "--source", f"a={made.name}:/output")
        eventually(lambda: proxy.passed > 1_500_000, "a transfer under way")
        code, err = stop(process)
        process.communicate()
    assert code == 3
    assert "interrupted" in log_lines(err)[-1]["message"]
    assert leftovers(cli.library) == []
    jobs = cli("status", "--json").ok().json["jobs"]
    assert (jobs[0]["ok"], jobs[0]["result"]) == (False, "interrupted")


def test_a_mistake_of_the_program_fails_the_pass_and_not_serve(cli: Program, generator: MakeGenerator) -> None:
    """A constraint of the manifest stands for it: nothing in the program expects that one is broken."""
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=3 * DAY)
    cli("sync", "--source", f"a={made.name}:/output").ok()
    made.put({"b.png": heavy_png(100, 2)}, age=3 * DAY)
    with closing(sqlite3.connect(cli.state / "manifest.sqlite3", timeout=10)) as db:
        db.execute("CREATE TRIGGER mistake BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'a mistake'); END")
        with serving(cli, "--source", f"a={made.name}:/output") as process:
            eventually(lambda: "unexpected IntegrityError" in cli("healthcheck").out, "the failed pass")
            assert any(job["ok"] is False for job in cli("status", "--json").json["jobs"])
            assert not healthy(cli)
            assert process.poll() is None
            db.execute("DROP TRIGGER mistake")
            eventually(lambda: healthy(cli), "good health")
            code, err = stop(process)
    assert code == 0
    said = [line["message"] for line in log_lines(err)]
    assert sum(line.startswith("pass failed: unexpected IntegrityError: a mistake") for line in said) == 1
    assert "all is well again" in said
