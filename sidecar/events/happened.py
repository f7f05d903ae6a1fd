"""What happened, as frozen values. Anyone may make them; `sidecar.events.bus` brings them to others."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from dataclasses import field
from typing import Literal

from sidecar.jobs.job import JobView
from sidecar.values import dataclass

_PROCESS = os.urandom(6).hex()
_NUMBERS = itertools.count(1)
Outcome = Literal["good", "missing", "damaged", "given_up"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a job of a source; "" where there is none. `at_ns` is when, in ns since the epoch."""

    job: str
    source: str
    number: int = field(init=False, repr=False, compare=False)
    at_ns: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", next(_NUMBERS))
        object.__setattr__(self, "at_ns", time.time_ns())

    @property
    def id(self) -> str:
        """Its own, and the same for everybody who is told of it."""
        return f"{_PROCESS}-{self.number:x}"


@dataclass(frozen=True, slots=True)
class FileEvent(Event):
    """Something that happened to a file. `path` is relative to its `root` in the source, both bytes; sizes in bytes."""

    root: bytes
    path: bytes

    @property
    def correlation(self) -> str:
        """Ties together what is told of one file, in one job (by `job` besides) and in all others.

        It is made of source, root and path, and so known to everybody who knows the file. A generator that gives a
        name again gives its correlation again; `sha256` tells the two apart.
        """
        place = b"\0".join((self.source.encode(), self.root, self.path))
        return hashlib.blake2b(place, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class FileDiscovered(FileEvent):
    """A scan found a file that is not in the library as it is now, and it is going to be pulled."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FileStored(FileEvent):
    """A file is in the library, durable and recorded. `library_path` is relative to the library.

    `duplicate`: its content was there before, and takes no room. `incomplete` is what it lacks, None when it is whole.
    """

    library_path: bytes
    sha256: bytes
    size: int
    duplicate: bool
    incomplete: str | None


@dataclass(frozen=True, slots=True)
class FileSkipped(FileEvent):
    """A file is none that is pulled. Told when that is news, and not in each pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class FileFailed(FileEvent):
    """A file could not be stored in this pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class FileVerified(FileEvent):
    """A copy was read again from the disk. `reason` is what is wrong with it, "" when it is what was stored.

    `given_up`: missing, because somebody deleted it on purpose and said so.
    """

    library_path: bytes
    sha256: bytes
    size: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class PurgePlanned(FileEvent):
    """An original is old enough, and on record; a purge will have it prove itself, and then delete it.

    In a dry run that is all.
    """

    size: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class FilePurged(FileEvent):
    """An original was deleted."""

    size: int


@dataclass(frozen=True, slots=True)
class FileKept(FileEvent):
    """An original was to be deleted and was not, because it did not prove what it should."""

    reason: str


@dataclass(frozen=True, slots=True)
class FileRestored(FileEvent):
    """An original that an interrupted purge had moved away is back under its own name."""


@dataclass(frozen=True, slots=True)
class MetadataRead(FileEvent):
    """A stored file was looked into. `job` is "": it is nobody's. A content that has many places is told of once."""

    library_path: bytes
    sha256: bytes
    problems: tuple[str, ...]
    thumbnail: bool


@dataclass(frozen=True, slots=True)
class SinkTold(Event):
    """A sink was told of files, or could not be: how it stands now. `job` and `source` are "".

    `told` and `refused` are how many files it took and would not take just now, `backlog` how many changes wait.
    """

    sink: str
    up: bool
    backlog: int
    told: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class SourceRead(Event):
    """Reads of a source have ended. `received` are the bytes that came over the wire.

    `froze` has, for each read that held the engine's lock on a running container, for how long, in seconds.
    """

    received: int
    froze: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class JobChanged(Event):
    """A job was queued, began, was joined by another request, or ended. `source` is "": a job may have many."""

    view: JobView


@dataclass(frozen=True, slots=True)
class JobDone(Event):
    """A job ended well, and did something or was asked for. `source` is ""."""

    view: JobView


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    """A job did not come to its end, or left something undone. `source` is ""."""

    view: JobView


@dataclass(frozen=True, slots=True)
class PurgeDone(Event):
    """A job deleted originals, or could not. `source` is ""."""

    view: JobView


@dataclass(frozen=True, slots=True)
class SourceChanged(Event):
    """Discovery found a source that was not there, lost one, or found it in another state. `job` is "".

    `change` is `found`, `gone` or `changed`; `state` is its container's, "" where there is none any more.
    """

    change: Literal["found", "gone", "changed"]
    state: str


@dataclass(frozen=True, slots=True)
class SourceSlowed(Event):
    """A source keeps failing: passes leave it alone until `until_ns`. `until_ns` 0 says that it works again."""

    failures: int
    until_ns: int
    reason: str
