"""Scans that need not say again what the host knows: digests of folders, and shapes of those left alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.models import NS, Basis, FileType, Mark, Scan
from sidecar.transports.docker import scanwire
from tests.unit.agent.harness import AWKWARD, OLD, Agent, names, put, python_agent

NOW_QUIET = 0  # every folder counts as left alone
NEVER_QUIET = 3600 * NS


@pytest.fixture
def python() -> Agent:
    return python_agent()


def listed(scan: Scan) -> set[bytes]:
    """The files that a scan names."""
    return {entry.path for entry in scan.entries if entry.type is not FileType.DIRECTORY}


def folders(scan: Scan) -> set[bytes]:
    return {entry.path for entry in scan.entries if entry.type is FileType.DIRECTORY}


def first(agent: Agent, root: Path, quiet_ns: int = NEVER_QUIET) -> Basis:
    """What a first scan says, as the basis of another one."""
    return Basis(agent.scan(os.fsencode(root), Basis({}, quiet_ns)).marks, quiet_ns)


def left_alone(root: Path) -> None:
    """Wait until nothing in a folder is of this instant: the clock of files is coarser than that of programs."""
    newest = max(os.lstat(os.path.join(folder, name)).st_ctime_ns
                 for folder, below, here in os.walk(root) for name in (*below, *here, "."))  # fmt: skip
    while time.time_ns() <= newest:
        time.sleep(0.001)


def test_an_unchanged_tree_is_answered_by_marks_alone(python: Agent, root: Path) -> None:
    for number, name in enumerate(AWKWARD):
        put(root, name, b"x" * number, OLD + number)
    os.symlink("plain.png", root / "link")
    os.mkfifo(root / "pipe")
    plain, full = python.scan(os.fsencode(root)), python.scan(os.fsencode(root), Basis({}, NEVER_QUIET))
    assert (plain.marks, plain.same) == ({}, {})
    assert set(full.entries) == set(plain.entries)
    assert set(full.marks) == folders(plain)
    assert sum(mark.names for mark in full.marks.values()) == len(listed(plain))
    again = python.scan(os.fsencode(root), Basis(full.marks, NEVER_QUIET))
    assert (listed(again), again.marks, dict(again.same)) == (set(), {}, full.marks)
    assert set(again.entries) == {entry for entry in plain.entries if entry.type is FileType.DIRECTORY}


@pytest.mark.parametrize("change", ["new", "rewritten", "touched", "deleted", "renamed", "chmod", "replaced", "linked"])
@pytest.mark.parametrize("quiet_ns", [NOW_QUIET, NEVER_QUIET])
def test_a_change_is_listed_with_its_folder_and_no_other(change: str, quiet_ns: int, python: Agent, root: Path) -> None:
    for name in (b"a/1.png", b"a/2.png", b"b/3.png", b"4.png"):
        put(root, name)
    left_alone(root)
    basis = first(python, root, NEVER_QUIET if change in ("rewritten", "touched", "chmod") else quiet_ns)
    path = root / "a" / "1.png"
    old: set[bytes] = set()
    if change == "new":
        put(root, b"a/0.png")
        old = {b"a/1.png", b"a/2.png"}
    elif change == "rewritten":
        with open(path, "r+b") as file:
            file.write(b"CONTENT")
    elif change == "touched":
        os.utime(path, ns=(OLD + 1, OLD + 1))
    elif change == "deleted":
        path.unlink()
    elif change == "renamed":
        path.rename(root / "a" / "9.png")
    elif change == "chmod":
        path.chmod(0o600)
    elif change == "replaced":
        put(root, b"a/new")
        (root / "a" / "new").rename(path)
    else:
        path.unlink()
        path.symlink_to("2.png")
    scan = python.scan(os.fsencode(root), basis)
    assert set(scan.same) == {b"", b"b"}
    assert set(scan.marks) == {b"a"}
    assert listed(scan) == {name for name in names(root) if name.startswith(b"a/")} - old
    assert scan.grown == ({b"a"} if old else set())


def test_a_shape_needs_time_and_shows_what_happens_to_the_folder(python: Agent, root: Path) -> None:
    put(root, b"a/1.png")
    assert first(python, root).marks[b"a"].shape == b""
    left_alone(root)
    basis = first(python, root, NOW_QUIET)
    assert len(basis.marks[b"a"].shape) == 16
    assert listed(python.scan(os.fsencode(root), basis)) == set()
    path, folder = root / "a" / "1.png", root / "a"
    before = folder.stat()
    path.rename(root / "a" / "2.png")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # its mtime put back: the ctime tells
    assert listed(python.scan(os.fsencode(root), basis)) == {b"a/2.png"}


def test_a_folder_with_a_young_file_has_no_shape(python: Agent, root: Path) -> None:
    """Its own times say nothing of what is written into files: somebody may be at it still."""
    put(root, b"a/1.png")
    put(root, b"b/2.png")
    time.sleep(0.3)
    put(root, b"a/1.png", b"longer content")  # its mtime is old
    marks = first(python, root, NS // 5).marks
    assert (marks[b"a"].shape, len(marks[b"b"].shape)) == (b"", 16)


def test_names_are_part_of_a_shape(root: Path) -> None:
    """Should a file system ever forget to move a folder's times."""
    agent = python_agent(source=lambda code: code.replace(b"top.st_mtime_ns, top.st_ctime_ns)\n", b"0, 0)\n"))
    put(root, b"a/1.png")
    left_alone(root)
    basis = first(agent, root, NOW_QUIET)
    assert listed(agent.scan(os.fsencode(root), basis)) == set()
    (root / "a" / "1.png").rename(root / "a" / "2.png")
    assert listed(agent.scan(os.fsencode(root), basis)) == {b"a/2.png"}


def test_a_glance_passes_over_what_is_rewritten_in_place_and_a_look_at_every_file_does_not(
    python: Agent, root: Path
) -> None:
    """The price of shapes, see sync/marks.py: this is why full scans go on."""
    put(root, b"a/1.png")
    put(root, b"a/b/2.png")
    left_alone(root)
    basis = first(python, root, NOW_QUIET)
    put(root, b"a/1.png", b"longer content")
    assert listed(python.scan(os.fsencode(root), basis)) == set()
    without = Basis({folder: replace(mark, shape=b"") for folder, mark in basis.marks.items()}, NOW_QUIET)
    assert listed(python.scan(os.fsencode(root), without)) == {b"a/1.png"}


def test_below_a_folder_that_keeps_its_shape_everything_is_looked_at(python: Agent, root: Path) -> None:
    put(root, b"1.png")
    put(root, b"a/b/2.png")
    left_alone(root)
    basis = first(python, root, NOW_QUIET)
    put(root, b"a/b/3.png")
    scan = python.scan(os.fsencode(root), basis)
    assert listed(scan) == {b"a/b/3.png"}
    assert folders(scan) == {b"", b"a", b"a/b"}
    assert set(scan.same) == {b"", b"a"}


@pytest.mark.parametrize("kind", [b"fuse.sshfs", b"nfs4", b"9p"])
def test_where_a_folders_times_prove_nothing_there_is_no_shape(kind: bytes, root: Path) -> None:
    """On a network file system others write, and what they did shows late."""
    put(root, b"a/1.png")
    left_alone(root)
    agent = python_agent(source=lambda code: code.replace(b"SOUND = (b", b"SOUND = (b'%s',) or (b" % kind))
    marks = first(agent, root, NOW_QUIET).marks
    assert {mark.shape for mark in marks.values()} == {b""}


def test_a_folder_that_cannot_be_listed_has_no_mark(python: Agent, root: Path) -> None:
    put(root, b"open/a.png")
    put(root, b"closed/b.png")
    basis = first(python, root)
    (root / "closed").chmod(0o000)
    scan = python.as_nobody().scan(os.fsencode(root), basis)
    assert [p.path for p in scan.problems] == [b"closed"]
    assert b"closed" not in {**scan.marks, **scan.same}


@pytest.mark.parametrize("beside", ["nothing", "rewritten", "deleted", "renamed", "clock"])
def test_what_is_new_is_listed_alone_only_where_all_else_is_as_it_was(beside: str, python: Agent, root: Path) -> None:
    for name in (b"a/1.png", b"a/2.png"):
        put(root, name)
    left_alone(root)
    basis = first(python, root)
    put(root, b"a/3.png")
    assert os.stat(root / "a" / "3.png").st_ctime_ns >= basis.marks[b"a"].since_ns, "a tick of the files' clock"
    path = root / "a" / "1.png"
    if beside == "rewritten":
        put(root, b"a/1.png", b"longer content")
    elif beside == "deleted":
        path.unlink()
    elif beside == "renamed":
        path.rename(root / "a" / "9.png")
    elif beside == "clock":  # it said, when the mark was made, that it was an hour ago: then all is new
        basis = Basis({name: replace(mark, since_ns=mark.since_ns - 3600 * NS) for name, mark in basis.marks.items()},
                      basis.quiet_ns)  # fmt: skip
    scan, there = python.scan(os.fsencode(root), basis), names(root) - {b"a"}
    assert listed(scan) == ({b"a/3.png"} if beside == "nothing" else there)
    assert scan.grown == ({b"a"} if beside == "nothing" else set())
    assert scan.marks[b"a"].names == len(there)


def test_marks_of_folders_that_are_gone_or_are_files_now_say_nothing(python: Agent, root: Path) -> None:
    put(root, b"a/1.png")
    put(root, b"b/2.png")
    basis = first(python, root)
    (root / "a" / "1.png").unlink()
    (root / "a").rmdir()
    put(root, b"a")
    (root / "b").rename(root / "c")
    scan = python.scan(os.fsencode(root), basis)
    assert (listed(scan), set(scan.same), set(scan.marks)) == ({b"a", b"c/2.png"}, set(), {b"", b"c"})


def test_agents_without_marks_list_as_ever(agent: Agent, root: Path) -> None:
    put(root, b"a/1.png")
    mark = Mark(bytes(16), b"", 1)
    scan = agent.scan(os.fsencode(root), Basis({b"a": mark}, 0))
    assert listed(scan) == {b"a/1.png"}
    assert scan.same == {}
    assert bool(scan.marks) == agent.name.startswith("python")


def test_few_bytes_for_many_files(python: Agent, root: Path) -> None:
    many: Iterable[bytes] = (b"d%d/%05d.png" % (n % 3, n) for n in range(600))
    for name in many:
        put(root, name)
    basis = first(python, root)
    records = python.ask(lambda token: scanwire.scan_request(token, os.fsencode(root), basis))
    assert len(records) == 1 + 1 + 3 + 4  # the greeting, the root, its folders, a mark for each
    assert sum(map(len, records)) < 1000
