"""The ends of containers that say how long they are: ISO BMFF (MP4, MOV, AVIF, HEIC, JXL), RIFF, Matroska, GLB."""

from __future__ import annotations

from sidecar.media.endings_walk import (
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

# -- ISO base media file format -----------------------------------------------------------------------------------

_JXL_LAST = 0x80000000


class _Boxes:
    """What the top-level boxes were, in order of need."""

    __slots__ = ("last", "loose", "parts", "seen")

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.last = b""
        self.loose = False  # a fragment header whose media data has not come yet
        self.parts = False  # JXL: a codestream in parts that waits for its last one


def iso() -> Script:
    """Top-level boxes up to the last byte, and among them what makes a file playable."""
    boxes = _Boxes()
    while True:
        try:
            head = yield Take(8, "a box header")
        except Short as short:
            if short.got:
                raise
            break
        name, size = head[4:], int.from_bytes(head[:4], "big") - 8
        if not name.isascii() or not name.replace(b" ", b"a").isalnum():
            return (
                unknown("bytes that are no box follow the last one")
                if _lacks(boxes) == ""
                else incomplete("a box header is damaged")
            )
        if size == -7:
            size = int.from_bytes((yield Take(8, "a box header")), "big") - 16
        boxes.seen.add(name)
        boxes.last = name
        if size == -8:  # open: up to the end of the file, which is how an unfinished mdat looks
            yield Rest()
            lacks = _lacks(boxes)
            return incomplete(lacks) if lacks else unknown(f"box {name.decode()} has no length")
        if size < 0:
            return incomplete("a box header is damaged")
        yield from _payload(boxes, name, size)
    lacks = _lacks(boxes)
    if lacks:
        return incomplete(lacks)
    if b"moof" in boxes.seen and boxes.last != b"mfra":
        return unknown("fragments without an index behind them: more could have followed")
    return complete("" if boxes.seen & {b"ftyp", b"JXL "} else "no ftyp box")


def _payload(boxes: _Boxes, name: bytes, size: int) -> Part[None]:
    if name == b"moof":
        boxes.loose = True
    elif name == b"mdat":
        boxes.loose = False
    elif name == b"jxlp":
        boxes.parts = not int.from_bytes((yield Take(min(size, 4), "box jxlp")), "big") & _JXL_LAST
        size -= min(size, 4)
    yield Skip(size, f"box {name.decode()}")


def _lacks(boxes: _Boxes) -> str:
    """What is missing for a whole film, picture or JXL; "" when nothing is."""
    if boxes.seen & {b"jxlc", b"jxlp"}:
        return "the last part of the picture is missing" if boxes.parts else ""
    if b"mdat" not in boxes.seen:
        return "no media data (mdat)"
    if not boxes.seen & {b"moov", b"meta"}:
        return "no index (moov or meta): the writer did not get to its end"
    return "a fragment without its media data" if boxes.loose else ""


def jxl_codestream() -> Script:
    """A JPEG XL codestream without boxes has no end mark."""
    yield Rest()
    return unknown("a bare JPEG XL codestream has no end mark")


# -- RIFF ---------------------------------------------------------------------------------------------------------

_OPEN = (0, 0xFFFFFFFF)


def webp() -> Script:
    """The RIFF length."""
    head = yield Take(8, "the header")
    size = int.from_bytes(head[4:], "little")
    if size in _OPEN:
        return incomplete("the RIFF length was never filled in")
    yield Skip(size, "the RIFF length")
    return (yield from trailing("the RIFF length"))


def avi() -> Script:
    """RIFF lengths; OpenDML files are several RIFFs in a row."""
    head = yield Take(8, "the header")
    while True:
        size = int.from_bytes(head[4:], "little")
        if size in _OPEN:
            return incomplete("a RIFF length was never filled in")
        yield Skip(size + size % 2, "the RIFF length")
        try:
            head = yield Take(8, "a further RIFF header")
        except Short as short:
            if b"RIFF".startswith(short.got[:4]) and short.got:
                raise
            return complete(f"{len(short.got)} bytes after the RIFF length" if short.got else "")
        if head[:4] != b"RIFF":
            yield Rest()
            return unknown("bytes follow the RIFF length: the header may not be final")


def wav() -> Script:
    """The RIFF length and the data chunk's; RF64 and BW64 keep both in a ds64 chunk."""
    head = yield Take(12, "the header")
    left, large = int.from_bytes(head[4:8], "little") - 4, 0
    if head[:4] != b"RIFF":
        ds64 = yield Take(24, "the ds64 chunk")
        length = int.from_bytes(ds64[4:8], "little")
        if ds64[:4] != b"ds64" or length < 16:
            return incomplete("no ds64 chunk")
        left, large = (int.from_bytes(ds64[i : i + 8], "little") for i in (8, 16))
        yield Skip(length - 16, "the ds64 chunk")
        left -= 4 + 8 + length
    elif left + 4 in _OPEN:
        return incomplete("the RIFF length was never filled in")
    data = False
    while left >= 8:
        chunk = yield Take(8, "a chunk header")
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            size = large if large and size == 0xFFFFFFFF else size
            if size in _OPEN:
                return incomplete("the length of the sound was never filled in")
            data = True
        left -= 8 + size
        if left < 0:
            return incomplete("a chunk is longer than the RIFF length says")
        pad = min(size % 2, left)
        left -= pad
        yield Skip(size + pad, "the sound" if chunk[:4] == b"data" else "a chunk")
    yield Skip(left, "the RIFF length")
    rest = Rest()
    yield rest
    if not data:
        return incomplete("no sound")
    # One byte may pad an odd length. More of them: some writers fill in the lengths of what came so far.
    return complete() if rest.size <= 1 else unknown("bytes follow the RIFF length: the header may not be final")


# -- Matroska, WebM -----------------------------------------------------------------------------------------------

_SEGMENT = 0x18538067


def matroska() -> Script:
    """The Segment's size, which muxers fill in last.

    FFmpeg, and with it ComfyUI's SaveWEBM and VideoHelperSuite, write an unknown size first and patch it in the
    trailer. A live recording keeps the unknown size for good and cannot be told from a killed writer: INCOMPLETE.
    """
    while True:
        ident = yield from _vint(keep_mark=True)
        size = yield from _vint(keep_mark=False)
        if ident is None or size is None:
            return incomplete("an EBML header is damaged")
        if ident != _SEGMENT:
            yield Skip(size, "the EBML header")
            continue
        if size < 0:
            return incomplete("the Segment's size was never filled in")
        yield Skip(size, "the Segment")
        return (yield from trailing("the Segment"))


def _vint(*, keep_mark: bool) -> Part[int | None]:
    """An EBML number of 1 to 8 bytes; -1 is the reserved "unknown", None a first byte of 0."""
    first = (yield Take(1, "an EBML header"))[0]
    if not first:
        return None
    length = 9 - first.bit_length()
    value = int.from_bytes(bytes((first,)) + (yield Take(length - 1, "an EBML header")), "big")
    if keep_mark:
        return value
    most = (1 << 7 * length) - 1
    value &= most
    return -1 if value == most else value


# -- GLB ----------------------------------------------------------------------------------------------------------


def glb() -> Script:
    """The length in the header."""
    head = yield Take(12, "the header")
    size = int.from_bytes(head[8:], "little")
    if size < 20:
        return incomplete("the length was never filled in")
    yield Skip(size - 12, "the length in the header")
    return (yield from trailing("the length in the header"))
