"""Has a generator finished writing this file? Judged by the format's own end, over bytes that stream by once.

Generators write in place and stall at a stable size for many seconds, so a size that stands still proves nothing;
PNG's IEND, JPEG's EOI, RIFF and Matroska lengths, MP4 boxes up to the last byte do. The suffix decides whether there
is anything to check, the content decides as what. Memory is constant, and payloads are passed over by their lengths.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from sidecar.media import endings_boxes as boxes
from sidecar.media import endings_sound as sound
from sidecar.media import endings_stills as stills
from sidecar.media.endings_walk import (
    Bytes,
    Ending,
    Rest,
    Script,
    State,
    Walk,
    complete,
    incomplete,
    unknown,
)

__all__ = ["Ending", "EndingCheck", "State", "ending_check", "ending_of"]

_HEAD = 32  # enough for every magic below
_JSON_MOST = 1 << 20
_ISO_FIRST = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"))
_JXL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n"

_FORMAT_OF = {
    "png": "png apng",
    "jpeg": "jpg jpeg jfif",
    "gif": "gif",
    "webp": "webp",
    "iso": "mp4 m4v m4a mov avif heic heif",
    "matroska": "mkv webm",
    "avi": "avi",
    "bmp": "bmp",
    "tiff": "tif tiff",
    "jxl": "jxl",
    "flac": "flac",
    "mp3": "mp3",
    "wav": "wav",
    "ogg": "ogg oga opus",
    "glb": "glb",
    "json": "json",
    "txt": "txt",
}
_BY_SUFFIX = {b"." + suffix.encode(): name for name, suffixes in _FORMAT_OF.items() for suffix in suffixes.split()}
_SCRIPTS: dict[str, Callable[[], Script]] = {
    "png": stills.png,
    "jpeg": stills.jpeg,
    "gif": stills.gif,
    "bmp": stills.bmp,
    "tiff": stills.tiff,
    "webp": boxes.webp,
    "avi": boxes.avi,
    "wav": boxes.wav,
    "iso": boxes.iso,
    "jxl": boxes.iso,
    "matroska": boxes.matroska,
    "glb": boxes.glb,
    "flac": sound.flac,
    "mp3": sound.mp3,
    "ogg": sound.ogg,
}


def ending_check(path: bytes) -> EndingCheck | None:
    """A fresh check for the file of this name; None where no check is known for its suffix."""
    expected = _BY_SUFFIX.get(_suffix(path))
    return EndingCheck(expected) if expected else None


def ending_of(path: bytes, data: bytes) -> Ending | None:
    """The verdict on a whole file that is in memory, the same as its `ending_check` would give."""
    expected = _BY_SUFFIX.get(_suffix(path))
    if expected is None:
        return None
    at_a_glance = _WHOLE.get(expected)
    if at_a_glance is not None and at_a_glance[0](data):
        return at_a_glance[1]
    check = EndingCheck(expected)
    check.feed(data)
    return check.verdict()


def _suffix(path: bytes) -> bytes:
    return path[path.rfind(b".") :].lower() if b"." in path else b""


# What nearly every small file is, told at a glance; whatever else one may be is told by its walk.
_WHOLE: dict[str, tuple[Callable[[bytes], bool], Ending]] = {
    "png": (stills.is_whole_png, Ending(State.COMPLETE, format="png")),
    "jpeg": (stills.is_whole_jpeg, Ending(State.COMPLETE, format="jpeg")),
}


class EndingCheck:
    """Fed with all bytes of one file, in order and in pieces of any size; then asked once for the verdict."""

    def __init__(self, expected: str) -> None:
        """`expected` is the format that the name promises."""
        self.expected = expected
        self._format = ""
        self._size = 0
        self._head = bytearray()
        self._walk: Walk | None = None
        self._ending: Ending | None = None

    def feed(self, data: Bytes) -> None:
        """The next bytes. They are not kept beyond the call. Raises ValueError after the verdict."""
        if self._ending is not None:
            raise ValueError("the verdict is out")
        self._size += len(data)
        if self._walk is not None:
            self._walk.feed(data)
        elif self._size < _HEAD:
            self._head += data
        else:
            view = memoryview(data)
            missing = _HEAD - len(self._head)
            self._head += view[:missing]
            self._start().feed(view[missing:])

    def verdict(self) -> Ending:
        """The file is over: has it the end of its format? The same answer every time."""
        if self._ending is None:
            ending = (self._walk or self._start()).finish() if self._size else incomplete("empty")
            note = ending.note
            if self._format not in ("", self.expected):
                note = f"content is {self._format}, name says {self.expected}" + (f"; {note}" if note else "")
            self._ending = replace(ending, format=self._format, note=note)
        return self._ending

    def _start(self) -> Walk:
        self._format, script = _recognise(bytes(self._head), self.expected)
        self._walk = Walk(script)
        self._walk.feed(self._head)
        self._head.clear()
        return self._walk


def _recognise(head: bytes, expected: str) -> tuple[str, Script]:
    """The format that the first bytes show, and its script; ("", ...) when they show none."""
    if expected == "json":
        return expected, _json()
    if expected == "txt":
        return expected, _without_end("text has no end mark")
    if head.startswith(b"ID3"):
        return ("flac" if expected == "flac" else "mp3"), sound.tagged()
    found = _by_magic(head)
    if found:
        return found, _SCRIPTS[found]()
    if expected == "jxl" and head.startswith(b"\xff\x0a"):
        return expected, boxes.jxl_codestream()
    if expected == "mp3":
        return expected, sound.mp3()
    return "", _nothing(expected)


def _by_magic(head: bytes) -> str:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}.get(head[8:12], "")
    if head[4:8] in _ISO_FIRST:
        return "iso"
    # "BM" alone is too little: the size of the second header and the reserved zeros must fit.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return "bmp"
    return ""


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (_JXL_BOXES, "jxl"),
    (b"glTF", "glb"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)


def _nothing(expected: str) -> Script:
    yield Rest()
    return incomplete(f"does not start as {expected} or any other known format")


def _without_end(reason: str) -> Script:
    yield Rest()
    return unknown(reason)


def _json() -> Script:
    """An object or array that closes. A bare number or word could go on."""
    rest = Rest(_JSON_MOST)
    text = yield rest
    if rest.size > _JSON_MOST:
        return unknown("JSON longer than is checked")
    try:
        value = json.loads(text)
    except ValueError:
        return incomplete("the JSON does not close")
    except RecursionError:
        return unknown("JSON nested deeper than is checked")
    return complete() if isinstance(value, dict | list) else unknown("JSON without an end mark")
