"""AVIF and HEIF: EXIF and XMP are items of the top-level `meta` box, found by type and then by location."""

from __future__ import annotations

from sidecar.media.metadata.containers import exif, xmp
from sidecar.media.metadata.containers.boxes import Box, inside, walk
from sidecar.media.metadata.containers.source import Broken, Findings, Source

_MOST_TABLE = 1 << 20  # bytes of one table of items; a grid of a thousand tiles takes 20 thousand
_EXIF, _XMP = "EXIF", "XMP"


def read(source: Source, found: Findings) -> None:
    """The items of `meta`."""
    for meta in walk(source, 0, source.size):
        if meta.kind == b"meta":
            _meta(source, found, meta)


def _meta(source: Source, found: Findings, meta: Box) -> None:
    parts = {box.kind: box for box in walk(source, meta.start + 4, meta.end)}
    if b"iprp" in parts:
        for box in inside(source, parts[b"iprp"], b"ipco", b"ispe"):
            size = source.exactly(box.start + 4, 8)
            found.measure(int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big"))
    if b"iinf" not in parts or b"iloc" not in parts:
        return
    wanted = _kinds(source, parts[b"iinf"])
    base = parts[b"idat"].start if b"idat" in parts else 0
    for item, (within, extents) in _places(_Cursor(_table(source, parts[b"iloc"]))).items():
        if item not in wanted:
            continue
        kind, length = wanted[item], sum(length for _, length in extents)
        if not found.room(kind, "item", length):
            continue
        data = b"".join(source.exactly(at + (base if within else 0), count) for at, count in extents)
        if kind == _XMP:
            xmp.read(data, found)
        else:
            exif.read(data[4 + int.from_bytes(data[:4], "big") :], found)


def _table(source: Source, box: Box) -> bytes:
    if box.size > _MOST_TABLE:
        raise Broken(f"a table of {box.size} bytes")
    return source.exactly(box.start, box.size)


def _kinds(source: Source, iinf: Box) -> dict[int, str]:
    """Which items are EXIF or XMP."""
    kinds: dict[int, str] = {}
    skip = 6 if source.exactly(iinf.start, 1) == b"\0" else 8
    for entry in inside(source, iinf, b"infe", skip=skip):
        raw = _table(source, entry)
        if len(raw) < 12 or raw[0] < 2:
            continue
        wide = 4 if raw[0] > 2 else 2
        item, kind, rest = int.from_bytes(raw[4 : 4 + wide], "big"), raw[6 + wide : 10 + wide], raw[10 + wide :]
        if kind == b"Exif":
            kinds[item] = _EXIF
        elif kind == b"mime" and b"application/rdf+xml" in rest:
            kinds[item] = _XMP
    return kinds


class _Cursor:
    """Reads big-endian numbers one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, width: int) -> int:
        self._at += width
        if self._at > len(self._data):
            raise Broken("a table of items ends too soon")
        return int.from_bytes(self._data[self._at - width : self._at], "big")


def _places(table: _Cursor) -> dict[int, tuple[bool, list[tuple[int, int]]]]:
    """By item: whether it lies within `idat`, and its pieces as (offset, length)."""
    version, _ = table.number(1), table.number(3)
    widths = table.number(2)
    offset, length, base, index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    index = index if version else 0
    places: dict[int, tuple[bool, list[tuple[int, int]]]] = {}
    wide = 2 if version < 2 else 4
    for _ in range(table.number(wide)):
        item = table.number(wide)
        method = table.number(2) & 15 if version else 0
        table.number(2)  # of this file, not of another
        start = table.number(base)
        extents = []
        for _ in range(table.number(2)):
            table.number(index)
            extents.append((start + table.number(offset), table.number(length)))
        places[item] = (method == 1, extents)
    return places
