"""Copies are read again in groups: each on its own merits, from the disk, and no longer than they are wanted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.cleanup.plan import Candidate
from sidecar.cleanup.proofs import BATCH, BATCH_BYTES, Prover, batches
from sidecar.errors import Cancelled, LibraryUnsafe
from sidecar.host.mounts import mount_of
from sidecar.library import OWN_FOLDER, Library, TooManyOpen
from sidecar.library.rereading import AT_ONCE
from sidecar.manifest import Manifest, NewFile, SourceKey
from sidecar.models import FileStat, PurgeOutcome, Source


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library.open(tmp_path / "library", expect=None)
    yield made
    made.close()


def write(library: Library, path: bytes, data: bytes) -> bytes:
    where = library.root / os.fsdecode(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(data)
    return path


def candidate(path: bytes, data: bytes = b"", size: int = -1) -> Candidate:
    stat = FileStat(path, len(data) if size < 0 else size, 0)
    return Candidate(1, stat, sha(data), path, (0, 0))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_many_are_read_as_one_is(library: Library) -> None:
    before = open_files()
    whole = {write(library, b"gen/%d/%03d.png" % (n % 3, n), b"%d " % n * n): n for n in range(3 * AT_ONCE + 1)}
    (library.root / "gen/link.png").symlink_to(library.root / "gen/0/000.png")
    os.mkfifo(library.root / "gen/pipe.png")
    none = [b"gen/link.png", b"gen/pipe.png", b"gen/1", b"gen/1/none.png", b"gen/none/a.png", b"gen/0/000.png/a.png"]
    paths = sorted([*whole, *none]) + none[:3]
    expected = [None if p in none else (sha(b"%d " % whole[p] * whole[p]), len(b"%d " % whole[p]) * whole[p])
                for p in paths]  # fmt: skip
    assert library.rehash_all(paths) == expected == [library.rehash(p) for p in paths]
    assert library.rehash_all([]) == []
    assert open_files() == before


def read_from_disk() -> int:
    """Bytes that this process made the disks give."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(lines["read_bytes"])


def test_what_the_disk_has_counts(library: Library) -> None:
    """What memory holds of a copy is dropped first, so that a disk that lost it cannot hide that."""
    files = {b"gen/%d.png" % n: os.urandom(1 << 20) for n in range(4)}
    for path, data in files.items():
        write(library, path, data)
    os.sync()
    before = read_from_disk()
    assert library.rehash_all(list(files)) == [(sha(data), len(data)) for data in files.values()]
    from_disk = read_from_disk() - before
    assert from_disk >= sum(map(len, files.values())) or mount_of(str(library.root)).kind == "tmpfs"


def test_too_many_open_files_say_nothing_of_the_copies(library: Library) -> None:
    paths = [write(library, b"gen/%d.png" % n, b"one") for n in range(AT_ONCE)]
    before = open_files()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + AT_ONCE // 2, limits[1]))
    try:
        with pytest.raises(TooManyOpen):
            library.rehash_all(paths)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files() == before
    assert library.rehash_all(paths) == [(sha(b"one"), 3)] * AT_ONCE


def test_reading_ends_when_told_to(library: Library) -> None:
    """Within a file, too: the one that is read here is larger than what a second reads."""
    path = write(library, b"gen/film.mp4", b"")
    os.truncate(library.root / "gen/film.mp4", 1 << 40)
    before, stop = open_files(), threading.Event()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(Cancelled):
        library.rehash_all([path, path], stop)
    timer.join()
    with pytest.raises(Cancelled):
        library.rehash_all([path], stop)
    assert open_files() == before


@pytest.fixture
def world(library: Library, tmp_path: Path) -> Iterator[World]:
    manifest = Manifest.open(tmp_path / "state")
    source = Source("gen", "comfyui", "docker", "g1", "c", (b"/output",), "running")
    yield World(library, manifest, manifest.enter(source, 1))
    manifest.close()


@dataclass
class World:
    """What a prover works on, all of it real."""

    library: Library
    manifest: Manifest
    key: SourceKey

    def stored(self, path: bytes, data: bytes) -> Candidate:
        """A file that was pulled."""
        stat = FileStat(path, len(data), 0)
        write(self.library, b"gen/" + path, data)
        self.manifest.record(self.key, b"/output", [NewFile(stat, sha(data), b"gen/" + path, "image")], 1)
        known = self.manifest.known(self.key, b"/output")[path]
        return Candidate(known.file_id, stat, sha(data), known.library_path, (0, 0))

    @asynccontextmanager
    async def prover(self) -> AsyncIterator[Prover]:
        prover = Prover(self.library, self.manifest, self.key, "job", lambda: 7)
        try:
            yield prover
        finally:
            await prover.close()

    def open_intents(self) -> set[bytes]:
        return {intent.path for intent in self.manifest.open_purges(self.key, b"/output")}


async def test_what_is_proven_is_intended_and_the_rest_is_not_trusted_any_more(world: World) -> None:
    some = [world.stored(b"%02d.png" % n, b"%d" % n) for n in range(70)]
    write(world.library, b"gen/03.png", b"#")
    write(world.library, b"gen/67.png", b"67 and more")
    (world.library.root / "gen/69.png").unlink()
    async with world.prover() as prover:
        proven = await asyncio.wrap_future(prover.begin(some[:69], (1, 2), ()))
        assert {c.stat.path: reason for c, reason in proven.doubtful} == dict.fromkeys(
            (b"03.png", b"67.png"), "its library copy is damaged"
        )
        paths = [c.stat.path for c in some[:69] if c.stat.path not in (b"03.png", b"67.png")]
        assert [c.stat.path for c in proven.sound] == [item.path for item in proven.items] == paths
        assert len({item.private for item in proven.items}) == 67
        assert world.open_intents() == set(paths)
        assert set(world.manifest.known(world.key, b"/output")) == {*paths, b"69.png"}
        ended = [(c.file_id, PurgeOutcome.PURGED, "") for c in proven.sound[:60]]
        last = await asyncio.wrap_future(prover.begin(some[69:], (1, 2), ended))
        assert [reason for _, reason in last.doubtful] == ["its library copy is missing"]
        assert world.open_intents() == set(paths[60:])
        assert set(world.manifest.known(world.key, b"/output")) == set(paths[60:])


async def test_without_the_library_nothing_is_judged(world: World) -> None:
    some = [world.stored(b"a.png", b"a"), world.stored(b"b.png", b"b")]
    (world.library.root / "gen/a.png").unlink()
    (world.library.root / OWN_FOLDER / "library.json").unlink()
    async with world.prover() as prover:
        with pytest.raises(LibraryUnsafe):
            await asyncio.wrap_future(prover.begin(some, (0, 0), ()))
    assert world.open_intents() == set()
    assert set(world.manifest.known(world.key, b"/output")) == {b"a.png", b"b.png"}


async def test_a_prover_that_is_not_waited_for_any_more_leaves_no_thread(world: World) -> None:
    film = world.stored(b"film.mp4", b"")
    os.truncate(world.library.root / "gen/film.mp4", 1 << 40)
    before = threading.active_count()
    async with world.prover() as prover:
        waiting = asyncio.ensure_future(asyncio.wrap_future(prover.begin([film] * 300, (0, 0), ())))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert threading.active_count() <= before + 1  # the loop's own helper, which waited for the others
    assert world.open_intents() == set()


def test_batches_are_of_so_many_files_or_so_many_bytes() -> None:
    small = [candidate(b"%d.png" % n, size=1) for n in range(2 * BATCH + 1)]
    assert [len(some) for some in batches(small)] == [BATCH, BATCH, 1]
    sizes = [BATCH_BYTES // 2, BATCH_BYTES // 2, 1, BATCH_BYTES * 3, 0, BATCH_BYTES]
    large = [candidate(b"%d.mp4" % n, size=size) for n, size in enumerate(sizes)]
    made = list(batches(large))
    assert [[c.stat.size for c in some] for some in made] == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]
    assert [c for some in made for c in some] == large
    assert list(batches([])) == []
