"""The library while people tidy it up: folders are moved, deleted and swapped under a program that has them open."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as finished
from pathlib import Path

import pytest

from sidecar.errors import LibraryUnsafe
from sidecar.library import FolderGone, Library, Placed, TooManyOpen
from sidecar.library.names import TEMPORARY
from tests.unit.batches import batch_of

ONE, TWO = b"one", b"two"


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def put(library: Library, path: bytes, data: bytes) -> Placed:
    staged = library.stage("gen")
    try:
        staged.write(data)
        staged.flush()
        return batch_of(library).place(staged, path, sha(data))
    finally:
        staged.close()


@pytest.fixture(params=["unnamed", "named"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    """An open library, as it stages where the file system knows files without a name, and where not."""
    made = Library.open(tmp_path / "library", expect=None)
    if request.param == "named":
        made._tmpfile = False
    yield made
    made.close()


# -- moved and deleted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", ["gen", "gen/d", "gen/d/e"])
@pytest.mark.parametrize("remade", [False, True], ids=["gone", "another-in-its-place"])
def test_a_copy_that_was_moved_away_is_no_copy(library: Library, moved: str, remade: bool) -> None:
    placed = put(library, b"d/e/a.png", ONE)
    batch_of(library).flush()
    assert library.rehash(placed.path) == (sha(ONE), 3)
    trash = library.root.parent / "trash"
    os.rename(library.root / moved, trash)
    if remade:
        (library.root / "gen/d/e").mkdir(parents=True)
    assert library.rehash(placed.path) is None
    assert put(library, b"d/e/b.png", TWO).path == b"gen/d/e/b.png"
    batch_of(library).flush()
    assert (library.root / "gen/d/e/b.png").read_bytes() == TWO
    assert [path.name for path in trash.rglob("*") if path.is_file()] == ["a.png"], "nothing new goes to the trash"
    assert library.rehash(b"gen/d/e/b.png") == (sha(TWO), 3)


@pytest.mark.parametrize("deleted", ["gen", "gen/d"])
def test_a_deleted_folder_is_made_again(library: Library, deleted: str) -> None:
    put(library, b"d/a.png", ONE)
    batch_of(library).flush()
    unnamed = library._tmpfile
    shutil.rmtree(library.root / deleted)
    assert put(library, b"d/a.png", ONE) == Placed(b"gen/d/a.png")
    batch_of(library).flush()
    assert library.rehash(b"gen/d/a.png") == (sha(ONE), 3)
    assert library._tmpfile is unnamed, "a deleted folder says nothing about the file system"


@pytest.mark.parametrize("gone", ["gen", "gen/d"])
@pytest.mark.parametrize("remade", ["", "by-the-group", "by-somebody"])
def test_a_group_whose_folder_went_before_its_names_were_flushed_is_not_recorded(
    library: Library, gone: str, remade: str
) -> None:
    put(library, b"d/a.png", ONE)
    os.rename(library.root / gone, library.root.parent / "trash")
    if remade == "by-the-group":
        put(library, b"d/b.png", TWO)
    elif remade == "by-somebody":
        (library.root / "gen/d").mkdir(parents=True)
    with pytest.raises(FolderGone, match="moved or deleted") as raised:
        batch_of(library).flush()
    assert raised.value.transient
    batch_of(library).flush()
    put(library, b"d/a.png", ONE)
    batch_of(library).flush()
    assert library.rehash(b"gen/d/a.png") == (sha(ONE), 3)


def test_bytes_on_their_way_outlive_their_folder_where_they_have_no_name(tmp_path: Path) -> None:
    with_close = Library.open(tmp_path / "library", expect=None)
    staged = with_close.stage("gen")
    staged.write(ONE)
    shutil.rmtree(with_close.root / "gen")
    assert batch_of(with_close).place(staged, b"a.png", sha(ONE)) == Placed(b"gen/a.png")
    staged.close()
    with_close.close()


def test_a_temporary_name_leaves_with_the_folder_it_was_made_in(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", expect=None)
    library._tmpfile = False
    staged = library.stage("gen")
    os.rename(library.root / "gen", tmp_path / "trash")
    library.stage("gen").close()
    assert os.listdir(tmp_path / "trash") != []
    staged.close()
    assert os.listdir(tmp_path / "trash") == []
    library.close()


def test_a_library_in_the_place_of_the_opened_one_is_not_it(library: Library) -> None:
    put(library, b"a.png", ONE)
    library.check_marker()
    os.rename(library.root, library.root.parent / "away")
    shutil.copytree(library.root.parent / "away", library.root)
    with pytest.raises(LibraryUnsafe, match="another folder has its place"):
        library.check_marker()


def test_a_folder_is_no_copy_of_a_file_of_its_size(library: Library) -> None:
    (library.root / "gen/a.png").mkdir(parents=True)
    data = b"x" * os.stat(library.root / "gen/a.png").st_size
    assert put(library, b"a.png", data).path == b"gen/a~%s.png" % sha(data).hex()[:8].encode()


def test_a_pipe_is_no_copy_of_an_empty_file(library: Library) -> None:
    (library.root / "gen").mkdir()
    os.mkfifo(library.root / "gen/a.png")
    assert library.rehash(b"gen/a.png") is None
    assert put(library, b"a.png", b"").path.startswith(b"gen/a~")


# -- several groups beside each other ------------------------------------------------------------------------------


def test_what_one_source_lost_is_told_to_that_source(library: Library) -> None:
    put(library, b"d/a.png", ONE)
    other = library.batch("other")
    staged = other.stage(TWO, 0)
    other.place(staged, b"b.png", sha(TWO))
    os.rename(library.root / "gen/d", library.root.parent / "trash")
    other.flush()
    with pytest.raises(FolderGone):
        batch_of(library).flush()
    staged.close()
    other.close()


def test_a_group_flushes_its_names_though_another_flushed_the_folder_meanwhile(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(library, b"d/a.png", ONE)
    other = library.batch("gen")
    staged = other.stage(TWO, 0)
    other.place(staged, b"d/b.png", sha(TWO))
    other.flush()
    put(library, b"d/c.png", TWO)
    flushed: list[int] = []
    real = os.fsync

    def noting(fd: int) -> None:
        real(fd)
        flushed.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", noting)
    batch_of(library).flush()
    assert os.stat(library.root / "gen/d").st_ino in flushed
    staged.close()
    other.close()


@pytest.mark.parametrize("gone", ["deleted", "moved"])
def test_small_files_are_staged_where_the_source_is_now(library: Library, gone: str) -> None:
    batch = batch_of(library)
    batch.stage(ONE, 0).close()
    if gone == "deleted":
        shutil.rmtree(library.root / "gen")
    else:
        os.rename(library.root / "gen", library.root.parent / "trash")
    staged = batch.stage(ONE, 5)
    placed = batch.place(staged, b"a.png", sha(ONE))
    staged.close()
    batch.flush()
    assert library.rehash(placed.path) == (sha(ONE), 3)
    assert os.stat(library.root / "gen/a.png").st_mtime_ns == 5


# -- nobody waits for somebody else's disk ------------------------------------------------------------------------


@pytest.mark.parametrize("slow", ["folder", "copy"])
def test_staging_waits_for_no_flush(library: Library, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk cannot be told to take its time for one call alone, so the call itself does."""
    put(library, b"a.png", ONE)
    entered, go = threading.Event(), threading.Event()
    real = os.fsync

    def waiting(fd: int) -> None:
        entered.set()
        assert go.wait(30)
        real(fd)

    def proving() -> None:
        batch_of(library).place(again, b"a.png", sha(ONE))

    again = library.stage("gen")
    again.write(ONE)
    work: Callable[[], None] = batch_of(library).flush if slow == "folder" else proving
    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(os, "fsync", waiting)
        slowly = pool.submit(work)
        assert entered.wait(10)
        quickly = pool.submit(library.stage, "gen")
        done, _ = finished([quickly], timeout=5)
        go.set()
        slowly.result(10)
    quickly.result().close()
    again.close()
    assert done, "a reader waited for the disk"


def test_names_gained_during_a_flush_are_flushed_by_the_next(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    put(library, b"d/a.png", ONE)
    inode = os.stat(library.root / "gen/d").st_ino
    real = os.fsync
    flushed: list[int] = []

    def noting(fd: int) -> None:
        real(fd)
        flushed.append(os.fstat(fd).st_ino)
        if flushed.count(inode) == 1 and flushed[-1] == inode:
            put(library, b"d/b.png", TWO)

    monkeypatch.setattr(os, "fsync", noting)
    batch_of(library).flush()
    assert flushed.count(inode) == 1
    batch_of(library).flush()
    assert flushed.count(inode) == 2
    batch_of(library).flush()
    assert flushed.count(inode) == 2


# -- descriptors --------------------------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = open_files()
    for unnamed in (True, False):
        library = Library.open(tmp_path / f"library-{unnamed}", expect=None)
        library._tmpfile = unnamed
        for n in range(200):
            path = b"%03d/%03d/a.png" % (n % 90, n)
            put(library, path, b"%d" % n)
            assert library.rehash(b"gen/" + path) is not None
            assert library.rehash(b"gen/none/" + path) is None
            if n % 90 == 0:
                os.rename(library.root / "gen", tmp_path / f"trash-{unnamed}-{n}")
                with pytest.raises(FolderGone):
                    batch_of(library).flush()
        kept = open_files() - before
        assert kept <= 2 * 3 + library._folders.LIMIT
        batch_of(library).close()
        library.close()
        assert open_files() == before


def test_too_many_open_files_are_called_that(library: Library) -> None:
    placed = put(library, b"a.png", ONE)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        for attempt in (lambda: library.stage("gen"), lambda: library.rehash(placed.path)):
            with pytest.raises(TooManyOpen, match="too many open files") as raised:
                attempt()
            assert "ulimit -n" in raised.value.hint
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert library.rehash(placed.path) == (sha(ONE), 3)


def test_where_links_are_missing_a_rename_that_never_replaces_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT; the machines that run this have no file system like that."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    library = Library.open(tmp_path / "library", expect=None)
    assert put(library, b"a.png", ONE) == Placed(b"gen/a.png")
    assert put(library, b"a.png", ONE) == Placed(b"gen/a.png", existed=True)
    assert put(library, b"a.png", TWO).path.startswith(b"gen/a~")
    batch_of(library).flush()
    assert not [path for path in library.root.rglob("*") if os.fsencode(path.name).startswith(TEMPORARY)]
    library.close()
