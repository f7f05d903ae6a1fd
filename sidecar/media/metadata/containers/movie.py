"""MP4 and MOV: tags of iTunes (`ilst`), of QuickTime's keys (`mdta`), and QuickTime's plain user data."""

from __future__ import annotations

from sidecar.media.metadata.containers.boxes import Box, inside, walk
from sidecar.media.metadata.containers.source import Findings, Source, decoded

_ITUNES = {
    b"\xa9cmt": "comment",
    b"\xa9nam": "title",
    b"\xa9des": "description",
    b"desc": "description",
    b"\xa9too": "encoder",
}
_MOST_KEYS = 256
_TEXT_TYPES = (0, 1, 2)  # reserved, UTF-8, UTF-16: numbers and pictures are no recipe


def read(source: Source, found: Findings) -> None:
    """The tags in `moov`, wherever it stands."""
    for box in walk(source, 0, source.size):
        if box.kind == b"moov":
            _movie(source, found, box)


def _movie(source: Source, found: Findings, movie: Box) -> None:
    for box in walk(source, movie.start, movie.end):
        if box.kind == b"trak":
            for header in inside(source, box, b"tkhd"):
                size = source.exactly(header.end - 8, 8)  # 16.16 fixed point, the last two numbers
                found.measure(int.from_bytes(size[:2], "big"), int.from_bytes(size[4:6], "big"))
        elif box.kind == b"meta":
            _meta(source, found, box)
        elif box.kind == b"udta":
            for part in walk(source, box.start, box.end):
                if part.kind == b"meta":
                    _meta(source, found, part)
                elif part.kind in _ITUNES:
                    _plain(source, found, part)


def _meta(source: Source, found: Findings, meta: Box) -> None:
    # QuickTime's meta holds boxes at once; ISO's has four bytes of version and flags before them.
    skip = 0 if source.upto(meta.start + 4, 4) == b"hdlr" else 4
    keys: list[str] = []
    for box in walk(source, meta.start + skip, meta.end):
        if box.kind == b"keys":
            keys = _keys(source, box)
        elif box.kind == b"ilst":
            for item in walk(source, box.start, box.end):
                _item(source, found, item, keys)


def _keys(source: Source, box: Box) -> list[str]:
    count = int.from_bytes(source.exactly(box.start, 8)[4:], "big")
    return [
        decoded(source.exactly(key.start, key.size))
        for key, _ in zip(walk(source, box.start + 8, box.end), range(min(count, _MOST_KEYS)), strict=False)
    ]


def _item(source: Source, found: Findings, item: Box, keys: list[str]) -> None:
    number = int.from_bytes(item.kind, "big")
    if 1 <= number <= len(keys):
        name = keys[number - 1]
    elif item.kind == b"----":  # a free name, in a box of its own
        name = next(
            (decoded(source.exactly(part.start + 4, part.size - 4)) for part in inside(source, item, b"name")), ""
        )
    else:
        name = _ITUNES.get(item.kind, "")
    if not name:
        return
    for data in inside(source, item, b"data"):
        if found.room(name, "MP4 tag", data.size):
            raw = source.exactly(data.start, data.size)
            kind = int.from_bytes(raw[:4], "big")
            if kind in _TEXT_TYPES:
                found.add(name, raw[8:].decode("utf-16-be", "replace") if kind == 2 else decoded(raw[8:]), "MP4 tag")


def _plain(source: Source, found: Findings, box: Box) -> None:
    """A QuickTime text: its length and language, then itself."""
    name = _ITUNES[box.kind]
    if found.room(name, "MOV tag", box.size):
        raw = source.exactly(box.start, box.size)
        found.add(name, decoded(raw[4 : 4 + int.from_bytes(raw[:2], "big")]), "MOV tag")
