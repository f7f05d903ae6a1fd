"""The benchmark runs as its users run it, only with very little: an engine of its own, everybody, a report.

How fast anything was is nobody's business here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.bounds import BOUNDS
from tests.bench.contestants import CONTESTANTS, ServicePass
from tests.rig.program import REPOSITORY

pytestmark = pytest.mark.alone

MEASURED = ("A", "freeze", "C", "D", "G")  # B and E go the way of A, F that of C
EVERYBODY = {c.name for c in CONTESTANTS}
KEEPING = {c.name for c in CONTESTANTS if c.home}
COMPETING = {
    "A": EVERYBODY,
    "freeze": EVERYBODY,
    "C": KEEPING | {ServicePass.name},
    "D": EVERYBODY - {"raw drain"},
    "G": {"media-sync", "sha256sum + rm"},
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "BENCH_PYTHON": sys.executable, "DOCKER_HOST": "unix:///nobody/is/here.sock"}
    script = str(REPOSITORY / "tests" / "bench" / "run.sh")
    return subprocess.run([script, *arguments], cwd="/", env=env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=580)  # fmt: skip


@pytest.mark.timeout(600)
def test_a_small_run_measures_everybody_and_judges_each_bound(tmp_path: Path) -> None:
    done = bench("--small", "--only", ",".join(MEASURED), "--json", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())

    assert set(result["workloads"]) == set(MEASURED)
    for letter, one in result["workloads"].items():
        assert set(one["contestants"]) == COMPETING[letter]
        assert one["files"] > 0
        for name, record in one["contestants"].items():
            assert [run["seconds"] > 0 < run["peak"] for run in record["runs"]] == [True], (letter, name)
            assert f"| {name} " in done.stdout
    first, new = result["workloads"]["A"], result["workloads"]["D"]
    for name in ("raw drain", "docker cp", "exec tar", "media-sync"):
        assert first["contestants"][name]["received"] > first["bytes"], "files, and what surrounds them"
    assert new["new_bytes"] < new["contestants"]["media-sync"]["received"]
    waits = result["workloads"]["freeze"]["waits"]
    assert set(waits) == EVERYBODY | {"idle"}
    for name, of in waits.items():
        for kind in ("inspect", "exec"):
            assert 0 < of[kind]["p50"] <= of[kind]["p99"] <= of[kind]["max"], (name, kind)

    wanted = [(bound.workload, bound.what) for bound in BOUNDS if bound.workload in MEASURED]
    assert [(v["workload"], v["what"]) for v in result["verdicts"]] == wanted
    assert all(f"| {what} " in done.stdout for _, what in wanted)
    assert all(result["machine"].values())
    assert all(result["versions"].values())


def test_what_is_not_a_workload_is_said() -> None:
    done = bench("--only", "A,Z")
    assert done.returncode == 2
    assert "--only Z: there are A, B, freeze, C, D, E, F, G" in done.stderr
