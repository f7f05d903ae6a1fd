"""WebP: EXIF and XMP chunks."""

from __future__ import annotations

import struct

from sidecar.media.metadata.containers import exif, xmp
from sidecar.media.metadata.containers.source import Findings, Source

_HEAD = struct.Struct("<4sI")


def read(source: Source, found: Findings) -> None:
    """All chunks of the RIFF: metadata stands behind the picture. Raises Broken where they end too soon."""
    end = 8 + int.from_bytes(source.exactly(4, 4), "little")
    at = 12
    while at + 8 <= end:
        kind, length = _HEAD.unpack(source.exactly(at, 8))
        body = at + 8
        if kind in (b"EXIF", b"XMP ") and found.room(kind.decode().strip(), "WebP", length):
            (exif if kind == b"EXIF" else xmp).read(source.exactly(body, length), found)
        elif kind in (b"VP8X", b"VP8 ", b"VP8L"):
            _measure(kind, source.exactly(body, 10), found)
        at = body + length + length % 2


def _measure(kind: bytes, head: bytes, found: Findings) -> None:
    if kind == b"VP8X":
        found.measure(1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little"))
    elif kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 6)
        found.measure(width & 0x3FFF, height & 0x3FFF)
    elif kind == b"VP8L" and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        found.measure(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
