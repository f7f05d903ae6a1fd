"""Values of what sinks are to be told, and of how they stand. Times in ns since the epoch."""

from __future__ import annotations

from sidecar.manifest.findings import Finding
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """A file that a sink is to be told of: `seq` is its change's, or 0 where there is none; `ended` that it went.

    The rest is how the file is now. Paths are bytes, times ns since the epoch.
    """

    seq: int
    ended: bool
    file_id: int
    hash: bytes
    source: str
    root: bytes
    path: bytes
    library_path: bytes
    size: int
    mtime_ns: int
    stored_ns: int
    state: str
    kind: str
    incomplete: str | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class Told:
    """What became of telling a file: None when the sink has it, else why it refused."""

    file_id: int
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """Files from behind `at` up to `upto` are still to be told of, by number."""

    at: int
    upto: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked to tell a sink besides what happens: when the refused were asked for, and the backfill."""

    again_ns: int | None = None
    filling: Backfill | None = None


@dataclass(frozen=True, slots=True)
class SinkRow:
    """How a sink stands. `backlog` are changes that it was not told of, `unfilled` older files that only a backfill
    tells it of, `refused` files that it would not take; `problem` is what keeps it from being told, since `problem_ns`.
    """

    name: str
    backlog: int = 0
    refused: int = 0
    unfilled: int = 0
    asked: Asked = Asked()
    told: int = 0
    told_ns: int | None = None
    problem: str | None = None
    problem_ns: int | None = None
