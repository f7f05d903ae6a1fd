"""What the sync tests share: one stand-in pulled by the real program into a library that is then read from disk."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from generators import media

from tests.rig.generator import Generator
from tests.rig.program import Program, Result

TEMPORARY = b".media-sync-tmp-"
COUNTED = ("stored", "unchanged", "unsettled", "skipped", "failed")
LONE = {"MEDIA_SYNC_DOCKER__LABELS": "false"}  # labelled containers of others on this engine are none of our business


@cache
def png(seed: int) -> bytes:
    """A whole PNG; another one for each seed."""
    return media.tiny_png(seed)


def pngs(*names: str | bytes, seed: int = 0) -> dict[bytes, bytes]:
    """A whole PNG for each name, no two alike."""
    return {n.encode() if isinstance(n, str) else n: png(seed + at) for at, n in enumerate(names)}


@dataclass
class Pull:
    """The program with one source, `gen`, on one stand-in. `env` adds settings to every command."""

    cli: Program
    made: Generator
    root: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def command(self, *args: str) -> list[str]:
        """A command with this source, without the program's own common options."""
        return [*args, "--source", f"gen={self.made.name}:{self.root or self.made.root}"]

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Result:
        """Any command on this source."""
        return self.cli(*self.command(*args), env={**LONE, **self.env, **(env or {})})

    def sync(self, *, code: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One pass; the source's part of the report, after checking that every scanned file is accounted for."""
        done = self.run("sync", "--json", env=env)
        assert done.code == code, f"exit code {done.code}\n{done.err}\n{done.out}"
        (report,) = done.json["sources"]
        assert done.json["ok"] is (code == 0)
        whole = sum(not problem["path"] for problem in report["problems"])  # the source itself, not a file of it
        assert sum(report[key] for key in COUNTED) == report["scanned"] + whole, report
        named = len(report["problems"]) - report["incomplete"]
        assert named == report["unsettled"] + report["skipped"] + report["failed"], report
        return dict(report)

    def items(self) -> list[dict[str, Any]]:
        """What `list` says, all of it."""
        return list(self.run("list", "--json", "--limit", "10000").ok().json["items"])

    def library(self) -> dict[bytes, bytes]:
        """Every name in the source's folder of the library, with its bytes; only regular files may be there."""
        return dict(stored(self.cli))

    def stat(self, name: str | bytes) -> os.stat_result:
        """A copy's stat."""
        return os.lstat(library_path(self.cli, name))


def library_path(cli: Program, name: str | bytes = b"") -> bytes:
    """Where a copy of the source `gen` lies."""
    return os.path.join(os.fsencode(cli.library), b"gen", name.encode() if isinstance(name, str) else name)


def stored(cli: Program) -> Iterator[tuple[bytes, bytes]]:
    """Every name below the source's folder, and its bytes."""
    top = library_path(cli)
    for folder, folders, names in os.walk(top):
        for name in folders:
            assert stat.S_ISDIR(os.lstat(os.path.join(folder, name)).st_mode), name
        for name in names:
            path = os.path.join(folder, name)
            assert stat.S_ISREG(os.lstat(path).st_mode), path
            with open(path, "rb") as file:
                yield os.path.relpath(path, top), file.read()


def reasons(report: Mapping[str, Any]) -> dict[str, str]:
    """The reason given for each file that was not stored, or not stored whole."""
    return {problem["path"]: problem["reason"] for problem in report["problems"]}


def renamed(name: bytes, data: bytes) -> bytes:
    """The name that a second content gets: `name~<8 hex of hash>.ext`."""
    stem, _, ext = name.rpartition(b".")
    return stem + b"~" + hashlib.sha256(data).hexdigest()[:8].encode() + b"." + ext


def same_mtimes(pull: Pull, names: set[bytes]) -> None:
    """Copies have the originals' mtimes, to the nanosecond."""
    seen = pull.made.stats()
    assert {name: pull.stat(name).st_mtime_ns for name in names} == {name: seen[name].mtime_ns for name in names}
