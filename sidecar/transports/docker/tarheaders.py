"""What the 512-byte headers and pax records of tar say. Pure functions on bytes; tar.py does the reading.

Formats: v7, ustar (with prefix), star prefix, GNU (long names, base-256 numbers, sparse as such), pax (x and g).
Everything that is not well formed raises Malformed with a short text; nothing is guessed.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from enum import StrEnum

from sidecar.models import NS

BLOCK = 512
EXTENSIONS = frozenset(b"xgXLK")
SPARSE_MARK = b"GNU.sparse."
GNU_SPARSE = 0x53  # 'S'
_SIGNED = struct.Struct("148b8x356b")
_DECIMAL = re.compile(rb"(-?)(\d{1,20})(?:\.(\d{0,64}))?")
_WHOLE = re.compile(rb"-?\d{1,20}")
_OCTAL = b"01234567"
_KEPT = frozenset((b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid", b"GNU.sparse.name"))
# Links, devices, directories and FIFOs have no content whatever their size field says (POSIX ustar; GNU tar and
# tarfile agree). A writer of another mind desynchronises here, and the next checksum says so.
_NO_CONTENT = frozenset(b"123456")


class Malformed(Exception):
    """A header that cannot be meant. Never leaves the reader, which adds member and offset."""


class TarType(StrEnum):
    """What a member is. Only FILE has content that may be read."""

    FILE = "file"
    DIRECTORY = "directory"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    SPARSE = "sparse"
    OTHER = "other"


_TYPES = {
    0x00: TarType.FILE,
    0x30: TarType.FILE,  # '0'
    0x37: TarType.FILE,  # '7', contiguous
    0x31: TarType.HARDLINK,
    0x32: TarType.SYMLINK,
    0x35: TarType.DIRECTORY,
    GNU_SPARSE: TarType.SPARSE,
}


def text(field: bytes) -> bytes:
    """A field up to its first NUL."""
    return field.partition(b"\0")[0]


def number(field: bytes, what: str) -> int:
    """A numeric field: octal digits, or GNU base-256 of any sign. An empty one is 0."""
    if field[0] & 0x80:  # base-256: big endian, two's complement below the mark bit
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if digits.translate(None, _OCTAL):  # int() alone would take signs and underscores
        raise Malformed(f"a {what} that is not a number")
    return int(digits, 8)


def byte_sum(data: bytes) -> int:
    """The sum of at most 256 bytes, twenty times as fast as `sum`.

    The lower half of Adler-32 is that sum plus one, modulo 65,521, which 256 bytes cannot reach.
    """
    return (zlib.adler32(data) & 0xFFFF) - 1


def verify(block: bytes) -> None:
    """Check the header's checksum, which counts its own field as eight spaces."""
    stored = number(block[148:156], "checksum")
    if byte_sum(block[:148]) + byte_sum(block[156:334]) + byte_sum(block[334:]) + 256 == stored:
        return
    if sum(_SIGNED.unpack(block)) + 256 != stored:  # some old writers summed signed characters
        raise Malformed("a header with a wrong checksum")


def size_of(block: bytes, limit: int) -> int:
    """The size field, 0 to `limit` bytes."""
    if not block[124:136].strip(b"\0 "):
        raise Malformed("a size that is empty")
    return within(number(block[124:136], "size"), limit)


def within(size: int, limit: int) -> int:
    """`size` itself, unless it is negative or over the limit."""
    if not 0 <= size <= limit:
        raise Malformed(f"a size of {size} bytes")
    return size


def records(data: bytes, into: dict[bytes, bytes]) -> None:
    """Parse pax records, `length key=value\\n`, into the dictionary: those that this reader understands, no others."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        digits = data[at:space] if space > 0 else b""
        stop = at + int(digits) if digits.isdigit() else 0
        equals = data.find(b"=", space + 1, stop)
        if not at < stop <= len(data) or equals <= space + 1 or data[stop - 1] != 0x0A:
            raise Malformed("a pax record that is not well formed")
        key = data[space + 1 : equals]
        if key.startswith(SPARSE_MARK):
            into[SPARSE_MARK] = b"1"
        if key in _KEPT:
            into[key] = data[equals + 1 : stop - 1]
        at = stop


def pax_int(value: bytes, what: str) -> int:
    """A whole decimal number of a pax record."""
    if not _WHOLE.fullmatch(value):
        raise Malformed(f"a pax {what} that is not a number")
    return int(value)


def pax_time(value: bytes) -> int:
    """Decimal seconds to ns, by integers: a float has no room for the nanoseconds of this century."""
    match = _DECIMAL.fullmatch(value)
    if not match:
        raise Malformed("a pax mtime that is not a number")
    sign, whole, fraction = match.groups()
    ns = int(whole) * NS + int((fraction or b"")[:9].ljust(9, b"0"))
    return -ns if sign else ns


def header_name(block: bytes) -> bytes:
    """The name that the header itself holds, with its prefix where the format has one."""
    name = text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:  # GNU's magic, `ustar  `, keeps other things there
        stop = 476 if block[508:512] == b"tar\0" else 500  # star keeps atime and ctime behind a shorter prefix
        return text(block[345:stop]) + b"/" + name
    return name


class Header:
    """One member's header with its extensions applied; fields as TarMember has them."""

    __slots__ = ("gid", "linkname", "mode", "mtime_exact", "mtime_ns", "name", "size", "type", "uid")

    def __init__(self, block: bytes, name: bytes, linkname: bytes, pax: Mapping[bytes, bytes], limit: int) -> None:
        """`name` is the effective one, `linkname` a GNU long link or b"", `pax` the records that are in force."""
        flag = block[156]
        self.name = name
        self.linkname = linkname or text(block[157:257])
        self.type = _TYPES.get(flag, TarType.OTHER)
        if not flag and name.endswith(b"/"):  # v7 had no other way to say so
            self.type, flag = TarType.DIRECTORY, 0x35
        self.mtime_ns = number(block[136:148], "mtime") * NS
        self.mtime_exact = False
        self.mode = number(block[100:108], "mode")
        self.uid = number(block[108:116], "uid")
        self.gid = number(block[116:124], "gid")
        self.size = 0
        if flag not in _NO_CONTENT:
            packed = pax.get(b"size")
            self.size = within(pax_int(packed, "size"), limit) if packed else size_of(block, limit)
        if pax:
            self._apply(pax)

    def _apply(self, pax: Mapping[bytes, bytes]) -> None:
        # An empty value takes back what a global record said (POSIX pax), so only filled ones count.
        self.linkname = pax.get(b"linkpath") or self.linkname
        if SPARSE_MARK in pax and self.type is TarType.FILE:
            self.type = TarType.SPARSE
        if mtime := pax.get(b"mtime"):
            self.mtime_ns, self.mtime_exact = pax_time(mtime), True
        if uid := pax.get(b"uid"):
            self.uid = pax_int(uid, "uid")
        if gid := pax.get(b"gid"):
            self.gid = pax_int(gid, "gid")
        if b"\0" in self.name or b"\0" in self.linkname:
            raise Malformed("a name that holds a NUL byte")


class Alike:
    """A short cut for a file whose header differs from an accepted one in name, size, mtime and checksum alone.

    Archives of pictures are mostly such headers. It accepts nothing that the full way refuses, and answers the same;
    what is written in another way than Go and GNU tar do is left to the full way.
    """

    __slots__ = ("_owner", "_rest", "_rest_sum", "_size_limit", "model")

    def __init__(self, block: bytes, model: Header, size_limit: int) -> None:
        """`block` is a header that `serves`, `model` what the full way made of it without any extension."""
        self.model = model
        self._owner = block[100:124]
        self._rest = block[156:]
        self._rest_sum = byte_sum(self._owner) + byte_sum(block[156:334]) + byte_sum(block[334:]) + 256
        self._size_limit = size_limit

    @staticmethod
    def serves(block: bytes) -> bool:
        """Whether this accepted header may stand for others: a plain file whose name is all in the first field."""
        return block[156] == 0x30 and (block[257:263] != b"ustar\0" or not block[345])

    def read(self, block: bytes) -> tuple[bytes, int, int] | None:
        """Name, size and mtime (ns since the epoch) of such a header, None of any other."""
        numbers = block[124:135]
        seconds = block[136:147]
        checksum = block[148:154]
        if block[156:] != self._rest or block[100:124] != self._owner:
            return None
        if block[135] or block[147] or block[154:156] != b"\0 ":
            return None
        if not (numbers.isdigit() and seconds.isdigit() and checksum.isdigit()):
            return None
        try:
            size, mtime, stored = int(numbers, 8), int(seconds, 8), int(checksum, 8)
        except ValueError:  # an 8 or a 9
            return None
        if byte_sum(block[:100]) + byte_sum(block[124:148]) + self._rest_sum != stored or size > self._size_limit:
            return None
        return block[:100].partition(b"\0")[0], size, mtime * NS
