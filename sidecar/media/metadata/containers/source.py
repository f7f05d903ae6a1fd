"""A file to be read by its structure, and what is found in it: every bound on bytes and steps is here."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from sidecar.errors import MediaSyncError
from sidecar.media.metadata.model import Contents, Text
from sidecar.media.metadata.values import words

MOST_TEXT = 8 << 20
"""Bytes of one text; large ComfyUI workflows have one or two million. What is longer is named and passed over."""
_MOST_TEXTS = 2 * MOST_TEXT  # bytes of all texts of a file together
_MOST_READS = 50_000  # a few hundred are usual; a file of empty parts would ask for one every few bytes


Readable = str | bytes | os.PathLike[str] | os.PathLike[bytes] | BinaryIO | io.RawIOBase
"""A path, or a seekable file open for reading."""


class Broken(MediaSyncError):
    """The file's structure cannot be followed any further."""


class Source:
    """Random access to a file's bytes. Memory is what one read asks for, at most MOST_TEXT and a little."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = file
        self._reads = 0
        self.size = file.seek(0, os.SEEK_END)

    def upto(self, at: int, count: int) -> bytes:
        """At most `count` bytes from `at` on; fewer where the file ends. Raises Broken when asked too much."""
        self._reads += 1
        if self._reads > _MOST_READS:
            raise Broken(f"more than {_MOST_READS} parts")
        if count > MOST_TEXT + 64:
            raise Broken(f"a part of {count} bytes")
        self._file.seek(at)
        data = self._file.read(count) or b""
        while len(data) < count:  # an unbuffered read may stop short of the end
            more = self._file.read(count - len(data))
            if not more:
                break
            data += more
        return data

    def exactly(self, at: int, count: int) -> bytes:
        """`count` bytes from `at` on. Raises Broken where the file ends before."""
        data = self.upto(at, count)
        if len(data) < count:
            raise Broken(f"the file ends at byte {self.size}, within a part")
        return data


class Findings:
    """What one file was found to hold, gathered as it is read, so that a broken end costs nothing of the rest."""

    def __init__(self, form: str) -> None:
        self.format = form
        self._texts: list[Text] = []
        self._problems: list[str] = []
        self._size: tuple[int, int] | None = None
        self._left = _MOST_TEXTS

    def room(self, key: str, origin: str, count: int) -> bool:
        """Whether a text of `count` bytes may still be read; where not, that becomes a problem of the file."""
        if count > MOST_TEXT:
            self.problem(f"{origin} {key}: {count} bytes are more than the {MOST_TEXT} that are read")
        elif count > self._left:
            self.problem(f"{origin} {key}: more text than the {_MOST_TEXTS} bytes that are read of one file")
        else:
            return True
        return False

    def spend(self, count: int) -> None:
        """Bytes that were made on the way to a text, kept or not, count as read."""
        self._left -= count

    def add(self, key: str, value: str, origin: str) -> None:
        """A text was found."""
        if self.room(key, origin, len(value)):
            self.spend(len(value))
            self._texts.append(Text(words(key) or "", words(value) or "", origin))

    def problem(self, line: str) -> None:
        """Something could not be read."""
        if len(self._problems) < 20 and line not in self._problems:
            self._problems.append(words(line) or "")

    def measure(self, width: int, height: int) -> None:
        """The size in pixels; of several the largest."""
        if width * height > (self._size[0] * self._size[1] if self._size else 0):
            self._size = (width, height)

    def done(self) -> Contents:
        """The finished value."""
        return Contents(self.format, self._size, tuple(self._texts), tuple(self._problems))


def decoded(data: bytes) -> str:
    """UTF-8, which most writers mean, or latin-1, which is what the others meant."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
