"""A sink that is a file: a line of JSON for each record that it is told. The last line of a key is how its file is.

Options: `path`, from the root. The file may be moved away at any time, and a new one is begun. A line is whole, or it
is cut off again when the next one comes: a reader may see the beginning of one only while it is being written.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.config import Wrong, quoted
from sidecar.ingest import options as given
from sidecar.ingest.base import MediaIngest, Record, SinkDown

_PATH_HINT = "write it like path: /state/records.jsonl"
_BEGIN = b'{"event": "'  # of every line
_TAIL = 1 << 16  # bytes that are looked at together for the last line's beginning


def sink(options: Mapping[str, str]) -> MediaIngest:
    """The factory. Raises ConfigError."""
    given.only(options, ("path",))
    return JsonLines(given.required(options, "path", _path, _PATH_HINT))


def _path(text: str) -> Path:
    if not text.startswith("/") or text.endswith("/") or "\0" in text:
        raise Wrong(f"{quoted(text)} is not a file's full path", _PATH_HINT)
    return Path(text)


class JsonLines:
    """Appends to one file, which nobody else may write meanwhile. Durable when a call returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def open(self) -> None:
        """Look whether the file can be written, and is ours. Raises SinkDown."""
        await asyncio.to_thread(self._append, b"")

    async def ingest(self, batch: Sequence[Record]) -> None:
        """A line for each. Raises SinkDown."""
        await asyncio.to_thread(self._append, _lines("ingest", batch))

    async def retract(self, batch: Sequence[Record]) -> None:
        """A line for each, as for `ingest`: its state says what became of the original. Raises SinkDown."""
        await asyncio.to_thread(self._append, _lines("retract", batch))

    async def close(self) -> None:
        """Nothing is kept open."""

    def _append(self, lines: bytes) -> None:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise self._down(error) from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SinkDown(f"{self._path} is no regular file", hint="name another path")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = os.pread(fd, len(_BEGIN), 0)
            if head != _BEGIN[: len(head)]:
                raise SinkDown(f"{self._path} holds something else", hint="name another path; it was left as it is")
            size = _whole(fd)
            try:
                _write(fd, lines)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            if size == 0:
                _sync_folder(self._path.parent)
        except OSError as error:
            raise self._down(error) from error
        finally:
            os.close(fd)

    def _down(self, error: OSError) -> SinkDown:
        if isinstance(error, BlockingIOError):
            return SinkDown(f"{self._path} is in use by another process", hint="give each its own file")
        return SinkDown(f"{self._path} cannot be written: {(error.strerror or str(error)).lower()}",
                        hint="check the folder, its owner and free space")  # fmt: skip


def _lines(what: str, batch: Sequence[Record]) -> bytes:
    return b"".join(json.dumps({"event": what, **one.as_json()}).encode() + b"\n" for one in batch)


def _whole(fd: int) -> int:
    """Cut off a last line that was not written to its end, which is told again. Answers the size that stays."""
    size = os.fstat(fd).st_size
    at = size
    while at > 0:
        begin = max(0, at - _TAIL)
        newline = os.pread(fd, at - begin, begin).rfind(b"\n")
        if newline >= 0:
            at = begin + newline + 1
            break
        at = begin
    if at != size:
        os.ftruncate(fd, at)
    return at


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
