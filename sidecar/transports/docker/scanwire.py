"""What is asked of agents about names and stats, and what their answers amount to: the verbs `scan` and `stat`.

A scan may bring marks (see `sidecar.models.Mark`): its fields are then a number of ns, how long a folder must have been
left alone before its shape is worth anything, and of each marked folder its path, digest and shape in hexadecimal
digits, `-` for none, and the ns since the epoch at which it was marked. An agent that knows marks answers each folder
by `mark DIGEST SHAPE NAMES FOLDER` behind the folder's entries; by `same ...` of that form in place of those that are
no folders; by `more ...` behind new ones, in place of those that the digest stood for. Others list as if none were
sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sidecar.errors import StreamBroken
from sidecar.models import NS, Basis, FileStat, FileType, Mark, Problem, Scan, clamped
from sidecar.transports.docker.wire import LEAD, UNSAFE_PATH, dotted, read_problems, request


def scan_request(token: bytes, root: bytes, basis: Basis | None = None) -> bytes:
    """Answered by records for `read_scan`; with a basis (also an empty one) marks come with them."""
    if basis is None:
        return request("scan", token, root)
    fields = [b"%d" % basis.quiet_ns]
    for folder, mark in basis.marks.items():
        fields += (dotted(folder), _hex(mark.digest), _hex(mark.shape), b"%d" % mark.since_ns)
    return request("scan", token, root, fields)


def _hex(data: bytes) -> bytes:
    return data.hex().encode() or b"-"


def stat_request(token: bytes, root: bytes, paths: Iterable[bytes]) -> bytes:
    """Answered by records for `read_stats`."""
    return request("stat", token, root, [dotted(path) for path in paths])


_NUMBERS = rb" (\d{1,20}) (\d{1,20}) (\d{1,10}) (\d{1,10}) (\d{1,10}) "
_ENTRY = re.compile(
    rb"e ([0-9a-f]{1,8}) (\d{1,19}) (-?)(\d{1,12})(?:\.(\d{9}))?" + _NUMBERS + rb"(?:\./)?(.*)", re.DOTALL
).fullmatch
_TEXT_ENTRY = re.compile(  # busybox: whole seconds by %Y, their fraction at the end of the text of %y
    rb"t ([0-9a-f]{1,8}) (\d{1,19}) (-?)(\d{1,12})"
    + _NUMBERS
    + rb"[-0-9]+ [0-9:]+\.(\d{9})(?: [-+]\d{4})? (?:\./)?(.*)",
    re.DOTALL,
).fullmatch
_TYPES = {0o100000: FileType.FILE, 0o040000: FileType.DIRECTORY, 0o120000: FileType.LINK}
_MAX_SIZE = (1 << 63) - 1
HELLO = re.compile(rb"hello (\d{1,10}) (\d{1,20}) (\d{1,10}) (\d{1,10}) [0-9,]*").fullmatch
_MARK = re.compile(rb"(mark|same|more) ([0-9a-f]{32}) ([0-9a-f]{32}|-) (\d{1,9}) (.*)", re.DOTALL).fullmatch


def parse_entry(record: bytes) -> FileStat:
    """An `e` or `t` record. Raises StreamBroken when it is not one; the path is not judged here.

    SQLite holds 64 bits with a sign: a time beyond them is clamped, of an inode number the lower 63 are kept.
    """
    found = _ENTRY(record)
    if found:
        mode, size, sign, sec, frac, device, inode, uid, gid, nlink, path = found.groups()
        part = int(frac) if frac else 0
        mtime = int(sec) * NS + part
        if sign:
            mtime = -mtime
    else:
        found = _TEXT_ENTRY(record)
        if not found:
            raise StreamBroken(f"the agent sent a malformed record: {record[:80]!a}")
        mode, size, sign, sec, device, inode, uid, gid, nlink, frac, path = found.groups()
        mtime = (-int(sec) if sign else int(sec)) * NS + int(frac)
    bits, length = int(mode, 16), int(size)
    if length > _MAX_SIZE:
        raise StreamBroken("the agent sent an impossible size")
    return FileStat(
        b"" if path == b"." else path,
        length,
        clamped(mtime),
        int(inode) & _MAX_SIZE,
        int(uid),
        int(gid),
        bits & 0o7777,
        int(nlink),
        _TYPES.get(bits & 0o170000, FileType.OTHER),
        frac is not None,
        int(device),
    )


class Entries:
    """Gathers entries, marks and problems from records, those of a scan or of a stat, while they come in."""

    def __init__(self, basis: Basis | None = None) -> None:
        self.found: dict[bytes, FileStat] = {}
        self.marks: dict[bytes, Mark] = {}
        self.same: dict[bytes, Mark] = {}
        self.grown: set[bytes] = set()
        self.problems: list[Problem] = []
        self.agent_uid = -1
        self.now_ns = 0
        self.received = 0
        self.has_news = False  # a folder is not as its mark says, or there are files and no marks at all
        self._basis = basis

    def take(self, records: Sequence[bytes]) -> None:
        """Raises StreamBroken for malformed records, RootMissing and ToolMissing when the agent says so."""
        found = self.found
        self.received += sum(map(len, records)) + LEAD * len(records)
        for record in records:
            if record[:2] not in (b"e ", b"t "):
                self._other(record)
                continue
            entry = parse_entry(record)
            path = entry.path
            if path and UNSAFE_PATH(path):
                self.problems.append(Problem(path, "not a path below the root"))
            elif path in found:
                self.problems.append(Problem(path, "listed twice"))
            else:
                found[path] = entry

    def _other(self, record: bytes) -> None:
        hello = HELLO(record)
        if hello:
            self.agent_uid, self.now_ns = int(hello[1]), clamped(int(hello[2]))
        elif self._basis is not None and record[:5] in (b"mark ", b"same ", b"more "):
            self._mark(record, self._basis)
        else:
            self.problems += read_problems([record])

    def _mark(self, record: bytes, basis: Basis) -> None:
        found = _MARK(record)
        if not found:
            raise StreamBroken(f"the agent sent a malformed record: {record[:80]!a}")
        word, digest, shape, names, folder = found.groups()
        mark = Mark(_unhex(digest), _unhex(shape), int(names), self.now_ns)
        if folder in self.marks or folder in self.same:
            raise StreamBroken("the agent sent two marks of one folder")
        asked = basis.marks.get(folder)
        if word == b"same":
            if asked is None or (asked.digest, asked.names) != (mark.digest, mark.names):
                raise StreamBroken("the agent vouches for a folder that it was not asked about")
            self.same[folder] = replace(mark, since_ns=asked.since_ns)
            return
        self.marks[folder] = mark
        self.has_news = self.has_news or (mark.names > 0 and (asked is not None or not basis.marks))
        if word == b"more":
            if asked is None or not asked.since_ns or asked.names >= mark.names:
                raise StreamBroken("the agent vouches for a folder that it was not asked about")
            self.grown.add(folder)


def _unhex(digits: bytes) -> bytes:
    return b"" if digits == b"-" else bytes.fromhex(digits.decode())


def read_scan(entries: Entries, root: bytes, scanner: str) -> Scan:
    """What a finished `scan` answer amounts to. The root itself is the entry with the path b"".

    Raises StreamBroken when it lacks its greeting or its root, or contradicts itself.
    """
    top = entries.found.get(b"")
    if not entries.now_ns or top is None:
        raise StreamBroken("the agent's scan has no beginning")
    for path, entry in entries.found.items() if entries.same else ():
        if entry.type is not FileType.DIRECTORY and path.rpartition(b"/")[0] in entries.same:
            raise StreamBroken("the agent lists a folder that it says is the same")
    return Scan(
        root=root,
        entries=tuple(entries.found.values()),
        now_ns=entries.now_ns,
        scanner=scanner,
        problems=tuple(entries.problems),
        owner=(top.uid, top.gid),
        agent_uid=entries.agent_uid,
        received=entries.received,
        marks=entries.marks,
        same=entries.same,
        grown=frozenset(entries.grown),
    )


def read_stats(entries: Entries, asked: Iterable[bytes]) -> dict[bytes, FileStat]:
    """What a finished `stat` answer says of the paths that were asked for; others are dropped."""
    return {path: entries.found[path] for path in asked if path in entries.found}
