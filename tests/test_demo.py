"""The demo runs to its end on a real engine: what it shows, what it leaves, and whom it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import docker
import pytest

from tests.conftest import MakeGenerator
from tests.rig.program import REPOSITORY

pytestmark = pytest.mark.alone

DEMO = REPOSITORY / ".engine" / "demo"
CHECKED = (
    r"checked: all (\d+) pictures and videos are in the library, byte for byte",
    r"checked with --json: \d+ unchanged, 0 stored, 0 bytes of content received",
    r"checked: every original is still in its container",
    r"checked: \d+ old originals went, \d+ new or newest ones stayed",
    r"checked: all \1 pictures and videos are in the library, byte for byte",
)


def demos(engine: docker.DockerClient) -> list[str]:
    """Names of the demo's containers."""
    found = engine.containers.list(all=True, filters={"label": "forge-media-sync.demo"}, ignore_removed=True)
    return [str(one.name) for one in found]


def digests(folder: Path) -> set[str]:
    """SHA-256 of every file below, except what the library keeps for itself."""
    found = [path for path in folder.rglob("*") if path.is_file() and ".media-sync" not in path.parts]
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_the_demo(engine_host: str, engine: docker.DockerClient, generator: MakeGenerator) -> None:
    other = generator(labels={"media-sync.enable": "true", "media-sync.path": "/output"})
    env = {**os.environ, "DOCKER_HOST": engine_host}
    done = subprocess.run([str(REPOSITORY / "compose" / "demo.sh")], cwd="/", env=env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=240)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(".*".join(CHECKED), done.stdout, re.DOTALL), done.stdout
    for command in ("sources", "sync", "purge --dry-run", "purge", "index", "status"):
        assert f"$ media-sync {command} --config media-sync.yaml\n" in done.stdout
    assert re.search(rf"^  The library: {re.escape(str(DEMO / 'library'))}$", done.stdout, re.MULTILINE)

    written = json.loads((DEMO / "written.json").read_text())
    assert len(written) >= 60
    assert {sha256 for _, _, sha256, _ in written} <= digests(DEMO / "library")

    assert demos(engine) == []
    assert other.name not in done.stdout + done.stderr, "somebody else's container is none of its business"
    assert engine.containers.get(other.id).status == "running"
