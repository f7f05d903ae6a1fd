"""A power cut: what the manifest says is stored, is stored, whole, on the disk alone.

The library and the state lie on a file system in a loop-mounted file. Copying that file while nothing is flushed is
what a power cut leaves: the upper file system's dirty pages are not in it. (A journal commit of its own in between is
kept away by `commit=600`.)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import sqlite3
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeGenerator
from tests.rig.generator import Generator
from tests.rig.program import Program, Result

SIZE = 700 << 20
MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
OPTIONS = {"ext4": "loop,commit=600", "xfs": "loop,nouuid"}


@contextlib.contextmanager
def mounted(image: Path, at: Path, options: str) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", options, str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A fresh file system in a file, and its mount options."""
    kind = str(request.param)
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run([*MAKE[kind], str(image)], check=True)
    return image, OPTIONS[kind]


def power_cut(image: Path, tmp_path: Path) -> Path:
    """The disk as it is at this moment, without what only the kernel's memory holds."""
    left = tmp_path / "after.img"
    subprocess.run(["cp", "--sparse=always", str(image), str(left)], check=True)
    return left


def proven(library: Path, state: Path) -> int:
    """How many files the manifest calls stored; fails if one of their copies is not whole."""
    db = sqlite3.connect(state / "manifest.sqlite3")
    rows = db.execute("SELECT library_path, hash, size FROM files WHERE state = 'stored'").fetchall()
    db.close()
    for path, sha256, size in rows:
        copy = os.path.join(os.fsencode(library), path)
        assert os.path.exists(copy), f"{path!r} is recorded and not there"
        with open(copy, "rb") as file:
            data = file.read()
        assert len(data) == size, f"{path!r} is cut"
        assert hashlib.sha256(data).digest() == sha256, f"{path!r} is damaged"
    return len(rows)


def pictures(count: int, size: int) -> dict[str, bytes]:
    """Files of exactly `size` bytes that begin and end as a PNG does; their pixels are noise."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    tail = chunk(b"IEND", b"")
    noise = size - len(head) - len(tail) - 12
    return {
        f"f{n % 7}/ComfyUI_{n:05d}_.png": head + chunk(b"IDAT", random.Random(n).randbytes(noise)) + tail
        for n in range(count)
    }


@pytest.mark.parametrize("count", [3, 200], ids=["each-flushed", "whole-flushed"])
@pytest.mark.parametrize("together", [True, False], ids=["state-on-it-too", "library-alone"])
def test_what_is_recorded_survives_a_power_cut_right_after(
    generator: MakeGenerator, engine_host: str, tmp_path: Path, disk: tuple[Path, str], count: int, together: bool
) -> None:
    """With the state on another disk, only the library's own flushes can have saved its names."""
    source = generator()
    source.put(pictures(count, 9000), age=100)
    image, options = disk
    with mounted(image, tmp_path / "mnt", options) as root:
        state = (root if together else tmp_path) / "state"
        done = sync(engine_host, source, root / "library", state).ok().json
        assert done["sources"][0]["stored"] == count
        left = power_cut(image, tmp_path)
    with mounted(left, tmp_path / "after", options) as root:
        assert proven(root / "library", (root if together else tmp_path) / "state") == count


@pytest.mark.parametrize("moment", [0.45, 0.7, 1.0, 1.4])
def test_what_is_recorded_survives_a_power_cut_in_the_middle(
    generator: MakeGenerator, engine_host: str, tmp_path: Path, disk: tuple[Path, str], moment: float
) -> None:
    source = generator()
    source.put(pictures(1200, 30_000), age=100)
    image, options = disk
    state = tmp_path / "state"
    with mounted(image, tmp_path / "mnt", options) as root:
        cli = Program(tmp_path, engine_host, env={"MEDIA_SYNC_SYNC__GROUP_FILES": "40"})
        running = cli.start(*arguments(engine_host, source, root / "library", state), bare=True)
        time.sleep(moment)
        running.send_signal(signal.SIGSTOP)
        left = power_cut(image, tmp_path)
        running.kill()
        running.communicate()
    with mounted(left, tmp_path / "after", options) as root:
        if (state / "manifest.sqlite3").exists():
            proven(root / "library", state)
        sync(engine_host, source, root / "library", state).ok()
        assert proven(root / "library", state) == 1200


def arguments(host: str, source: Generator, library: Path, state: Path) -> tuple[str, ...]:
    where = ("--host", host, "--library", str(library), "--state", str(state))
    return ("sync", "--json", "--source", f"a={source.name}:{source.root}", *where)


def sync(host: str, source: Generator, library: Path, state: Path) -> Result:
    return Program(state.parent, host)(*arguments(host, source, library, state), bare=True)
