"""What agents list and stat."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from sidecar.errors import RootMissing
from sidecar.models import FileStat, FileType, Problem, PurgeOutcome
from sidecar.transports.docker import scanwire
from tests.unit.agent.harness import AWKWARD, OLD, Agent, names, put, wanted


def test_scan_sees_names_as_bytes_and_stats_to_the_nanosecond(agent: Agent, root: Path) -> None:
    for number, name in enumerate(AWKWARD):
        put(root, name, b"x" * number, OLD + number)
    os.symlink("plain.png", root / "link")
    os.symlink("/etc", root / "folder link")
    os.mkfifo(root / "pipe")
    before = time.time_ns()
    scan = agent.scan(os.fsencode(root))

    found = {entry.path: entry for entry in scan.entries}
    assert set(found) == names(root) | {b""}
    assert scan.problems == ()
    for number, name in enumerate(AWKWARD):
        real = os.lstat(os.path.join(os.fsencode(root), name))
        assert found[name] == FileStat(
            name,
            number,
            OLD + number,
            real.st_ino,
            real.st_uid,
            real.st_gid,
            stat.S_IMODE(real.st_mode),
            device=real.st_dev,
        )
    assert {found[b"link"].type, found[b"folder link"].type} == {FileType.LINK}
    assert found[b"pipe"].type is FileType.OTHER
    assert found[b""].type is found[b"sub dir"].type is FileType.DIRECTORY
    assert scan.owner == (root.stat().st_uid, root.stat().st_gid)
    assert scan.agent_uid == os.geteuid()
    assert -2_000_000_000 < scan.now_ns - before < 2_000_000_000
    assert not (root / "pwned").exists()


def test_times_before_1970_and_hardlinks(agent: Agent, root: Path) -> None:
    put(root, b"early", mtime_ns=-1_500_000_000)
    put(root, b"epoch", mtime_ns=5)
    os.link(root / "epoch", root / "again")
    found = {entry.path: entry for entry in agent.scan(os.fsencode(root)).entries}
    assert found[b"early"].mtime_ns == -1_500_000_000
    assert found[b"epoch"].mtime_ns == found[b"again"].mtime_ns == 5
    assert found[b"again"].nlink == 2


@pytest.mark.parametrize("where", [b"missing", b"file", b"dangling"])
def test_a_root_that_is_no_folder_is_said(agent: Agent, root: Path, where: bytes) -> None:
    put(root, b"file")
    os.symlink("nowhere", root / "dangling")
    top = os.path.join(os.fsencode(root), where)
    with pytest.raises(RootMissing, match="not a directory" if where == b"file" else "missing"):
        agent.scan(top)
    with pytest.raises(RootMissing):
        agent.tar(top, [b"x"])
    with pytest.raises(RootMissing):
        agent.purge(top, [wanted(b"x")])


@pytest.mark.parametrize("name", [b"-root\n", b'it\'s "here" \xff', b"r" * 255])
def test_a_symlinked_root_with_any_name_is_followed(agent: Agent, root: Path, name: bytes) -> None:
    put(root, b"real/sub/a.png")
    link = os.path.join(os.fsencode(root), name)
    os.symlink("real", link)
    assert {e.path for e in agent.scan(link).entries} == {b"", b"sub", b"sub/a.png"}
    assert set(agent.restat(link, [b"sub/a.png"])) == {b"sub/a.png"}
    assert agent.tar(link, [b"sub/a.png"])[0].keys() == {b"sub/a.png"}
    assert agent.outcome(link, wanted(b"sub/a.png")) is PurgeOutcome.PURGED
    assert agent.rmdir(link, [b"sub"]) == [b"sub"]
    assert os.path.islink(link)


def test_folders_that_may_not_be_listed_are_problems(agent: Agent, root: Path) -> None:
    put(root, b"open/a.png")
    put(root, b"clo'sed \xff/b.png")
    put(root, b"names only/c.png")
    closed, half = root / os.fsdecode(b"clo'sed \xff"), root / "names only"
    closed.chmod(0o000)
    half.chmod(0o444)
    scan = agent.as_nobody().scan(os.fsencode(root))
    assert {e.path for e in scan.entries} == {b"", b"open", b"open/a.png", b"clo'sed \xff", b"names only"}
    assert set(scan.problems) == {
        Problem(b"clo'sed \xff", "permission denied"),
        Problem(b"names only", "permission denied"),
    }


def test_a_root_that_may_not_be_listed_is_a_problem_or_no_root(agent: Agent, root: Path) -> None:
    put(root, b"a.png")
    root.chmod(0o311 if os.geteuid() else 0o711)
    scan = agent.as_nobody().scan(os.fsencode(root))
    assert Problem(b"", "permission denied") in scan.problems
    root.chmod(0o600)
    with pytest.raises(RootMissing, match="permission denied"):
        agent.as_nobody().scan(os.fsencode(root))


def test_stat_answers_what_is_there_and_follows_nothing(agent: Agent, root: Path) -> None:
    for name in AWKWARD:
        put(root, name)
    put(root, b"away/secret")
    os.symlink("away", root / "trap")
    os.symlink("plain.png", root / "link")
    asked = [*AWKWARD, b"gone.png", b"gone/too.png", b"plain.png/below", b"link", b"trap/secret", b""]
    found = agent.restat(os.fsencode(root), asked)
    assert set(found) == {*AWKWARD, b"link", b""}
    assert found[b"link"].type is FileType.LINK
    assert found[b"-"].mtime_ns == OLD


def test_stat_of_a_closed_folder_is_a_problem_and_not_an_absence(agent: Agent, root: Path) -> None:
    put(root, b"closed/a.png")
    (root / "closed").chmod(0o000)
    top = os.fsencode(root)
    entries = agent.as_nobody().entries(lambda t: scanwire.stat_request(t, top, [b"closed/a.png"]))
    assert entries.problems == [Problem(b"closed/a.png", "permission denied")]


def test_more_names_than_one_process_takes(agent: Agent, root: Path) -> None:
    many = [b"long/" + b"%04d" % number + b"x" * 200 for number in range(1500)]
    for name in many:
        put(root, name)
    assert len(agent.scan(os.fsencode(root)).entries) == 1502
    assert set(agent.restat(os.fsencode(root), many)) == set(many)
    assert set(agent.tar(os.fsencode(root), many)[0]) == set(many)
