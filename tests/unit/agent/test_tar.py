"""What agents stream."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from sidecar.models import Problem
from sidecar.transports.docker import wire
from tests.unit.agent.harness import AWKWARD, OLD, Agent, finished, put, python_agent


def test_tar_carries_exactly_the_files_asked_for(agent: Agent, root: Path) -> None:
    content = {name: os.urandom(number * 700) for number, name in enumerate(AWKWARD)}
    content[b"d/" * 60 + b"deep.png"] = b"deep"
    content[b"empty"] = b""
    content[b"large"] = os.urandom(3_000_001)
    for name, data in content.items():
        put(root, name, data)
    put(root, b"not asked for")
    got, problems = agent.tar(os.fsencode(root), list(content))
    assert problems == []
    assert {name: data for name, (data, _) in got.items()} == content
    assert all(int(mtime) == OLD // 10**9 for _, mtime in got.values())


def test_tar_gives_each_name_of_a_hardlinked_file_its_content(agent: Agent, root: Path) -> None:
    put(root, b"one", b"shared")
    os.link(root / "one", root / "two")
    put(root, b"three", b"own")
    got, problems = agent.tar(os.fsencode(root), [b"one", b"two", b"three"])
    assert {name: data for name, (data, _) in got.items()} == {b"one": b"shared", b"two": b"shared", b"three": b"own"}
    assert problems == []


def test_tar_reports_what_it_cannot_carry(agent: Agent, root: Path) -> None:
    put(root, b"good.png")
    put(root, b"secret.png")
    (root / "secret.png").chmod(0o000)
    put(root, b"away/a.png")
    os.symlink("away", root / "trap")
    os.symlink("good.png", root / "link\n")
    os.mkfifo(root / "pipe")
    asked = [b"good.png", b"secret.png", b"gone.png", b"link\n", b"trap/a.png", b"pipe", b"away"]
    got, problems = agent.as_nobody().tar(os.fsencode(root), asked)
    assert set(got) == {b"good.png"}
    assert {p.path: p.reason for p in problems} == {
        b"secret.png": "permission denied",
        b"gone.png": "vanished",
        b"link\n": "not a regular file",
        b"trap/a.png": "folder is a link",
        b"pipe": "not a regular file",
        b"away": "not a regular file",
    }


def test_tar_of_nothing_is_a_complete_answer(agent: Agent, root: Path) -> None:
    assert agent.tar(os.fsencode(root), [b"gone"]) == ({}, [Problem(b"gone", "vanished")])


def test_tar_says_when_a_file_changed_while_it_was_read(agent: Agent, root: Path) -> None:
    size = 64 << 20
    name = b"grow'ing %s\n.mp4"
    full = put(root, name)
    os.truncate(full, size)
    put(root, b"still.png")
    token = wire.new_token()
    with agent.process() as process, open(full, "ab") as writer:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(
            agent.start.preamble
            + wire.tar_request(token, os.fsencode(root), [name, b"still.png"])
            + wire.quit_request()
        )
        process.stdin.close()
        process.stdin = None
        head = os.read(process.stdout.fileno(), 10_000)  # it has begun, and now waits for us to read on
        writer.truncate(size // 2) if agent.name == "python" else writer.write(b"more")
        writer.flush()
        out, err = process.communicate(timeout=60)
    problems = wire.read_problems(finished(token, err))
    assert problems == [Problem(name, "changed while read")]
    with tarfile.open(fileobj=io.BytesIO(head + out), ignore_zeros=True, errors="surrogateescape") as archive:
        sizes = {os.fsencode(m.name).removeprefix(b"./"): m.size for m in archive}
    assert sizes == {name: size, b"still.png": 7}


def test_tar_names_a_file_that_it_could_not_read_whole(agent: Agent) -> None:
    """sysfs says 4096 and gives a line; the stat does not move."""
    token, name = wire.new_token(), b"enabled"
    _, err = agent.run(wire.tar_request(token, b"/sys/kernel/mm/transparent_hugepage", [name]) + wire.quit_request())
    assert wire.read_problems(finished(token, err)) == [Problem(name, "ended before its size")]


def test_python_tar_carries_times_to_the_second_and_large_sizes(open_folder: Path, root: Path) -> None:
    put(root, b"a.png", mtime_ns=-1_500_000_000)
    put(root, b"b.png", mtime_ns=1_500_000_000_999_999_999)
    got, _ = python_agent().tar(os.fsencode(root), [b"a.png", b"b.png"])
    assert (got[b"a.png"][1], got[b"b.png"][1]) == (0, 1_500_000_000)
    code = files("sidecar.transports.docker").joinpath("agent.py").read_text().rpartition("\ntry:\n")[0]
    room: dict[str, Callable[..., bytes]] = {}
    exec(code, room)  # the file is far too large to be read in a test; its header is not
    header = room["tar_headers"](b"b.mp4", 9 << 30, OLD)
    member = tarfile.TarInfo.frombuf(header[-512:], "utf-8", "strict")
    assert (member.name, member.size) == ("b.mp4", 0)
    assert b" size=%d\n" % (9 << 30) in header
