"""What agents delete, and above all what they do not."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from sidecar.models import PurgeItem, PurgeOutcome, PurgeResult
from sidecar.transports.docker import scanwire, wire
from tests.unit.agent.harness import AWKWARD, OLD, Agent, finished, names, put, python_agent, wanted


def test_purge_deletes_what_matches_and_nothing_else(agent: Agent, root: Path) -> None:
    for name in AWKWARD:
        put(root, name, name)
    put(root, b"other.png")
    items = [wanted(name, name) for name in AWKWARD]
    results = agent.purge(os.fsencode(root), items)
    assert {r.outcome for r in results} == {PurgeOutcome.PURGED}
    assert {n for n in names(root) if (root / os.fsdecode(n)).is_file()} == {b"other.png"}


def test_purge_keeps_what_is_not_what_was_copied(agent: Agent, root: Path) -> None:
    items = {
        "size": wanted(b"d/size", b"contenT+"),
        "time": wanted(b"d/time", mtime_ns=OLD + 1),
        "hash": wanted(b"d/hash", b"CONTENT"),
        "gone": wanted(b"d/gone"),
        "nowhere": wanted(b"e/f/gone"),
        "folder": wanted(b"d/folder"),
        "link": wanted(b"d/link"),
        "good": wanted(b"d/good"),
    }
    for name in (b"size", b"time", b"hash", b"good", b"folder/x"):
        put(root, b"d/" + name)
    os.symlink("hash", root / "d/link")
    before = names(root)
    times = [os.lstat(root / "d" / name).st_ctime_ns for name in ("size", "time")]
    results = {r.item.path: r.outcome for r in agent.purge(os.fsencode(root), list(items.values()))}
    gone = {b"d/gone", b"e/f/gone"}
    assert results == {
        item.path: PurgeOutcome.PURGED
        if item is items["good"]
        else PurgeOutcome.GONE
        if item.path in gone
        else PurgeOutcome.CHANGED
        for item in items.values()
    }
    assert names(root) == before - {b"d/good"}
    assert times == [os.lstat(root / "d" / name).st_ctime_ns for name in ("size", "time")]  # not even moved and back
    kept = os.lstat(root / "d/hash")
    assert (kept.st_mtime_ns, (root / "d/hash").read_bytes(), kept.st_nlink) == (OLD, b"content", 1)


def test_an_inexact_mtime_counts_to_the_second(agent: Agent, root: Path) -> None:
    second = OLD // 10**9 * 10**9
    put(root, b"a")
    put(root, b"b")
    put(root, b"epoch", mtime_ns=5)
    assert agent.outcome(os.fsencode(root), wanted(b"a", mtime_ns=second)) is PurgeOutcome.CHANGED
    assert agent.outcome(os.fsencode(root), wanted(b"a", mtime_ns=second, exact=False)) is PurgeOutcome.PURGED
    late = wanted(b"b", mtime_ns=second + 10**9, exact=False)
    assert agent.outcome(os.fsencode(root), late) is PurgeOutcome.CHANGED
    assert agent.outcome(os.fsencode(root), wanted(b"epoch", mtime_ns=5)) is PurgeOutcome.PURGED


def test_purge_never_goes_through_a_symlinked_folder(agent: Agent, root: Path) -> None:
    put(root, b"away/deep/a.png")
    (root / "in").mkdir()
    os.symlink("../away/deep", root / "in/deep")
    os.symlink("away", root / "out")
    items = [wanted(b"in/deep/a.png"), wanted(b"out/deep/a.png"), wanted(b"away/deep/a.png/x")]
    before = names(root)
    results = agent.purge(os.fsencode(root), items)
    assert [r.outcome for r in results] == [PurgeOutcome.FAILED, PurgeOutcome.FAILED, PurgeOutcome.GONE]
    assert results[0].detail == "folder is a link"
    assert names(root) == before


def test_purge_without_the_right_is_denied_and_moves_nothing(agent: Agent, root: Path) -> None:
    put(root, b"theirs/a.png")
    put(root, b"closed/a.png")
    put(root, b"unreadable.png")
    (root / "theirs").chmod(0o555)
    (root / "closed").chmod(0o000)
    (root / "unreadable.png").chmod(0o000)
    items = [wanted(b"theirs/a.png"), wanted(b"closed/a.png"), wanted(b"unreadable.png")]
    results = agent.as_nobody().purge(os.fsencode(root), items)
    assert [r.outcome for r in results] == [PurgeOutcome.DENIED] * 3
    (root / "closed").chmod(0o755)
    assert names(root) == {b"theirs", b"theirs/a.png", b"closed", b"closed/a.png", b"unreadable.png"}


def test_a_private_name_that_exists_is_not_replaced(agent: Agent, root: Path) -> None:
    item = wanted(b"a.png")
    put(root, b"a.png")
    put(root, item.private, b"precious")
    assert agent.outcome(os.fsencode(root), item) is PurgeOutcome.FAILED
    assert (root / "a.png").read_bytes() == b"content"
    assert (root / item.private.decode()).read_bytes() == b"precious"


def hashing(agent: Agent, root: Path, item: PurgeItem, meanwhile: Callable[[Path], object]) -> PurgeResult:
    """Purge one large file and call `meanwhile` with its private path as soon as it was moved there."""
    private = root / os.fsdecode(item.private)
    results: list[PurgeResult] = []
    thread = threading.Thread(target=lambda: results.extend(agent.purge(os.fsencode(root), [item])))
    thread.start()
    while thread.is_alive() and not private.exists():
        time.sleep(0.001)
    with contextlib.suppress(FileNotFoundError):
        meanwhile(private)
    thread.join()
    return results[0]


def test_a_file_exchanged_before_it_is_moved_is_kept(root: Path) -> None:
    put(root, b"a")
    put(root, b"other", b"CONTENT")  # same size and time: only the opened file was what was wanted

    def exchange(code: bytes) -> bytes:
        move = b"        rename_kindly(fd, name, private)\n        try:"
        assert move in code
        return code.replace(move, b"        os.rename(b'other', name, src_dir_fd=fd, dst_dir_fd=fd)\n" + move)

    assert python_agent(source=exchange).outcome(os.fsencode(root), wanted(b"a")) is PurgeOutcome.CHANGED
    assert names(root) == {b"a"}
    assert (root / "a").read_bytes() == b"CONTENT"


@pytest.fixture
def large(root: Path) -> PurgeItem:
    """A file that takes a while to hash, and an item that does not match it."""
    full = put(root, b"big.mp4", b"")
    os.truncate(full, 256 << 20)
    os.utime(full, ns=(OLD, OLD))
    item = wanted(b"big.mp4")
    return PurgeItem(item.path, 256 << 20, OLD, True, bytes(32), item.private)


def test_a_name_taken_meanwhile_is_never_replaced(agent: Agent, root: Path, large: PurgeItem) -> None:
    result = hashing(agent, root, large, lambda _: (root / "big.mp4").write_bytes(b"new"))
    assert result.outcome is PurgeOutcome.STRANDED
    assert (root / "big.mp4").read_bytes() == b"new"
    assert (root / os.fsdecode(large.private)).stat().st_size == 256 << 20
    pair = (large.path, large.private)
    assert agent.settle(os.fsencode(root), [pair]) == {b"big.mp4": "stranded"}
    (root / "big.mp4").unlink()
    assert agent.settle(os.fsencode(root), [pair]) == {b"big.mp4": "restored"}
    assert names(root) == {b"big.mp4"}


def test_a_folder_that_took_the_name_gets_nothing_inside(agent: Agent, root: Path, large: PurgeItem) -> None:
    result = hashing(agent, root, large, lambda _: (root / "big.mp4").mkdir())
    assert result.outcome is PurgeOutcome.STRANDED
    assert names(root) == {b"big.mp4", large.private}


@cache
def digest_of_zeros(size: int) -> bytes:
    digest, block = hashlib.sha256(), bytes(1 << 20)
    for _ in range(size >> 20):
        digest.update(block)
    return digest.digest()


def test_a_write_while_it_is_hashed_keeps_the_file(agent: Agent, root: Path, large: PurgeItem) -> None:
    size = 512 << 20
    os.truncate(root / "big.mp4", size)
    os.utime(root / "big.mp4", ns=(OLD, OLD))
    item = PurgeItem(large.path, size, OLD, True, digest_of_zeros(size), large.private)

    def write_where_it_was_hashed_already(private: Path) -> None:
        time.sleep(0.02)
        with private.open("r+b") as file:
            file.write(b"late")

    result = hashing(agent, root, item, write_where_it_was_hashed_already)
    assert result.outcome is PurgeOutcome.CHANGED
    assert (root / "big.mp4").read_bytes()[:4] == b"late"


def test_five_thousand_files_in_one_request(agent: Agent, root: Path) -> None:
    count = 500 if agent.name == "bash" else 5000  # bash works as dash does, and takes as long
    content = b"x" * 8192
    items = [wanted(b"day %d/%05d.png" % (number % 3, number), content) for number in range(count)]
    items.sort(key=lambda item: item.path)
    for item in items:
        put(root, item.path, content)
    begun = time.monotonic()
    results = agent.purge(os.fsencode(root), items)
    assert time.monotonic() - begun < 120
    assert {r.outcome for r in results} == {PurgeOutcome.PURGED}
    assert names(root) == {b"day 0", b"day 1", b"day 2"}
    assert sorted(agent.rmdir(os.fsencode(root), sorted(names(root)))) == [b"day 0", b"day 1", b"day 2"]


def test_results_come_while_the_work_goes_on(agent: Agent, root: Path) -> None:
    items = [wanted(b"%05d.png" % number) for number in range(600)]
    for item in items:
        put(root, item.path)
    token = wire.new_token()
    parser, answers = wire.RecordParser(token), wire.PurgeAnswers(items)
    with agent.process() as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(agent.start.preamble + wire.purge_request(token, os.fsencode(root), items))
        process.stdin.flush()  # and stays open: the agent must not wait for its end
        groups = []
        while not parser.finished:
            groups.append(len(answers.take(parser.feed(os.read(process.stdout.fileno(), 1 << 16)))))
        assert sum(groups) == 600
        assert len(groups) > 2
        token = wire.new_token()
        process.stdin.write(scanwire.scan_request(token, os.fsencode(root)))  # the same process answers again
        process.stdin.close()
        assert len(finished(token, process.stdout.read())) == 2


# ---- settle and rmdir


def test_settle_brings_back_what_an_interrupted_purge_left(agent: Agent, root: Path) -> None:
    put(root, b"a/.private-1", b"one")
    put(root, b"a/taken", b"theirs")
    put(root, b"a/.private-2", b"two")
    put(root, b"a/half", b"three")
    os.link(root / "a/half", root / "a/.private-3")  # died between link and unlink
    os.symlink("taken", root / "a/.private-4")
    put(root, b"away/.private-5")
    os.symlink("away", root / "out")
    items = [
        (b"a/-we\nird", b".private-1"),
        (b"a/taken", b".private-2"),
        (b"a/half", b".private-3"),
        (b"a/link", b".private-4"),
        (b"out/x", b".private-5"),
        (b"a/whole", b".private-6"),
        (b"nowhere/x", b".private-7"),
    ]
    settled = agent.settle(os.fsencode(root), items)
    assert [settled[path] for path, _ in items] == [
        "restored", "stranded", "restored", "stranded", "stranded", "absent", "absent",
    ]  # fmt: skip
    assert names(root) == {
        b"a", b"a/-we\nird", b"a/taken", b"a/.private-2", b"a/half", b"a/.private-4", b"away", b"out",
        b"away/.private-5",
    }  # fmt: skip
    assert (root / "a/taken").read_bytes() == b"theirs"
    assert (root / "a/half").stat().st_nlink == 1


def test_rmdir_takes_empty_folders_only_and_never_the_root(agent: Agent, root: Path) -> None:
    for folder in ("empty\n", "-x/deep", "away"):
        (root / folder).mkdir(parents=True)
    put(root, b"full/a.png")
    put(root, b"file")
    os.symlink("away", root / "link")
    os.symlink(".", root / "self")
    asked = [b"-x/deep", b"-x", b"empty\n", b"full", b"file", b"link", b"self/away", b"gone", b""]
    assert agent.rmdir(os.fsencode(root), asked) == [b"-x/deep", b"-x", b"empty\n"]
    assert names(root) == {b"full", b"full/a.png", b"file", b"link", b"self", b"away"}
    for path in (b"full/a.png", b"file", b"link", b"self"):
        os.unlink(os.path.join(os.fsencode(root), path))
    assert agent.rmdir(os.fsencode(root), [b"full", b"away", b""]) == [b"full", b"away"]
    assert root.exists()
