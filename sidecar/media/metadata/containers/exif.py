"""EXIF: the few tags that generators write text into, read where they lie.

Pillow's reader makes a copy of every tag, and tags may overlap: 65,535 of them over one megabyte are 64 GB. So the
wanted ones are picked out here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from sidecar.media.metadata.containers.source import Findings, decoded

_TAGS = {
    0x010D: "DocumentName",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9286: "UserComment",
}
_UTF16 = (0x9C9B, 0x9C9C)
_USER_COMMENT, _EXIF_IFD = 0x9286, 0x8769
_WIDTHS = {1: 1, 2: 1, 7: 1, 129: 1, 4: 4}  # BYTE, ASCII, UNDEFINED, UTF-8; LONG for the pointer to the other IFD
_MOST_ENTRIES = 512
# ComfyUI's image nodes have no keys in EXIF, so they write `prompt:{…}` into Model and `workflow:{…}` into Make.
_NAMED = re.compile(r'([A-Za-z_][\w -]{0,63}):\s*(?=[{\["])')


def read(data: bytes, found: Findings) -> None:
    """The texts in an EXIF block, with or without its "Exif" header. A damaged block becomes a problem."""
    if data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        found.problem("EXIF: no TIFF header")
        return
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        tags = dict(_entries(data, order, first))
        if _EXIF_IFD in tags:
            (second,) = struct.unpack_from(order + "I", tags.pop(_EXIF_IFD))
            tags |= dict(_entries(data, order, second))
    except struct.error:
        found.problem("EXIF: a directory lies outside of the block")
        return
    for tag, raw in tags.items():
        if tag in _TAGS:
            _add(found, tag, raw, order)


def _entries(data: bytes, order: str, at: int) -> Iterator[tuple[int, memoryview]]:
    view = memoryview(data)
    (count,) = struct.unpack_from(order + "H", data, at)
    seen: set[int] = set()
    for number in range(min(count, _MOST_ENTRIES)):
        entry = at + 2 + 12 * number
        tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
        if kind not in _WIDTHS or tag in seen or (tag not in _TAGS and tag != _EXIF_IFD):
            continue
        seen.add(tag)
        length *= _WIDTHS[kind]
        (start,) = (entry + 8,) if length <= 4 else struct.unpack_from(order + "I", data, entry + 8)
        yield tag, view[start : start + length]


def _add(found: Findings, tag: int, raw: memoryview, order: str) -> None:
    if not raw or not found.room(_TAGS[tag], "EXIF", len(raw)):
        return
    if tag == _USER_COMMENT:
        text = user_comment(bytes(raw), order)
    elif tag in _UTF16:
        text = bytes(raw).decode("utf-16-le", "replace")
    else:
        text = decoded(bytes(raw))
    text = text.rstrip("\0")
    named = _NAMED.match(text)
    if named:
        found.add(named[1].strip().lower(), text[named.end() :], f"EXIF {_TAGS[tag]}")
    elif text.strip():
        found.add(_TAGS[tag], text, "EXIF")


def user_comment(raw: bytes, order: str = ">") -> str:
    """A UserComment by its 8-byte header. `order` is the TIFF's: ">" or "<", which decides where the text does not."""
    header, body = raw[:8], raw[8:]
    if header == b"UNICODE\0":
        return _utf16(body, order)
    if header == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace")
    if header in (b"ASCII\0\0\0", bytes(8)):
        return decoded(body)
    return decoded(raw)


def _utf16(body: bytes, order: str) -> str:
    """The standard asks for the TIFF's byte order; piexif, and so A1111, writes big-endian into either."""
    body = body[: len(body) // 2 * 2]
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    high, low = body[0::2].count(0), body[1::2].count(0)  # ASCII, and every recipe has some, leaves its high byte 0
    big = high > low if high != low else order == ">"
    return body.decode("utf-16-be" if big else "utf-16-le", "replace")
