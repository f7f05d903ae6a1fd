"""Values that go into the manifest and come out of it. Times in ns since the epoch, sizes in bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from sidecar.models import FileStat, Mark, Problem, shown
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class SourceKey:
    """A source in its present generation, as the manifest numbers them."""

    source_id: int
    generation_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose original was there at the last look. `library_path` is relative to the library."""

    file_id: int
    size: int
    mtime_ns: int
    inode: int
    exact: bool
    generation_id: int
    hash: bytes
    library_path: bytes
    stored_ns: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that was not settled at the last look.

    `since_ns`: when this same stat was first seen, by the source's clock. `fetched`: its bytes were read once and
    found without their end, so reading them again before anything changes is of no use.
    """

    size: int
    mtime_ns: int
    inode: int
    since_ns: int
    fetched: bool
    reason: str


@dataclass(frozen=True, slots=True)
class MarkedFolder:
    """A folder of which nothing is left to do while its mark stays; `skipped` are the files in it that are no media."""

    mark: Mark
    skipped: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Marks:
    """What is held of one root: marked folders, and when it was last listed in full, by this program's clock."""

    folders: Mapping[bytes, MarkedFolder] = field(default_factory=dict)
    full_ns: int | None = None


@dataclass(frozen=True, slots=True)
class NewFile:
    """One stored file to record. `incomplete` says what is missing from it, None when it is whole."""

    stat: FileStat
    hash: bytes
    library_path: bytes
    kind: str
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class OpenPurge:
    """A purge whose outcome was never recorded: the run that intended it was interrupted."""

    purge_id: int
    file_id: int
    path: bytes
    private: bytes
    uid: int
    gid: int
    generation_id: int


@dataclass(frozen=True, slots=True)
class Item:
    """One line of `list`: a file that is, or was, in a source, and its copy. `recipe` is JSON, None when unknown."""

    file_id: int
    hash: bytes
    source: str
    path: bytes
    library_path: bytes
    size: int
    mtime_ns: int
    state: str
    kind: str
    incomplete: str | None
    recipe: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The shape that `list --json` and the API share; names that are no text are percent-encoded."""
        return {
            "hash": self.hash.hex(),
            "source": self.source,
            "path": shown(self.path),
            "library_path": shown(self.library_path),
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "state": self.state,
            "kind": self.kind,
            "incomplete": self.incomplete,
            "metadata": None if self.recipe is None else json.loads(self.recipe),
        }


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job. `ok` is None until it ended; `started_ns` is None while it waits, and for one that never began.

    `number` grows from one job to the next; `sources` is empty for all; `state` is one of sidecar.jobs.job.
    """

    id: str
    action: str
    cause: str
    started_ns: int | None
    ended_ns: int | None
    ok: bool | None
    report: str | None
    number: int = 0
    state: str = ""
    queued_ns: int = 0
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceTotals:
    """What the manifest holds of one source."""

    name: str
    kind: str
    transport: str
    container: str
    stored: int
    purged: int
    vanished: int
    waiting: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one road of one engine was learned to cost: seconds to start, for each byte, for each file.

    Read back as it lies in the table: whoever uses it decides whether to believe it.
    """

    road: str
    start: float
    per_byte: float
    per_file: float
    seen: int
    learned_ns: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file and its copy as they were recorded. `stored`: the original was still there at the last look.

    `given_up`: somebody said that the copy was deleted on purpose.
    """

    file_id: int
    root: bytes
    path: bytes
    library_path: bytes
    hash: bytes
    size: int
    stored: bool
    given_up: bool = False
