"""The ends of image formats: PNG, JPEG, GIF, BMP, TIFF."""

from __future__ import annotations

import heapq
import struct
from dataclasses import field

from sidecar.media.endings_walk import (
    Marker,
    NonZero,
    Part,
    Rest,
    Script,
    Short,
    Skip,
    SubBlocks,
    Take,
    complete,
    incomplete,
    trailing,
    unknown,
)
from sidecar.values import dataclass

_JPEG_NEVER = frozenset((*range(0x02), *range(0xD0, 0xD9), 0xFF))  # no segment has these
_SEGMENT = struct.Struct(">BBH").unpack_from
_IEND_CRC = b"\xae\x42\x60\x82"


def png() -> Script:
    """Chunks up to IEND (PNG and APNG)."""
    yield Skip(8, "the signature")
    data = False
    while True:
        head = yield Take(8, "a chunk header")
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if not name.isalpha() or length > 0x7FFFFFFF:
            return incomplete("a chunk header is damaged")
        if name == b"IEND":
            crc = yield Take(4, "IEND")
            if length or crc != _IEND_CRC:
                return incomplete("IEND is damaged")
            return (yield from trailing("IEND")) if data else incomplete("no image data before IEND")
        data = data or name == b"IDAT"
        yield Skip(length + 4, f"chunk {name.decode()}")


def is_whole_png(data: bytes) -> bool:
    """Whether `png` finds these bytes complete, with nothing behind IEND. False may also mean: ask `png`."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    at, pixels = 8, False
    while True:
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"IEND":
            return pixels and data[at:] == b"\0\0\0\0IEND" + _IEND_CRC
        if not name.isalpha() or length > 0x7FFFFFFF:
            return False
        pixels = pixels or name == b"IDAT"
        at += length + 12


def is_whole_jpeg(data: bytes) -> bool:
    """Whether `jpeg` finds these bytes complete, with nothing behind EOI. False may also mean: ask `jpeg`."""
    at, end, scans = 2, len(data), 0
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    while at + 4 <= end:
        mark, code, length = _SEGMENT(data, at)
        if mark != 0xFF or code in _JPEG_NEVER or code == 0xD9 or length < 2:
            return False
        at += length + 2
        if code == 0xDA:
            scans += 1
            if not (match := Marker.pattern.search(data, at)):
                return False
            at = match.start()
            if data[at + 1] == 0xD9:
                return at + 2 == end
    return False


def jpeg() -> Script:
    """Markers from SOI to EOI. Further images may follow at once (MPF, Ultra HDR): each has to end as well."""
    yield Skip(3, "SOI")
    while True:
        fault = yield from _to_eoi()
        if fault:
            return incomplete(fault)
        try:
            start = yield NonZero("")  # zero padding is harmless
            start += yield Take(2, "")
        except Short:
            return complete()
        if start != b"\xff\xd8\xff":
            return (yield from trailing("EOI", len(start)))


def _to_eoi() -> Part[str]:
    """From behind SOI and one 0xFF to behind EOI. Answers what is wrong, "" when it is all there."""
    scans = 0
    code = yield from _jpeg_code()
    while code != 0xD9:
        if code in _JPEG_NEVER:
            return "a marker is damaged"
        length = int.from_bytes((yield Take(2, "a segment header")), "big")
        if length < 2:
            return "a segment header is damaged"
        yield Skip(length - 2, "a segment")
        if code == 0xDA:
            scans += 1
            code = (yield Marker("image data, EOI is missing"))[0]
        elif (yield Take(1, "the segments, EOI is missing")) == b"\xff":
            code = yield from _jpeg_code()
        else:
            return "a marker is damaged"
    return "" if scans else "no image data before EOI"


def _jpeg_code() -> Part[int]:
    """The byte behind a marker's 0xFF; a few fill bytes are allowed in front of it."""
    for _ in range(16):
        code = (yield Take(1, "the segments, EOI is missing"))[0]
        if code != 0xFF:
            return code
    return 0


def gif() -> Script:
    """Blocks up to the trailer."""
    screen = yield Take(13, "the header")
    yield Skip(_colours(screen[10]), "the colour table")
    images = 0
    while True:
        mark = (yield Take(1, "the blocks; the trailer is missing"))[0]
        if mark == 0x3B:
            return (yield from trailing("the trailer")) if images else incomplete("no image before the trailer")
        if mark == 0x2C:
            images += 1
            image = yield Take(9, "an image descriptor")
            yield Skip(_colours(image[8]), "a colour table")
        elif mark != 0x21:
            return incomplete("a block header is damaged")
        yield Skip(1, "a block header")
        yield SubBlocks("image data" if mark == 0x2C else "an extension")


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def bmp() -> Script:
    """The size in the header."""
    head = yield Take(6, "the header")
    size = int.from_bytes(head[2:6], "little")
    if size < 26:
        return unknown("the header names no size")
    yield Skip(size - 6, "the pixels")
    return (yield from trailing("the size in the header"))


# -- TIFF ---------------------------------------------------------------------------------------------------------

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_OFFSETS, _TIFF_COUNTS = frozenset((273, 324)), frozenset((279, 325))  # strips, tiles
_TIFF_MOST = 1 << 15  # strips of one page, entries of one directory: 256 KiB of offsets


@dataclass(slots=True)
class _Tiff:
    """What a single pass over a TIFF collects. Offsets in bytes from the start of the file."""

    order: str
    big: bool
    at: int = 0
    reach: int = 0  # what the file must be as long as
    behind: bool = False  # something needed lay before the place where it was learnt about
    pages: int = 0
    todo: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # offset, page, tag, type, count
    known: dict[tuple[int, bool], tuple[int, ...]] = field(default_factory=dict)

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def plan(self, offset: int, page: int, tag: int, type_: int = 0, count: int = 0) -> None:
        heapq.heappush(self.todo, (offset, page, tag, type_, count))

    def learn(self, page: int, tag: int, type_: int, data: bytes) -> None:
        """Values of an offset or byte count tag; with both, the extents of the page's pixels are known."""
        size = _TIFF_SIZES[type_]
        values = tuple(self.number(data[i : i + size]) for i in range(0, len(data) - size + 1, size))
        self.known[page, tag in _TIFF_OFFSETS] = values
        offsets, counts = self.known.get((page, True)), self.known.get((page, False))
        if offsets and counts:
            self.reach = max(self.reach, *(o + c for o, c in zip(offsets, counts, strict=False)))
            self.pages += 1

    def directory(self, page: int, entries: bytes) -> None:
        step, wide = (20, 8) if self.big else (12, 4)
        for at in range(0, len(entries) - step + 1, step):
            entry = entries[at : at + step]
            tag, type_ = struct.unpack(self.order + "HH", entry[:4])
            count, value = self.number(entry[4 : 4 + wide]), entry[4 + wide :]
            length = count * _TIFF_SIZES.get(type_, 1)
            inside = length <= wide
            if not inside:
                self.reach = max(self.reach, self.number(value) + length)
            if tag in _TIFF_OFFSETS | _TIFF_COUNTS and type_ in (3, 4, 16):
                if inside:
                    self.learn(page, tag, type_, value[:length])
                else:
                    self.plan(self.number(value), page, tag, type_, count)


def tiff() -> Script:
    """Directories, and the extents that they name, as far as one pass forward can follow them."""
    head = yield Take(8, "the header")
    file = _Tiff("<" if head[:2] == b"II" else ">", big=head[2:4] in (b"+\0", b"\0+"), at=8)
    first = head[4:8]
    if file.big:
        first = yield Take(8, "the header")
        file.at = 16
    if not file.number(first):
        return incomplete("the header points to no directory yet")
    file.plan(file.number(first), 0, 0)
    while file.todo:
        offset, page, tag, type_, count = heapq.heappop(file.todo)
        if offset < file.at:
            file.behind = True
            continue
        if count > _TIFF_MOST or page > 1000:
            return unknown("a TIFF of more parts than are checked")
        yield Skip(offset - file.at, "the pixels")
        file.at = offset
        if tag:
            length = count * _TIFF_SIZES[type_]
            file.learn(page, tag, type_, (yield Take(length, "a table of offsets")))
            file.at += length
        elif not (yield from _directory(file, page)):
            return unknown("a TIFF of more parts than are checked")
    rest = Rest()
    yield rest
    if file.at + rest.size < file.reach:
        return incomplete(f"ends {file.reach - file.at - rest.size} bytes before its pixels do")
    if file.behind or not file.pages:
        return unknown("a TIFF whose layout does not show its end in one pass")
    return complete()


def _directory(file: _Tiff, page: int) -> Part[bool]:
    wide = 8 if file.big else 4
    head = yield Take(8 if file.big else 2, "a directory")
    count = file.number(head)
    if count > _TIFF_MOST:
        return False
    entries = yield Take(count * (20 if file.big else 12), "a directory")
    following = file.number((yield Take(wide, "a directory")))
    file.at += len(head) + len(entries) + wide
    file.directory(page, entries)
    if following:
        file.plan(following, page + 1, 0)
    return True
