"""One suite for Python, for busybox and for dash and bash with GNU tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agent.harness import Agent, bare, python_agent, shell_agent


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="media-sync-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def busybox_path(open_folder: Path) -> str:
    """A PATH with busybox applets and nothing else."""
    busybox = shutil.which("busybox")
    assert busybox, "these tests need busybox (Debian: busybox-static)"
    folder = open_folder / "busybox"
    folder.mkdir()
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        (folder / applet).symlink_to(busybox)
    return str(folder)


@pytest.fixture(params=["python", "python-bare", "busybox", "dash", "bash"])
def agent(request: pytest.FixtureRequest, busybox_path: str) -> Agent:
    """`python-bare` has neither renameat2 nor hard links nor sendfile, as on some file systems and C libraries."""
    name = request.param
    if name == "python":
        return python_agent()
    if name == "python-bare":
        return python_agent(source=bare)
    if name == "busybox":
        return shell_agent(name, [f"{busybox_path}/sh"], busybox_path)
    return shell_agent(name, ["dash"] if name == "dash" else ["bash", "--posix"], "/usr/bin:/bin")


@pytest.fixture
def root(open_folder: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=open_folder))
    path.chmod(0o777)
    yield path
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o700)
    shutil.rmtree(path)
