"""JPEG: EXIF, XMP and comments, in the segments before the scan."""

from __future__ import annotations

from sidecar.media.metadata.containers import exif, xmp
from sidecar.media.metadata.containers.source import Broken, Findings, Source, decoded

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read(source: Source, found: Findings) -> None:
    """Segments up to the first scan. Raises Broken where they end too soon."""
    at = 2
    while True:
        mark = source.exactly(at, 4)
        if mark[0] != 0xFF:
            raise Broken(f"no JPEG segment at byte {at}")
        kind = mark[1]
        if kind == 0xFF:  # fill bytes may stand before a marker
            at += 1
        elif kind in _ALONE:
            at += 2
        elif kind in (0xDA, 0xD9):
            return
        else:
            length = int.from_bytes(mark[2:], "big")
            _segment(source, found, kind, at + 4, length - 2)
            at += length + 2


def _segment(source: Source, found: Findings, kind: int, at: int, length: int) -> None:
    if kind in _FRAMES:
        frame = source.exactly(at, 5)
        found.measure(int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big"))
    elif kind == 0xFE:
        found.add("Comment", decoded(source.exactly(at, length)), "JPEG COM")
    elif kind == 0xE1:
        data = source.exactly(at, length)
        if data.startswith(b"Exif\0\0"):
            exif.read(data, found)
        elif data.startswith(_XMP):
            xmp.read(data[len(_XMP) :], found)
