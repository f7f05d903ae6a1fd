"""Root is given up for PUID and PGID, with the socket's group and nothing else kept."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.host import privileges

PROGRAM = """
import json, os, sys
from sidecar.host import privileges
privileges.settle(json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3])
caps = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.umask(0), int(caps, 16)]))
"""
ROOT = os.geteuid() == 0  # elsewhere the promise is that nothing happens


def settled(env: dict[str, str], folders: list[Path], socket_path: Path) -> list[Any]:
    """User, group, groups, mask and capabilities of a process after `settle`."""
    argv = [sys.executable, "-c", PROGRAM, json.dumps(env), json.dumps([str(f) for f in folders]), str(socket_path)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=kept)
    return list(json.loads(done.stdout))


@pytest.fixture
def engine_socket(tmp_path: Path) -> Path:
    """A socket that root and group 4444 may use, as the engine's is."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    path.chmod(0o660)
    if ROOT:
        os.chown(path, 0, 4444)
    return path


def test_root_becomes_puid_with_the_sockets_group(tmp_path: Path, engine_socket: Path) -> None:
    library = tmp_path / "library"
    (library / "inner").mkdir(parents=True)
    found = settled({"PUID": "4321", "PGID": "8765", "UMASK": "027"}, [library, tmp_path / "absent"], engine_socket)
    if not ROOT:
        assert found[0] == list(os.getresuid())
        return
    assert found == [[4321] * 3, [8765] * 3, [4444], 0o027, 0]
    assert (library.stat().st_uid, library.stat().st_gid) == (4321, 8765)
    assert (library / "inner").stat().st_uid == 0


def test_folders_of_somebody_else_are_left(tmp_path: Path, engine_socket: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    before = library.stat()
    if ROOT:
        os.chown(library, 777, 777)
        before = library.stat()
    settled({"PUID": "4321"}, [library], engine_socket)
    assert (library.stat().st_uid, library.stat().st_gid) == (before.st_uid, before.st_gid)


def test_a_socket_that_everybody_may_use_brings_no_group(engine_socket: Path) -> None:
    engine_socket.chmod(0o666)
    found = settled({"PUID": "4321"}, [], engine_socket)
    assert found[2] == ([] if ROOT else os.getgroups())


def test_without_puid_or_with_nought_the_user_stays(tmp_path: Path, engine_socket: Path) -> None:
    assert settled({}, [tmp_path], engine_socket)[0] == list(os.getresuid())
    assert settled({"PUID": "0", "PGID": "0"}, [tmp_path], engine_socket)[0] == list(os.getresuid())


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        privileges.settle({"PUID": "me", "PGID": "-1", "UMASK": "9"}, [])
    assert len(caught.value.problems) == 3
    assert "PUID='me' is not a user's number" in caught.value.problems[0]
    mask = os.umask(0o22)
    try:
        privileges.settle({"UMASK": "077"}, [])
        assert os.umask(0o22) == 0o77
    finally:
        os.umask(mask)
