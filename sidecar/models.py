"""Frozen values that travel between the rooms. They import nothing of this package.

Paths inside a source are bytes, relative to their root, with `/` between parts and no leading `/`: Linux file names
are bytes, and generators are made to write names that are not UTF-8. `shown()` is the only way they become text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from urllib.parse import quote_from_bytes

from sidecar.values import dataclass

NS = 1_000_000_000
INODE_BITS = (1 << 63) - 1  # of an inode number, what SQLite holds and so a scan keeps


def shown(path: bytes) -> str:
    """A path as text for people, logs and JSON: printable UTF-8 as it is, any other name percent-encoded.

    A name that is encoded has its own `%` encoded, too, so that decoding it gives the bytes back. ComfyUI's literal
    `%date:...%` folders are plain text and stay as they are.

    >>> shown(b"a b.png"), shown(b"caf\\xe9.png"), shown(b"100%\\n.png"), shown(b"%date:yyyy%.png")
    ('a b.png', 'caf%E9.png', '100%25%0A.png', '%date:yyyy%.png')
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(path, safe=b"/ ~!@$&'()*+,;=:[]{}#^`|<>?\"\\")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() and c != "%" else quote_from_bytes(c.encode()) for c in text)


def clamped(ns: int) -> int:
    """A time that SQLite and the file system can hold: what lies beyond 64 bits is brought to the nearest that does."""
    return max(-(1 << 63), min(ns, (1 << 63) - 1))


class FileType(StrEnum):
    """What a scan found under a name."""

    FILE = "f"
    DIRECTORY = "d"
    LINK = "l"
    OTHER = "o"


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a scan knows of one name. Sizes in bytes, `mtime_ns` in ns since the epoch.

    `exact` is false where the scanner knows mtime to the second only (archive headers, busybox without nanoseconds);
    `inode`, `device`, `uid`, `gid` and `mode` are -1 where it cannot know them.
    """

    path: bytes
    size: int
    mtime_ns: int
    inode: int = -1
    uid: int = -1
    gid: int = -1
    mode: int = -1
    nlink: int = 1
    type: FileType = FileType.FILE
    exact: bool = True
    device: int = -1

    def readable_by(self, uid: int) -> bool:
        """Whether a process of that user may read it, as far as mode and owner tell; groups get the benefit."""
        if uid <= 0 or self.mode < 0 or self.uid < 0:
            return True
        return bool(self.mode & 0o400) if self.uid == uid else bool(self.mode & 0o044)

    def same_as(self, other: FileStat) -> bool:
        """Whether both describe the same unchanged file, as far as the less exact of the two can tell."""
        return same_stat(self.size, self.mtime_ns, self.inode, other.size, other.mtime_ns, other.inode,
                         exact=self.exact and other.exact)  # fmt: skip


def same_stat(size: int, mtime_ns: int, inode: int, size2: int, mtime2_ns: int, inode2: int, *, exact: bool) -> bool:
    """The one comparison that decides "unchanged": size, mtime (to the second when not exact), inode where known."""
    if size != size2 or (inode != inode2 and inode >= 0 and inode2 >= 0):
        return False
    return mtime_ns == mtime2_ns if exact else mtime_ns // NS == mtime2_ns // NS


@dataclass(frozen=True, slots=True)
class Problem:
    """One file or folder that could not be handled, and why."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What a scanner says of one folder's own names; folders in it have marks of their own.

    `digest` stands for the names and stats of everything in it that is no folder: while it stays, a list would show
    nothing new. `shape` stands for the folder itself, its times and the bare names in it, and is b"" where those prove
    nothing. `names` counts what is no folder. `since_ns` is when the scan began, by the source's clock: what is new in
    the folder has a later ctime. 0 asks for a list of all names whenever there is a new one.
    """

    digest: bytes
    shape: bytes
    names: int
    since_ns: int = 0


@dataclass(frozen=True, slots=True)
class Basis:
    """What a scan need not say again: marks by folder. A folder whose `shape` is given may be told the same by that.

    `quiet_ns` is how long a folder and all that is in it must have been left alone before a shape is made of it.
    """

    marks: Mapping[bytes, Mark]
    quiet_ns: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything under a root at one moment.

    `now_ns` is the source's own clock, ns since the epoch. `problems` are the folders and files that could not be
    listed: their absence from `entries` means nothing. `owner` is (uid, gid) of the root, (-1, -1) where unknown.
    `received` are the bytes that came with the list, whole archives where nothing less can be read. `scanner` names how
    it was made: `python`, `sh`, `archive`, `local`, `ssh`. Where a basis was given, `same` are the folders that are as
    their mark there says, of which only the folders in them are among `entries`; `marks` are those of others. `grown`
    are those among them where all is still there as the basis has it, and of which only what is new is listed. `froze`
    is for how long the list held the engine's lock on a running container, in seconds.
    """

    root: bytes
    entries: tuple[FileStat, ...]
    now_ns: int
    scanner: str
    problems: tuple[Problem, ...] = ()
    owner: tuple[int, int] = (-1, -1)
    agent_uid: int = -1
    received: int = 0
    marks: Mapping[bytes, Mark] = field(default_factory=dict)
    same: Mapping[bytes, Mark] = field(default_factory=dict)
    grown: frozenset[bytes] = frozenset()
    froze: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A watch saw a file that was closed after writing, moved in, or linked; `stat` is what it was a moment later."""

    stat: FileStat


@dataclass(frozen=True, slots=True)
class Standing:
    """A watch covers every folder from now on; what happened before is for a scan to find. `how` is `inotify` or
    `poll`.
    """

    how: str
    folders: int


@dataclass(frozen=True, slots=True)
class Overflow:
    """More happened than the source's kernel could remember: some of it was lost. A `Standing` follows."""


@dataclass(frozen=True, slots=True)
class Alive:
    """A watch's sign of life, every few seconds. `now_ns` is the source's own clock, ns since the epoch."""

    now_ns: int


Sight = Seen | Standing | Overflow | Alive | Problem  # a Problem is a folder that cannot be watched


class Road(StrEnum):
    """How bytes travel: a folder's archive, one file's archive, or the agent's stream of a list of files."""

    FOLDER = "folder"
    FILE = "file"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One bounded read. `folder` is set for Road.FOLDER, relative to the root (b"" is the root itself)."""

    road: Road
    files: tuple[FileStat, ...]
    folder: bytes = b""


@dataclass(frozen=True, slots=True)
class PurgeItem:
    """One original to delete, and what it must still be at that moment. `sha256` is the 32-byte digest.

    `private` is the name, without a folder, that the file is moved to before it is hashed and unlinked.
    """

    path: bytes
    size: int
    mtime_ns: int
    exact: bool
    sha256: bytes
    private: bytes


class PurgeOutcome(StrEnum):
    """What became of one original."""

    PURGED = "purged"
    CHANGED = "changed"  # size, mtime or SHA-256 differed: moved back under its own name
    GONE = "gone"  # was not there any more
    DENIED = "denied"  # the agent may not move or delete it
    STRANDED = "stranded"  # differed, but its name was taken meanwhile: kept under the private name
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """The agent's word on one item."""

    item: PurgeItem
    outcome: PurgeOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do with a source now. Optional ability is a field here, never a stub method.

    `why_not_purge` is a reason (`not running`, `no shell`, ...) where `purge` is false. `engine` tells one engine, in
    one version, from others that take other times for the same reads; "" where nothing can be learned of it.
    """

    scanner: str
    roads: frozenset[Road]
    purge: bool = False
    why_not_purge: str = ""
    reads_lock: bool = True  # whether FOLDER and FILE reads hold a lock that freezes the generator
    engine: str = ""
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator and a container's labels decided for one source. Ages in ns, patterns as globs."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()
    older_than_ns: int = 24 * 3600 * NS
    purge: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One generator whose output is pulled, resolved to what is there now.

    `generation` is the container's ID (or another token that changes when the source is made anew). `mounts` are the
    types of the roots' mounts: `layer`, `volume`, `bind`, `tmpfs`; "" where it does not apply. `places` tell where each
    root really lies, so that two sources that see one folder are noticed.
    """

    name: str
    kind: str
    transport: str
    generation: str
    container: str
    roots: tuple[bytes, ...]
    state: str
    rules: Rules = field(default_factory=Rules)
    mounts: tuple[str, ...] = ()
    group: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A container that could have been a source, or a source that could not be resolved, and why it is not one."""

    name: str
    container: str
    reason: str
    hint: str = ""
    faulty: bool = False  # true: somebody asked for this one, so its absence is an error and not a choice


class Verdict(StrEnum):
    """How a check of `doctor` ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that `doctor` looked at. `error` is the one that a run would end with."""

    name: str
    verdict: Verdict
    detail: str
    hint: str = ""
    error: Exception | None = None
