"""Copies are read again in groups: each on its own merits, from the disk, and no longer than they are wanted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.cleanup.plan import Candidate
from sidecar.cleanup.proofs import BATCH, BATCH_BYTES, Provers, batches
from sidecar.errors import Cancelled
from sidecar.library import Library, TooManyOpen
from sidecar.library.rereading import AT_ONCE
from sidecar.models import FileStat
from sidecar.mounts import mount_of


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


async def test_provers_say_why_a_copy_does_not_stand_for_its_original(library: Library) -> None:
    wanted = {b"gen/%d.png" % n: b"%d" % n for n in range(100)}
    some = [candidate(write(library, path, data), data) for path, data in wanted.items()]
    write(library, b"gen/3.png", b"#")
    write(library, b"gen/70.png", b"70 and more")
    (library.root / "gen/99.png").unlink()
    provers = Provers(library)
    try:
        reasons = await provers.reasons(provers.begin(some))
    finally:
        await provers.close()
    damaged, missing = "its library copy is damaged", "its library copy is missing"
    assert {n: reason for n, reason in enumerate(reasons) if reason} == {3: damaged, 70: damaged, 99: missing}


async def test_provers_that_are_cancelled_leave_no_thread(library: Library) -> None:
    path = write(library, b"gen/film.mp4", b"")
    os.truncate(library.root / "gen/film.mp4", 1 << 40)
    before = threading.active_count()
    provers = Provers(library)
    waiting = asyncio.create_task(provers.reasons(provers.begin([candidate(path)] * 300)))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await provers.close()
    assert threading.active_count() <= before + 1  # the loop's own helper, which closed the others


def test_batches_are_of_so_many_files_or_so_many_bytes() -> None:
    small = [candidate(b"%d.png" % n, size=1) for n in range(2 * BATCH + 1)]
    assert [len(some) for some in batches(small)] == [BATCH, BATCH, 1]
    sizes = [BATCH_BYTES // 2, BATCH_BYTES // 2, 1, BATCH_BYTES * 3, 0, BATCH_BYTES]
    large = [candidate(b"%d.mp4" % n, size=size) for n, size in enumerate(sizes)]
    made = list(batches(large))
    assert [[c.stat.size for c in some] for some in made] == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]
    assert [c for some in made for c in some] == large
    assert list(batches([])) == []
