"""Write into, run in and look at a stand-in, byte by byte: names are bytes and may hold anything but NUL."""

from __future__ import annotations

import calendar
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from docker.models.containers import Container
from docker.utils.socket import frames_iter

NS = 1_000_000_000
BLOCK = 512
HOLD = ["/bin/sh", "-c", 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done']
"""A command that lives until it is told to stop, and then ends at once, as a generator does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to write, relative to a folder. A path that ends in `/` is a folder.

    `link` makes it a symlink, `hard` a hard link to an earlier entry (relative to the same folder).
    """

    path: bytes
    data: bytes = b""
    mtime_ns: int = -1
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: bytes | None = None
    hard: bytes | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a program in the container said and how it ended."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """One name as the container's own stat shows it: size in bytes, times in ns since the epoch."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    uid: int
    gid: int
    nlink: int

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


class ExecFailed(AssertionError):
    """A program in the container ended with another code than 0."""


def run(container: Container, argv: Sequence[str], *, stdin: bytes = b"", user: str = "0", check: bool = True) -> Done:
    """Run a program in a running container. `stdin` is sent whole and then closed; output comes back unmixed."""
    api = container.client.api  # type: ignore[union-attr]
    exec_id = api.exec_create(container.id, list(argv), stdin=bool(stdin), user=user)["Id"]
    out, err = bytearray(), bytearray()
    if stdin:
        wire: Any = api.exec_start(exec_id, socket=True)
        try:
            raw: socket.socket = getattr(wire, "_sock", wire)
            raw.sendall(stdin)
            raw.shutdown(socket.SHUT_WR)
            for stream, data in frames_iter(wire, tty=False):  # type: ignore[no-untyped-call]
                (err if stream == 2 else out).extend(data)
        finally:
            wire.close()
    else:
        for said, complained in api.exec_start(exec_id, stream=True, demux=True):
            out.extend(said or b"")
            err.extend(complained or b"")
    code = int(api.exec_inspect(exec_id)["ExitCode"])
    if check and code != 0:
        raise ExecFailed(f"{argv!r} ended with {code}: {bytes(err or out)[-500:]!r}")
    return Done(code, bytes(out), bytes(err))


def put(container: Container, folder: str, entries: Iterable[Entry]) -> None:
    """Write files under an existing folder in one request; folders between are made. tmpfs mounts are out of reach.

    A file that is there is replaced (new inode). Works in a stopped container and without a shell.
    """
    if not container.put_archive(folder, archive(entries)):
        raise ExecFailed(f"the engine did not take the archive for {folder}")


def archive(entries: Iterable[Entry]) -> bytes:
    """A pax tar by hand, because names must arrive byte for byte and mtimes with their nanoseconds."""
    out, known = bytearray(), {b""}
    now = time.time_ns()
    for entry in entries:
        folder = entry.path.endswith(b"/")
        parts = entry.path.rstrip(b"/").split(b"/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = b"/".join(parts[:depth])
            if parent not in known:
                known.add(parent)
                out += _header(Entry(parent, mode=0o755, uid=entry.uid, gid=entry.gid, mtime_ns=now), b"5")
        kind = b"5" if folder else b"2" if entry.link is not None else b"1" if entry.hard is not None else b"0"
        out += _header(replace(entry, mode=entry.mode | 0o111) if folder else entry, kind)
        if kind == b"0":
            out += entry.data + bytes(-len(entry.data) % BLOCK)
    return bytes(out + bytes(2 * BLOCK))


def _header(entry: Entry, kind: bytes) -> bytes:
    mtime_ns = entry.mtime_ns if entry.mtime_ns >= 0 else time.time_ns()
    target = entry.link if entry.link is not None else entry.hard or b""
    records = _record(b"path", entry.path) + _record(b"mtime", b"%d.%09d" % divmod(mtime_ns, NS))
    if target:
        records += _record(b"linkpath", target)
    size = len(entry.data) if kind == b"0" else 0
    return (
        _block(b"pax", len(records), 0o644, 0, 0, 0, b"x", b"")
        + records
        + bytes(-len(records) % BLOCK)
        + _block(entry.path[:99], size, entry.mode, entry.uid, entry.gid, mtime_ns // NS, kind, target[:99])
    )


def _record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    while size != (full := len(b"%d" % size) + len(key) + len(value) + 3):
        size = full
    return b"%d %s=%s\n" % (size, key, value)


def _block(name: bytes, size: int, mode: int, uid: int, gid: int, mtime: int, kind: bytes, link: bytes) -> bytes:
    head = b"%-100s%07o\0%07o\0%07o\0%011o\0%011o\0" % (b"", mode, uid, gid, size, mtime)
    block = bytearray(name.ljust(100, b"\0") + head[100:] + b" " * 8 + kind + link.ljust(100, b"\0") + b"ustar\x0000")
    block += bytes(BLOCK - len(block))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def remove(container: Container, folder: str, paths: Iterable[bytes]) -> None:
    """Delete files under `folder`; those that are not there are no error."""
    _each(container, folder, paths, "xargs -0 rm -rf --")


def age(container: Container, folder: str, seconds: float, paths: Iterable[bytes] | None = None) -> None:
    """Make files older than they are: mtime `seconds` before now, whole seconds. All regular files when none named."""
    stamp = f"@{int(time.time() - seconds)}"
    if paths is None:
        run(container, ["sh", "-c", 'find "$1" -type f -print0 | xargs -0 touch -c -d "$2" --', "-", folder, stamp])
    else:
        _each(container, folder, paths, f'xargs -0 touch -c -d "{stamp}" --')


def _each(container: Container, folder: str, paths: Iterable[bytes], command: str) -> None:
    names = b"".join(b"./" + path + b"\0" for path in paths)
    if names:
        run(container, ["sh", "-c", f'cd "$1" && head -c "$2" | {command}', "-", folder, str(len(names))], stdin=names)


def append(container: Container, path: str, data: bytes, *, user: str = "0") -> None:
    """Add bytes to the end of a file in place (made when absent), as a generator that is still writing does."""
    run(container, ["sh", "-c", 'head -c "$2" >> "$1"', "-", path, str(len(data))], stdin=data, user=user)


LOOK = """cd "$1" || exit 1
find . -print0
printf '\\0'
find . -print0 | xargs -0 stat -c '%f %s %i %u %g %h|%y|%z'"""


def look(container: Container, folder: str) -> dict[bytes, Seen]:
    """Everything under `folder` (and itself, as b"."), seen by the container's own stat, for before and after."""
    listed, _, stats = run(container, ["sh", "-c", LOOK, "-", folder]).out.rpartition(b"\0\0")
    names = listed.split(b"\0")
    lines = stats.splitlines()
    if len(names) != len(lines):
        raise ExecFailed(f"{folder} changed while it was looked at: {len(names)} names, {len(lines)} stats")
    return {name.removeprefix(b"./"): _seen(line) for name, line in zip(names, lines, strict=True)}


def _seen(line: bytes) -> Seen:
    numbers, mtime, ctime = line.split(b"|")
    mode, size, inode, uid, gid, nlink = numbers.split()
    return Seen(int(mode, 16), int(size), _ns(mtime), _ns(ctime), int(inode), int(uid), int(gid), int(nlink))


def _ns(text: bytes) -> int:
    """`2026-01-31 10:20:30.123456789 +0000` as ns; containers of this rig run in UTC."""
    day, clock, _zone = text.decode().split()
    whole, _, part = clock.partition(".")
    seconds = _seconds(f"{day} {whole}")
    return seconds * NS + int((part or "0").ljust(9, "0"))


def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S"))
