"""PNG and APNG: text chunks, whole or deflated, ComfyUI's `comf`, EXIF. Pixel data is jumped over."""

from __future__ import annotations

import struct
import zlib

from sidecar.media.metadata.containers import exif
from sidecar.media.metadata.containers.source import MOST_TEXT, Findings, Source, decoded

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_SIZE = struct.Struct(">II")
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"comf"))  # comf: SaveAnimatedPNG's, laid out as tEXt
_KEY = 80  # a keyword has 79 bytes at most, and its NUL


def read(source: Source, found: Findings) -> None:
    """All chunks up to IEND: ComfyUI's `comf` stands behind the pixels. Raises Broken where they end too soon."""
    at = len(SIGNATURE)
    while True:
        length, kind = _HEAD.unpack(source.exactly(at, 8))
        if kind in _TEXTS:
            _text(source, found, kind, at + 8, length)
        elif kind == b"IHDR":
            found.measure(*_SIZE.unpack(source.exactly(at + 8, 8)))
        elif kind == b"eXIf" and found.room("eXIf", "PNG", length):
            exif.read(source.exactly(at + 8, length), found)
        elif kind == b"IEND":
            return
        at += length + 12


def _text(source: Source, found: Findings, kind: bytes, at: int, length: int) -> None:
    origin = f"PNG {kind.decode()}"
    key = decoded(source.exactly(at, min(length, _KEY)).partition(b"\0")[0])
    if not found.room(key, origin, length):
        return
    rest = source.exactly(at, length).partition(b"\0")[2]
    if kind == b"zTXt":
        rest = _inflated(found, key, origin, rest[1:])
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        # flag, method, language NUL, translated keyword NUL
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        rest = _inflated(found, key, origin, rest) if packed else rest
    if rest:
        found.add(key, decoded(rest), origin)


def _inflated(found: Findings, key: str, origin: str, data: bytes) -> bytes:
    """Deflated text; b"" when it is damaged or too long. No more of a bomb is unpacked than a text may have."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, MOST_TEXT + 1) if found.room(key, origin, 1) else b""
    except zlib.error as error:
        found.problem(f"{origin} {key}: {error}")
        return b""
    if len(text) > MOST_TEXT:
        found.spend(len(text))
        found.problem(f"{origin} {key}: unpacks to more than the {MOST_TEXT} bytes that are read")
        return b""
    return text
