"""Tar streams made by hand, and sources that behave as sockets do."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

from sidecar.transports.docker.tar import TarMember, TarReader, TarType

Readinto = Callable[[memoryview], int]


def whole(raw: bytes) -> Readinto:
    return io.BytesIO(raw).readinto


def short(raw: bytes, seed: int) -> Readinto:
    """Reads as sockets do: any count from one byte up."""
    source, dice = io.BytesIO(raw), random.Random(seed)
    return lambda view: source.readinto(view[: dice.choice((1, 3, 100, 511, 512, 513, 5000, len(view)))])


def read_all(reader: TarReader) -> list[tuple[TarMember, bytes]]:
    return [(m, content(m) if m.type is TarType.FILE else b"") for m in reader]


def content(member: TarMember) -> bytes:
    return b"".join(bytes(c) for c in member.chunks())


def block(
    name: bytes = b"a",
    size: bytes = b"00000000000",
    flag: bytes = b"0",
    *,
    mtime: bytes = b"0",
    uid: bytes = b"0",
    link: bytes = b"",
    tail: bytes = b"ustar\x0000",
    signed: bool = False,
) -> bytes:
    """One header made by hand, with a right checksum."""
    head = name.ljust(100, b"\0") + b"0000644\0" + uid.ljust(8, b"\0") + b"0000000\0" + size.ljust(12, b"\0")
    head = (head + mtime.ljust(12, b"\0") + b" " * 8 + flag + link.ljust(100, b"\0") + tail).ljust(512, b"\0")
    total = sum(b - 256 if signed and b > 127 else b for b in head)
    return head[:148] + b"%06o\0 " % total + head[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d" % length + body


def pax(*pairs: tuple[bytes, bytes], flag: bytes = b"x") -> bytes:
    data = b"".join(record(k, v) for k, v in pairs)
    return block(b"pax", b"%011o" % len(data), flag) + padded(data)


END = bytes(1024)


def endless(piece: bytes) -> tuple[Readinto, list[int]]:
    """A source that never ends, and how much was taken of it."""
    taken = [0]

    def readinto(view: memoryview) -> int:
        data = (piece * (len(view) // len(piece) + 2))[taken[0] % len(piece) :][: len(view)]
        view[: len(data)] = data
        taken[0] += len(data)
        return len(data)

    return readinto, taken
