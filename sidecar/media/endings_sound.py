"""The ends of sound streams: FLAC, MP3, Ogg."""

from __future__ import annotations

from sidecar.media.endings_walk import (
    Ending,
    Part,
    Rest,
    Script,
    Short,
    Skip,
    Take,
    complete,
    incomplete,
    trailing,
    unknown,
)


def tagged() -> Script:
    """A file that starts with an ID3v2 tag: MP3, or FLAC all the same."""
    head = yield Take(10, "the ID3 tag")
    size = sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    yield Skip(size + (10 if head[5] & 0x10 else 0), "the ID3 tag")
    first = yield Take(4, "the tag; no sound follows it")
    if first == b"fLaC":
        return (yield from _flac_blocks())
    return (yield from _mp3_frames(first))


# -- FLAC ---------------------------------------------------------------------------------------------------------

_FLAC_TAIL = 1 << 18
_FLAC_SIZES = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}, **{n: 256 << n - 8 for n in range(8, 16)}}


def flac() -> Script:
    """The last frame: its sample numbers meet STREAMINFO's total, and its CRC-16 ends the file."""
    yield Skip(4, "the header")
    return (yield from _flac_blocks())


def _flac_blocks() -> Script:
    info = b""
    while True:
        head = yield Take(4, "the metadata")
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 0 and size >= 34 and not info:
            info = yield Take(34, "STREAMINFO")
            size -= 34
        yield Skip(size, "the metadata")
        if head[0] & 0x80:
            break
    if not info:
        return incomplete("no STREAMINFO")
    total = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF
    if not total:
        return incomplete("the count of samples was never filled in")
    largest = int.from_bytes(info[7:10], "big")
    rest = Rest(min(largest or _FLAC_TAIL, _FLAC_TAIL) + 128)
    tail = yield rest
    return _flac_end(tail, int.from_bytes(info[:2], "big"), total, whole=largest <= _FLAC_TAIL)


def _flac_end(tail: bytes, block: int, total: int, *, whole: bool) -> Ending:
    note = ""
    if tail[-128:-125] == b"TAG":
        tail, note = tail[:-128], "an ID3v1 tag after the last frame"
    at, tries = len(tail), 4  # a valid header with the last sample number is not met twice by chance
    while tries and (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if _flac_last(tail[at : at + 18], block, total):
            tries -= 1
            if not _crc(tail[at:], 16):
                return complete(note)
    if not whole:
        return unknown("frames larger than are checked")
    return incomplete("the last frame is missing or cut")


def _flac_last(head: bytes, block: int, total: int) -> bool:
    """Whether a valid frame header starts here whose samples are the last ones."""
    if len(head) < 8 or head[1] not in (0xF8, 0xF9) or head[3] & 1:
        return False
    length = 8 - (head[4] ^ 0xFF).bit_length()  # ones in front, as in UTF-8
    length = max(length, 1)
    extra = {6: 1, 7: 2}.get(head[2] >> 4, 0)
    end = 4 + length + extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= end or length > 7 or _crc(head[: end + 1], 8):
        return False
    number = head[4] & (0x7F if length == 1 else 0x7F >> length)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    size = _FLAC_SIZES.get(head[2] >> 4, 0)
    if extra:
        size = int.from_bytes(head[4 + length : 4 + length + extra], "big") + 1
    return (number if head[1] & 1 else number * block) + size == total


def _table(width: int, polynomial: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 else 0)
            value &= (1 << width) - 1
        table.append(value)
    return tuple(table)


_TABLES = {8: _table(8, 0x07), 16: _table(16, 0x8005)}


def _crc(data: bytes, width: int) -> int:
    """FLAC's CRCs; 0 over data that ends in its own CRC. Once per file, over one frame."""
    table, value = _TABLES[width], 0
    if width == 8:
        for byte in data:
            value = table[value ^ byte]
        return value
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
    return value


# -- MP3 ----------------------------------------------------------------------------------------------------------

_RATES = (44100, 48000, 32000)
_LAYER3_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LAYER3_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def mp3() -> Script:
    """The length in the Xing or Info frame that LAME and FFmpeg write; without one there is no end mark."""
    return (yield from _mp3_frames((yield Take(4, "the header"))))


def mp3_frame(head: bytes) -> int:
    """Length in bytes of the MPEG layer III frame whose first four bytes these are; 0 when they are none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] >> 3 & 3 == 1:
        return 0
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if rate == 3 or bits in (0, 15):
        return 0
    hertz = _RATES[rate] >> (0, 0, 1)[3 - version] if version else _RATES[rate] >> 2
    kilobits = (_LAYER3_V1 if version == 3 else _LAYER3_V2)[bits]
    return (144 if version == 3 else 72) * kilobits * 1000 // hertz + (head[2] >> 1 & 1)


def _mp3_frames(head: bytes) -> Script:
    length = mp3_frame(head)
    if not length:
        yield Rest()
        return unknown("no MPEG frame at the start")
    mono, first = head[3] >> 6 == 3, head[1] >> 3 & 3 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    frame = yield Take(length - 4, "the first frame")
    mark, flags = frame[side : side + 4], int.from_bytes(frame[side + 4 : side + 8], "big")
    at = side + 8 + (4 if flags & 1 else 0)
    if mark not in (b"Xing", b"Info") or not flags & 2 or len(frame) < at + 4:
        yield Rest()
        return unknown("an MP3 without a length has no end mark")
    size = int.from_bytes(frame[at : at + 4], "big")
    if size < length:
        return incomplete("the length was never filled in")
    yield Skip(size - length, "the length in the first frame")
    return (yield from _mp3_tags())


def _mp3_tags() -> Part[Ending]:
    """An ID3v1 tag of 128 bytes, or another kind of tag, may follow the last frame."""
    try:
        tag = yield Take(3, "")
    except Short as short:
        if short.got and b"TAG".startswith(short.got):
            raise Short("the closing tag", short.got) from short
        return complete(f"{len(short.got)} bytes after the last frame" if short.got else "")
    if tag == b"TAG":
        yield Skip(125, "the closing tag")
    elif tag not in (b"APE", b"ID3", b"LYR"):
        yield Rest()
        return unknown("bytes follow the length in the first frame")
    return (yield from trailing("the closing tag"))


# -- Ogg ----------------------------------------------------------------------------------------------------------

_OGG_MOST = 64


def ogg() -> Script:
    """Pages up to the last byte; each logical stream that began has its end-of-stream page."""
    open_: set[bytes] = set()
    pages = 0
    while True:
        try:
            page = yield Take(27, "a page header")
        except Short as short:
            if short.got or not pages:
                raise
            return incomplete("a stream lacks its last page") if open_ else complete()
        if page[:4] != b"OggS":
            return (
                (yield from trailing("the last page", len(page)))
                if pages and not open_
                else incomplete("a page is damaged")
            )
        pages += 1
        segments = yield Take(page[26], "a page header")
        if page[5] & 2:
            open_.add(page[14:18])
        yield Skip(sum(segments), "a page")
        if page[5] & 4:
            open_.discard(page[14:18])
        if len(open_) > _OGG_MOST:
            return unknown(f"more than {_OGG_MOST} streams at once")
