"""What reads take on a real engine is learned, kept in the manifest and used by the next pass of another process."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker

from sidecar.models import Road, Transfer
from sidecar.sync.costs import PRIORS
from sidecar.transports.base import Member, Reading, TransportAdapter
from sidecar.transports.docker.adapter import HOLD
from tests.conftest import MakeGenerator
from tests.engine.inprocess import Parts, opened
from tests.engine.syncing import Pull, pngs
from tests.rig.program import Program

COLUMNS = ("engine", "road", "start", "per_byte", "per_file", "seen", "learned_ns")


def kept(state: Path) -> dict[str, dict[str, Any]]:
    """The rows of the manifest's table of costs, by road."""
    with closing(sqlite3.connect(state / "manifest.sqlite3")) as db:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in db.execute(f"SELECT {', '.join(COLUMNS)} FROM costs")]
    return {row["road"]: row for row in rows}


def rewrite(state: Path, road: str, start: float) -> None:
    """What many passes on another engine would have learned of one road."""
    with closing(sqlite3.connect(state / "manifest.sqlite3")) as db:
        found = db.execute("SELECT engine FROM costs").fetchone()
        row = (*found, road, start, 3e-9, 2e-4, 40, time.time_ns())
        db.execute("INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        db.commit()


def test_costs_are_learned_and_kept_and_the_next_pass_uses_them(
    cli: Program, generator: MakeGenerator, engine: docker.DockerClient
) -> None:
    made = generator()
    pull = Pull(cli, made)
    state = cli.folder / "state"

    def new(folder: str) -> dict[str, int]:
        made.put(pngs(*(f"{folder}/{n}.png" for n in range(30)), seed=len(folder) * 100), age=100)
        return dict(pull.sync()["road"])

    assert new("a") == {"folder": 30, "file": 0, "stream": 0}
    (first,) = kept(state).values()
    assert (first["road"], first["seen"]) == ("folder", 1)
    assert engine.version()["Version"] in first["engine"]
    assert first["start"] != PRIORS.folder.start, "a real read takes what it takes"

    rewrite(state, "folder", 5.0)
    assert new("bb") == {"folder": 0, "file": 0, "stream": 30}, "as if this engine were slow to make archives"
    assert kept(state)["stream sh"]["seen"] == 1

    rewrite(state, "file", 0.0003)
    assert new("ccc") == {"folder": 0, "file": 30, "stream": 0}, "as if it gave single files at once"
    file = kept(state)["file"]
    assert file["seen"] == 70, "30 more than were kept: it went on from there"
    assert file["start"] > 0.0003, "and it was not so"

    rewrite(state, "file", -1.0)
    rewrite(state, "folder", 1e6)
    assert new("dddd") == {"folder": 30, "file": 0, "stream": 0}, "what cannot be is not believed"


class Slow:
    """The real adapter; every archive of a folder is taken in as slowly as by a library whose disk is stuck."""

    def __init__(self, adapter: TransportAdapter) -> None:
        self._adapter = adapter
        self.reads: list[Transfer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    @contextmanager
    def read(self, root: bytes, transfer: Transfer, on_open: Callable[[Callable[[], None]], None]) -> Iterator[Any]:
        self.reads.append(transfer)
        with self._adapter.read(root, transfer, on_open) as reading:
            yield Slowly(reading) if transfer.road is Road.FOLDER else reading


class Slowly:
    """A read that waits for longer than any may once its first file has come."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reading, name)

    def __iter__(self) -> Iterator[Member]:
        for number, member in enumerate(self._reading):
            if number == 1:
                time.sleep(HOLD + 0.5)
            yield member


def test_a_folder_that_holds_the_lock_too_long_is_cut_off_learned_from_and_the_last_one_of_its_round(
    cli: Program, engine_host: str, generator: MakeGenerator
) -> None:
    made = generator()
    script = """for f in a b c; do mkdir -p "$1/$f"; n=0; while [ $n -lt 20 ]; do n=$((n+1))
        head -c 1500000 /dev/urandom > "$1/$f/$n.mp4"; touch -d "2026-01-01 00:00" "$1/$f/$n.mp4"; done; done"""
    made.exec("sh", "-c", script, "-", made.root)

    async def passed() -> tuple[Parts, Slow, Any]:
        async with opened(cli.folder, engine_host, {"gen": made}, settle=0, incomplete=0) as parts:
            slow = Slow(await parts.provider.adapter(parts.source()))
            try:
                report = await parts.run(slow)
            finally:
                await slow.close()
            return parts, slow, report

    parts, slow, report = asyncio.run(passed())
    assert (report.error, report.failed, report.stored) == (None, [], 60)
    assert {path: made.read(path) for path in (b"a/1.mp4", b"b/7.mp4", b"c/20.mp4")}.items() <= parts.files().items()
    folders = [read for read in slow.reads if read.road is Road.FOLDER]
    assert len(folders) == 1, "three were planned"
    learned = kept(cli.folder / "state")["folder"]
    assert learned["start"] + 30e6 * learned["per_byte"] + 20 * learned["per_file"] > 0.25, "not in 250 ms again"
