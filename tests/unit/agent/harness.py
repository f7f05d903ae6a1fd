"""Agents as processes, every verb as a call, and folders to let them loose on."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sidecar.models import Basis, FileStat, Problem, PurgeItem, PurgeOutcome, PurgeResult, Scan
from sidecar.transports.docker import scanwire, wire

OLD = 1_600_000_000_123_456_789
NOBODY = 65534
AWKWARD = (
    b"plain.png",
    b" leading and trailing ",
    b"two\nlines\n",
    b"-rf",
    b"--",
    b"-",
    b"quo'te\"d $(touch pwned) `x` \\n %s %n.png",
    b"caf\xe9 \xff\x81\x88.png",
    "Bild äöü 画像.png".encode(),
    b"n" * 255,
    b"tab\tcr\rbell\x07esc\x1b",
    b"sub dir/-x/*.png",
    b"sub dir/-x/[a]?",
    b".hidden",
    b"%date:yyyy%/x~",
    b"~/y",
    b"end 3",
)


@dataclass(frozen=True)
class Agent:
    """One way of running an agent, and every verb as a call."""

    name: str
    start: wire.Start
    argv: tuple[str, ...]
    env: dict[str, str]
    nobody: bool = False

    def process(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.nobody else {}
        return subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, stderr=pipe, env=self.env, cwd="/", **who)

    def run(self, payload: bytes) -> tuple[bytes, bytes]:
        with self.process() as process:
            out, err = process.communicate(self.start.preamble + payload, timeout=60)
            assert process.returncode == 0, err
        return out, err

    def ask(self, make: Callable[[bytes], bytes]) -> list[bytes]:
        token = wire.new_token()
        out, err = self.run(make(token))
        assert err == b""
        return finished(token, out)

    def entries(self, make: Callable[[bytes], bytes], basis: Basis | None = None) -> scanwire.Entries:
        entries = scanwire.Entries(basis)
        entries.take(self.ask(make))
        return entries

    def scan(self, root: bytes, basis: Basis | None = None) -> Scan:
        entries = self.entries(lambda t: scanwire.scan_request(t, root, basis), basis)
        return scanwire.read_scan(entries, root, self.start.scanner)

    def restat(self, root: bytes, paths: Sequence[bytes]) -> dict[bytes, FileStat]:
        return scanwire.read_stats(self.entries(lambda t: scanwire.stat_request(t, root, paths)), paths)

    def tar(self, root: bytes, paths: Sequence[bytes]) -> tuple[dict[bytes, tuple[bytes, float]], list[Problem]]:
        """path -> (content, mtime in seconds) as CPython's reader sees it, and the problems."""
        token = wire.new_token()
        out, err = self.run(wire.tar_request(token, root, paths) + wire.quit_request())
        problems = wire.read_problems(finished(token, err))
        assert len(out) % 512 == 0
        assert out.endswith(bytes(1024)) or not out
        got: dict[bytes, tuple[bytes, float]] = {}
        if out:
            with tarfile.open(fileobj=io.BytesIO(out), ignore_zeros=True, errors="surrogateescape") as archive:
                for member in archive:
                    assert member.isreg(), member
                    content = archive.extractfile(member)
                    assert content is not None
                    name = os.fsencode(member.name).removeprefix(b"./")
                    assert name not in got
                    got[name] = content.read(), float(member.mtime)
        return got, problems

    def purge(self, root: bytes, items: Sequence[PurgeItem]) -> list[PurgeResult]:
        results = wire.PurgeAnswers(items).take(self.ask(lambda t: wire.purge_request(t, root, items)))
        assert {r.item.path for r in results} == {i.path for i in items}
        return results

    def outcome(self, root: bytes, item: PurgeItem) -> PurgeOutcome:
        return self.purge(root, [item])[0].outcome

    def settle(self, root: bytes, items: Sequence[tuple[bytes, bytes]]) -> dict[bytes, str]:
        return wire.read_settled(self.ask(lambda t: wire.settle_request(t, root, items)), items)

    def rmdir(self, root: bytes, folders: Sequence[bytes]) -> list[bytes]:
        return wire.read_removed(self.ask(lambda t: wire.rmdir_request(t, root, folders)), folders)

    def as_nobody(self) -> Agent:
        """The same as a user without rights; whoever is not root already is one."""
        return replace(self, nobody=os.geteuid() == 0)


def finished(token: bytes, data: bytes) -> list[bytes]:
    parser = wire.RecordParser(token)
    records = parser.feed(data)
    parser.require_finished()
    assert parser.noise == b""
    return records


def python_agent(*, source: Callable[[bytes], bytes] = lambda code: code) -> Agent:
    start = wire.start_python("/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable)
    code = source(start.preamble.partition(b"\n")[2])
    start = wire.Start(start.scanner, start.argv, b"%d\n" % len(code) + code)
    return Agent("python", start, start.argv, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"})


def shell_agent(name: str, shell: Sequence[str], path: str) -> Agent:
    start = wire.start_sh()
    return Agent(name, start, (*shell, *start.argv[1:]), {"PATH": path, "TAR_OPTIONS": "--bogus", "CDPATH": "/"})


def bare(code: bytes) -> bytes:
    for have, lack in (
        (b"import ctypes", b"raise ImportError"),
        (b"os.link(", b"refuse("),
        (b"os.sendfile(", b"refuse("),
    ):
        assert code.count(have) == 1
        code = code.replace(have, lack)
    return b"def refuse(*a, **k):\n    raise OSError(22, 'refused')\n\n" + code


def put(root: Path, name: bytes, content: bytes = b"content", mtime_ns: int = OLD) -> bytes:
    full = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(content)
    os.utime(full, ns=(mtime_ns, mtime_ns))
    return full


def wanted(name: bytes, content: bytes = b"content", mtime_ns: int = OLD, *, exact: bool = True) -> PurgeItem:
    private = b".media-sync-" + os.urandom(16).hex().encode()
    return PurgeItem(name, len(content), mtime_ns, exact, hashlib.sha256(content).digest(), private)


def names(root: Path) -> set[bytes]:
    """Everything under the root, folders included."""
    top = os.fsencode(root)
    return {
        os.path.relpath(os.path.join(folder, name), top)
        for folder, below, here in os.walk(top)
        for name in (*below, *here)
    }
