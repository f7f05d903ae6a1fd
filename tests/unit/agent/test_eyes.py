"""What a watching agent notices on a real file system, by inotify and by looking."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.errors import RootMissing
from sidecar.transports.docker import watchwire, wire
from tests.unit.agent.harness import AWKWARD, OLD, put
from tests.unit.agent.watcher import PATIENCE, Watcher, blind, interpreter, swap

Source = Callable[[bytes], bytes]


@pytest.fixture(params=["inotify", "poll"])
def source(request: pytest.FixtureRequest) -> Source:
    return blind if request.param == "poll" else lambda code: code


def test_finished_files_are_told_with_their_stat(root: Path, source: Source) -> None:
    put(root, b"before.png")
    with Watcher(os.fsencode(root), source=source) as watcher:
        for number, name in enumerate(AWKWARD):
            put(root, name, b"x" * (number + 1), OLD + number)
        watcher.sees(*AWKWARD)
        for number, name in enumerate(AWKWARD):
            real = os.lstat(os.path.join(os.fsencode(root), name))
            found = watcher.told()[name]
            assert (found.size, found.inode, found.mtime_ns) == (number + 1, real.st_ino, OLD + number)
        assert watcher.told().keys() == set(AWKWARD), "what was there before is for a scan"
        assert watcher.eyes.agent_uid == os.geteuid()
        assert watcher.eyes.owner == (root.stat().st_uid, root.stat().st_gid)
        assert abs(watcher.beats[0] - time.time_ns()) < PATIENCE * 10**9


def test_a_file_that_is_written_slowly_is_told_when_it_is_closed(root: Path) -> None:
    with Watcher(os.fsencode(root)) as watcher:
        with open(root / "slow.png", "wb") as file:
            put(root, b"other.png")
            watcher.sees(b"other.png")
            file.write(b"half")
            file.flush()
            put(root, b"third.png")
            watcher.sees(b"third.png")
            assert b"slow.png" not in watcher.told()
            file.write(b" and half")
        watcher.sees(b"slow.png")
        assert watcher.told()[b"slow.png"].size == 13


def test_a_file_that_grows_is_told_again_when_it_stood_still(root: Path) -> None:
    """Where nobody tells that a file was closed."""
    with Watcher(os.fsencode(root), source=blind) as watcher, open(root / "slow.png", "wb") as file:
        file.write(b"half")
        file.flush()
        watcher.wait_for(lambda: b"slow.png" in watcher.told())
        file.write(b" and half")
        file.flush()
        watcher.wait_for(lambda: watcher.told()[b"slow.png"].size == 13)


def test_a_renamed_and_a_linked_file_are_told(root: Path, source: Source) -> None:
    put(root, b"there.png", b"old")
    with Watcher(os.fsencode(root), source=source) as watcher:
        put(root, b"a.png.tmp")
        os.rename(root / "a.png.tmp", root / "a.png")
        os.link(root / "there.png", root / "linked.png")
        put(root, b"b.png.tmp", b"new!")
        os.rename(root / "b.png.tmp", root / "there.png")
        watcher.sees(b"a.png", b"linked.png", b"there.png")
        watcher.wait_for(lambda: watcher.told()[b"there.png"].size == 4)


def test_new_folders_are_watched_and_what_came_before_the_watch_is_told(root: Path, source: Source) -> None:
    with Watcher(os.fsencode(root), source=source) as watcher:
        quick = [b"%d/deep/%d.png" % (number, number) for number in range(40)]
        for name in quick:
            put(root, name)
        watcher.sees(*quick)
        put(root, b"39/deep/later.png")
        watcher.sees(b"39/deep/later.png")


def test_a_folder_that_is_moved_in_or_within_is_followed(root: Path, open_folder: Path, source: Source) -> None:
    outside = open_folder / "outside"
    put(outside, b"sub/a.png")
    put(root, b"here/sub/b.png")
    with Watcher(os.fsencode(root), source=source) as watcher:
        os.rename(outside, root / "in")
        watcher.sees(b"in/sub/a.png")
        os.rename(root / "here", root / "there")
        watcher.sees(b"there/sub/b.png")
        put(root, b"there/sub/c.png")
        watcher.sees(b"there/sub/c.png")
        os.rename(root / "in", open_folder / "out")
        put(root, b"here/sub/d.png")
        put(open_folder, b"out/sub/not-ours.png")
        watcher.sees(b"here/sub/d.png")
        assert not [path for path in watcher.told() if b"not-ours" in path]
    shutil.rmtree(open_folder / "out")


def test_a_folder_deleted_and_made_again_is_watched(root: Path, source: Source) -> None:
    put(root, b"day/a.png")
    with Watcher(os.fsencode(root), source=source) as watcher:
        for number in range(5):
            shutil.rmtree(root / "day")
            put(root, b"day/%d.png" % number)
            watcher.sees(b"day/%d.png" % number)


def test_links_are_neither_told_nor_followed(root: Path, open_folder: Path, source: Source) -> None:
    elsewhere = open_folder / "elsewhere"
    put(elsewhere, b"secret.png")
    with Watcher(os.fsencode(root), source=source) as watcher:
        os.symlink(elsewhere, root / "folder")
        os.symlink(elsewhere / "secret.png", root / "file.png")
        os.mkfifo(root / "pipe.png")
        put(elsewhere, b"new.png")
        put(root, b"last.png")
        watcher.sees(b"last.png")
        put(elsewhere, b"newer.png")
        put(root, b"very-last.png")
        watcher.sees(b"very-last.png")
        assert watcher.told().keys() == {b"last.png", b"very-last.png"}
    shutil.rmtree(elsewhere)


def test_lost_events_are_told_and_the_watch_stands_again(root: Path) -> None:
    """The queue overflows while the agent is stopped; folders that were made meanwhile are watched afterwards."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with Watcher(os.fsencode(root)) as watcher:
        os.kill(watcher.process.pid, 19)
        path = put(root, b"busy.png"), put(root, b"busy2.png")
        for _ in range(limit // 2 + 10):  # two names in turn: the kernel joins an event with an equal one before it
            for name in path:
                os.close(os.open(name, os.O_WRONLY))
        put(root, b"new/lost.png")
        os.kill(watcher.process.pid, 18)
        watcher.wait_for(lambda: watcher.overflows and len(watcher.standing) > 1)
        put(root, b"new/found.png")
        watcher.sees(b"new/found.png")


def test_without_room_for_watches_it_looks_instead(root: Path) -> None:
    """The limit of the kernel, met at the start and with a later folder."""

    def limited(most: bytes) -> Source:
        def change(code: bytes) -> bytes:
            return swap(code, b"        if number < 0:\n", b"        if number > %s:\n            raise Blind()\n"
                                                           b"        if number < 0:\n" % most)  # fmt: skip

        return change

    put(root, b"a/x.png")
    with Watcher(os.fsencode(root), source=limited(b"1")) as watcher:
        assert [standing.how for standing in watcher.standing] == ["poll"]
    with Watcher(os.fsencode(root), source=limited(b"2")) as watcher:
        assert [standing.how for standing in watcher.standing] == ["inotify"]
        put(root, b"b/y.png")
        watcher.wait_for(lambda: [standing.how for standing in watcher.standing] == ["inotify", "poll"])
        put(root, b"b/z.png")
        watcher.sees(b"b/z.png")


def test_a_folder_that_may_not_be_read_is_told(root: Path, source: Source) -> None:
    if os.geteuid():
        pytest.fail("needs root, to be somebody else")
    (root / "closed").mkdir(mode=0o700)
    put(root, b"closed/x.png")
    with Watcher(os.fsencode(root), source=source, nobody=True) as watcher:
        assert [(problem.path, problem.reason) for problem in watcher.problems] == [(b"closed", "permission denied")]
        assert watcher.eyes.hindered_by(watcher.problems[0])


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_root_that_goes_ends_the_watch(root: Path, source: Source, how: str) -> None:
    top = root / "top"
    top.mkdir()
    quick: Source = lambda code: swap(source(code), b"HEARTBEAT = 10.0", b"HEARTBEAT = 0.05")  # noqa: E731
    with Watcher(os.fsencode(top), source=quick) as watcher:
        if how == "deleted":
            top.rmdir()
        else:
            top.rename(root / "before")
            top.mkdir()
        watcher.ends()


def test_a_root_that_is_not_there_is_said(root: Path) -> None:
    start, token = wire.start_watcher(interpreter()), wire.new_token()
    payload = start.preamble + watchwire.watch_request(token, os.fsencode(root) + b"/no")
    out = subprocess.run(start.argv, input=payload, capture_output=True, check=True, timeout=PATIENCE).stdout
    with pytest.raises(RootMissing):
        watchwire.Sights().take(watchwire.watch_parser(token).feed(out))


def test_it_beats_while_nothing_happens_and_ends_when_nobody_answers(root: Path) -> None:
    def quick(code: bytes) -> bytes:
        return swap(swap(code, b"HEARTBEAT = 10.0", b"HEARTBEAT = 0.02"), b"LEASE = 90.0", b"LEASE = 0.5")

    with Watcher(os.fsencode(root), source=quick) as watcher:
        watcher.wait_for(lambda: len(watcher.beats) > 5)
        watcher.ends()


def test_the_host_and_the_agent_agree_on_the_heartbeat() -> None:
    code = wire.start_watcher("python3").preamble
    beat, lease = (
        float(re.findall(rb"^%s = ([\d.]+)" % name, code, re.MULTILINE)[0]) for name in (b"HEARTBEAT", b"LEASE")
    )
    assert beat == watchwire.HEARTBEAT
    assert lease > 2 * watchwire.SILENCE, "a host that waits for a frozen agent must find it alive"
