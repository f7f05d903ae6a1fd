"""`serve` hears the engine: what starts is pulled at once, what stops is pulled before it is removed."""

from __future__ import annotations

import time

import docker
import pytest

from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, eventually, heavy_png, log_lines, serving, stop
from tests.rig.program import Program

pytestmark = pytest.mark.alone

RARELY = {**ALONE, "MEDIA_SYNC_SCHEDULE__SYNC": "@every 1h"}  # so that no pass helps


def test_what_starts_and_what_stops(cli: Program, generator: MakeGenerator, engine: docker.DockerClient) -> None:
    made, late = generator(), generator()
    made.put({"old.png": heavy_png(100, 1)}, age=60)
    made.container.stop(timeout=0)
    sources = ("--source", f"a={made.name}:/output", "--source", f"b={late.name}:/output")
    process = cli.start("serve", *sources, env=RARELY)
    try:
        eventually((cli.library / "a" / "old.png").exists, "the first pass")
        made.put({"new.png": heavy_png(100, 2)}, age=60)
        made.container.start()
        eventually((cli.library / "a" / "new.png").exists, "the file of the one that started")
        late.put({"fresh.png": heavy_png(100, 3)})  # too young to be settled, but nobody writes to it any more
        late.container.stop(timeout=0)
        eventually((cli.library / "b" / "fresh.png").exists, "the file of the one that stopped")
        late.container.remove()
        code, err = stop(process)
    finally:
        process.kill()
        process.communicate()
    assert code == 0, err
    jobs = cli("status", "--json").json["jobs"]
    assert {job["cause"] for job in jobs} <= {"start", "event"}, jobs
    assert not [line for line in log_lines(err) if line["level"] == "error"], err


def test_a_folder_that_is_made_after_the_start(cli: Program, generator: MakeGenerator) -> None:
    made, other = generator(), generator()
    made.put({"a.png": heavy_png(100, 1)}, age=60)
    other.put({"b.png": heavy_png(100, 2)}, age=60)
    assert made.container.exec_run(["mv", "/output", "/not-yet"]).exit_code == 0
    made.container.stop(timeout=0)
    with serving(cli, "--source", f"a={made.name}:/output", "--source", f"b={other.name}:/output", **RARELY):
        eventually((cli.library / "b" / "b.png").exists, "the first pass")
        made.container.start()
        time.sleep(1)  # it is looked at, and has no output folder
        assert made.container.exec_run(["mv", "/not-yet", "/output"]).exit_code == 0
        eventually((cli.library / "a" / "a.png").exists, "what lay in the folder that came late")
