"""Killed at any instant: every name in the library is whole, and the next run ends where an undisturbed one ends."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.syncing import COUNTED, LONE, TEMPORARY, Pull, png, renamed, stored
from tests.rig.generator import Generator
from tests.rig.program import Program

STAMP = 1_700_000_000_123_456_789
SMALL_GROUPS = {"MEDIA_SYNC_SYNC__GROUP_FILES": "24"}


def originals(count: int) -> dict[bytes, bytes]:
    """Many files in folders: some alike, some with companions, some larger than one write."""
    whole = png(1)
    files = {}
    for n in range(count):
        name = b"2026-01-%02d/ComfyUI_%05d_" % (n % 20 + 1, n)
        alike = n - n % 3 if n % 30 == 1 else n
        at = whole.index(b"IDAT") - 4
        body = b"%09d" % alike + bytes(200_000 if n % 50 == 0 else 3000)
        files[name + b".png"] = whole[:at] + len(body).to_bytes(4, "big") + b"syNc" + body + bytes(4) + whole[at:]
        if n % 10 == 0:
            files[name + b".txt"] = b"prompt %d" % n
    return files


@dataclass(frozen=True)
class State:
    """All that one run leaves: names with their bytes and times, which of them are one file, and what `list` says."""

    library: dict[bytes, bytes]
    times: dict[bytes, int]
    alike: set[frozenset[bytes]]
    listed: set[tuple[str, str, str, str]]


def state_of(pull: Pull) -> State:
    library = pull.library()
    inodes: dict[int, set[bytes]] = {}
    for name in library:
        inodes.setdefault(pull.stat(name).st_ino, set()).add(name)
    listed = {(i["path"], i["library_path"], i["hash"], i["state"]) for i in pull.items()}
    return State(library, {n: pull.stat(n).st_mtime_ns for n in library}, set(map(frozenset, inodes.values())), listed)


def killed_somewhere(pull: Pull, dice: random.Random, most: int) -> bool:
    """Start a pass and kill it when a random number of further names is there; False when it was done before that."""

    def count() -> int:
        return sum(len(names) for _, _, names in os.walk(pull.cli.library / "gen"))

    before = count()
    goal = before + dice.randrange(most)
    process = pull.cli.start(*pull.command("sync"), env={**LONE, **pull.env})
    while process.poll() is None and count() < goal:
        time.sleep(0.001)
    time.sleep(dice.random() * 0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


OLDER = {b"2026-01-02/ComfyUI_00001_.png": png(100), b"2026-01-01/ComfyUI_00000_.txt": b"an older prompt"}
"""What an earlier generator left under names that came again: their second contents need names of their own."""


def older_pass(pull: Pull, made: Generator, files: dict[bytes, bytes]) -> None:
    """A pass while the names of OLDER have their older content."""
    made.put([Entry(name, data, mtime_ns=STAMP - 10**12) for name, data in OLDER.items()])
    only = {"MEDIA_SYNC_SYNC__INCLUDE": "2026-01-0[12]/ComfyUI_0000[01]_.*"}
    assert pull.sync(env=only)["stored"] == 3
    made.put([Entry(name, files[name], mtime_ns=STAMP) for name in OLDER])


@pytest.mark.parametrize(("way", "count", "tries"), [("agent", 480, 4), ("archive", 160, 2)])
def test_killed_at_any_instant_it_converges(
    way: str, count: int, tries: int, tmp_path: Path, engine_host: str, generator: MakeGenerator
) -> None:
    made = generator()
    files = originals(count)
    made.put(files, mtime_ns=STAMP)
    pulls = []
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
        pulls.append(Pull(Program(tmp_path / name, engine_host), made, env=SMALL_GROUPS))
    undisturbed, pull = pulls
    if way == "archive":
        made.stop()
    older_pass(undisturbed, made, files)
    older_pass(pull, made, files)
    report = undisturbed.sync()
    assert report["stored"] + report["unchanged"] == len(files)

    whole = files | OLDER | {renamed(name, files[name]): files[name] for name in OLDER}
    dice = random.Random(7)
    kills = 0
    for _ in range(tries):
        kills += killed_somewhere(pull, dice, len(files) // tries)
        for kept, data in stored(pull.cli):
            assert data == whole[kept], kept
    assert kills >= tries // 2
    report = pull.sync()
    assert sum(report[key] for key in COUNTED) == report["scanned"] == len(files)
    assert state_of(pull) == state_of(undisturbed)
    everything = [file for _, _, found in os.walk(os.fsencode(pull.cli.library)) for file in found]
    assert [file for file in everything if file.startswith(TEMPORARY)] == []
