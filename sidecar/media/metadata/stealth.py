"""Texts in the lowest bits of pixels: Forge's "stealth" infotext, NovelAI's, in the alpha channel or in RGB.

The bits run down the columns: a mark of 15 letters, a length of 32 bits (counted in bits), the text, plain or gzip.
"""

from __future__ import annotations

import zlib
from typing import IO, cast

from PIL import Image

from sidecar.media.metadata import values
from sidecar.media.metadata.containers.source import MOST_TEXT, Readable
from sidecar.media.metadata.model import Text

MOST_PIXELS = 64_000_000
"""Larger pictures are not decoded; 8192x8192 is the largest that generators offer."""
_MARKS = {
    b"stealth_pnginfo": ("alpha", False),
    b"stealth_pngcomp": ("alpha", True),
    b"stealth_rgbinfo": ("rgb", False),
    b"stealth_rgbcomp": ("rgb", True),
}
_HEAD = 15 + 4
_LOWEST = bytes(48 + (value & 1) for value in range(256))  # "0" or "1" by the lowest bit


def read(file: Readable) -> tuple[tuple[Text, ...], tuple[str, ...]]:
    """The hidden texts, and problems. A picture that cannot be decoded is one of these."""
    try:
        with Image.open(cast("str | IO[bytes]", file)) as image:
            if image.width * image.height > MOST_PIXELS:
                return (), (f"stealth: {image.width}x{image.height} pixels are more than {MOST_PIXELS}",)
            for channels in ("A", "RGB"):
                if set(channels) <= set(image.getbands()) and (hidden := _hidden(image, channels)) is not None:
                    return _texts(hidden, f"stealth {'alpha' if channels == 'A' else 'RGB'}"), ()
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error, Image.DecompressionBombError) as error:
        return (), (f"stealth: {error}"[:200],)
    return (), ()


def _hidden(image: Image.Image, channels: str) -> bytes | None:
    head = _bytes(image, channels, _HEAD)
    kind = _MARKS.get(head[:15])
    if kind is None or kind[0] != ("alpha" if channels == "A" else "rgb"):
        return None
    length = int.from_bytes(head[15:], "big") // 8
    if not 0 < length <= min(MOST_TEXT, image.width * image.height * len(channels) // 8 - _HEAD):
        raise ValueError(f"a hidden text of {length} bytes")
    body = _bytes(image, channels, _HEAD + length)[_HEAD:]
    if not kind[1]:
        return body
    unpacked = zlib.decompressobj(31).decompress(body, MOST_TEXT + 1)
    if len(unpacked) > MOST_TEXT:
        raise ValueError(f"a hidden text of more than {MOST_TEXT} bytes")
    return unpacked


def _bytes(image: Image.Image, channels: str, count: int) -> bytes:
    """The first bytes out of the lowest bits. Only the columns that hold them are looked at."""
    per_column = image.height * len(channels)
    columns = min(image.width, -(-count * 8 // per_column))
    strip = image.crop((0, 0, columns, image.height))
    strip = strip.getchannel("A") if channels == "A" else strip.convert("RGB")
    lowest = strip.transpose(Image.Transpose.TRANSPOSE).tobytes().translate(_LOWEST)[: count * 8]
    return int(lowest, 2).to_bytes(len(lowest) // 8, "big") if len(lowest) == count * 8 else b""


def _texts(hidden: bytes, origin: str) -> tuple[Text, ...]:
    """Forge hides an infotext, NovelAI an object with all of its text chunks."""
    text = values.words(hidden.decode("utf-8", "replace")) or ""
    if text.lstrip()[:1] == "{":
        try:
            whole = values.from_json(text)
        except values.NotJson:
            whole = None
        if isinstance(whole, dict) and "Comment" in whole:
            return tuple(Text(key, values.shown(value), origin) for key, value in whole.items())
    return (Text("parameters", text, origin),)
