"""What a whole process imports. A pass in which nothing happened takes less time than some libraries take to load."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, heavy_png
from tests.rig.program import Program

# Runs a command as `media-sync` does, and says on the last line of stderr which modules are there when it ends.
WATCHED = """
import atexit, ssl, sys
tell = lambda: print("imported", *sys.modules, file=sys.stderr)
atexit.register(tell)
from sidecar.cli import main
main()
"""
SERVING = {"fastapi", "uvicorn", "starlette", "websockets", "prometheus_client", "sidecar.service", "sidecar.api"}
SELDOM = {
    "stamina",
    "tenacity",
    "yaml",
    "tqdm",
    "rich",
    "pydantic_settings",
}  # waits, files and terminals that are not there
FOR_BYTES = {"docker", "requests", "urllib3"}  # the data plane, when the first bytes are asked for


def imported(cli: Program, *args: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    argv = [sys.executable, "-c", WATCHED, *cli.argv(args)[3:]]
    env = {key: value for key, value in cli.environment(ALONE).items() if not key.startswith("COVERAGE")}
    done = subprocess.run(argv, env=env, cwd=cli.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *names = done.stderr.splitlines()[-1].split()
    assert first == "imported"
    return set(names)


def test_a_command_imports_what_it_uses(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(3)}, age=3600)
    source = ["--source", f"a={made.name}:/output"]

    assert imported(cli, "sync", "--json", *source) & (SERVING | SELDOM) == set()
    nothing_new = imported(cli, "sync", "--json", *source)
    assert "aiodocker" in nothing_new
    assert nothing_new & (SERVING | SELDOM | FOR_BYTES) == set()
    assert imported(cli, "purge", "--json", *source) & (SERVING | SELDOM | FOR_BYTES) == set()
    assert imported(cli, "healthcheck", "--help") & {"aiohttp", "sqlite3", "sidecar.orchestrator"} == set()
