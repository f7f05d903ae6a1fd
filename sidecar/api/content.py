"""A stored file as an answer: which part of it, as what type, and nothing that a browser could run."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sidecar.api.problems import Problem
from sidecar.library import Library
from sidecar.manifest import Copy
from sidecar.values import dataclass

INLINE = {
    "png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg", "jfif": "image/jpeg",
    "webp": "image/webp", "avif": "image/avif", "gif": "image/gif", "bmp": "image/bmp",
    "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "mov": "video/quicktime",
    "flac": "audio/flac", "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "m4a": "audio/mp4",
}  # fmt: skip
"""What browsers show and cannot run, by suffix. Everything else is a download."""

DOWNLOAD = "application/octet-stream"
THUMBNAIL_MOST = 8 * 2**20  # bytes; a larger original is no thumbnail
PIECE = 256 * 1024
# An image or a video that is opened on its own is a document, which has to load itself.
_POLICY = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'"
_RANGE = re.compile(r"bytes=(?:([0-9]{1,19})-([0-9]{1,19})?|-([0-9]{1,19}))")


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `stop`, the last not included, of `size`. `whole` when nobody asked for less."""

    start: int
    stop: int
    size: int
    whole: bool = True


def part_of(asked: str | None, size: int) -> Part | None:
    """The part that a Range header asks for; None where there is none such (416).

    What is not one range of bytes is ignored, as RFC 9110 has it.
    """
    found = None if asked is None else _RANGE.fullmatch(asked.strip().replace(" ", ""))
    if found is None:
        return Part(0, size, size)
    first, last, suffix = found.groups()
    if suffix is not None:
        return Part(max(0, size - int(suffix)), size, size, whole=False) if int(suffix) and size else None
    start, stop = int(first), size if last is None else min(int(last) + 1, size)
    if last is not None and int(last) < int(first):
        return Part(0, size, size)
    return Part(start, stop, size, whole=False) if start < size else None


def media_type(path: bytes) -> str:
    """The type that a file is sent as, by its suffix."""
    return INLINE.get(path.rpartition(b".")[2].lower().decode("ascii", "replace"), DOWNLOAD)


def open_copy(library: Library, copy: Copy) -> tuple[int, bytes]:
    """A descriptor of the first of a content's places that holds it, and that place. Raises Problem 404.

    Its size is looked at, its bytes are not: that is for `verify`.
    """
    for path in copy.library_paths:
        fd = library.open_copy(path)
        if fd is not None:
            if os.fstat(fd).st_size == copy.size:
                return fd, path
            os.close(fd)
    raise Problem(404, "its copy is not in the library any more, or was changed",
                  hint="was it moved by hand? `media-sync verify` looks at all of them")  # fmt: skip


def answer(fd: int, path: bytes, copy: Copy, headers: Mapping[str, str], *, head: bool, variant: str = "") -> Response:
    """The answer to a GET or HEAD of an opened copy, which owns the descriptor from now on. Raises Problem 416.

    `variant` tells what is made of a content from the content itself.
    """
    kind = media_type(path)
    tag = f'"{copy.sha256.hex()}{variant}"'
    out = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Vary": "Authorization, Cookie",
        "Content-Security-Policy": _POLICY,
        "Content-Disposition": _disposition(path, inline=kind != DOWNLOAD),
        "Content-Type": kind,
    }
    if _matches(headers.get("if-none-match"), tag):
        os.close(fd)
        del out["Content-Type"]
        return Response(status_code=304, headers=out)
    same = headers.get("if-range") in (None, tag)  # else the client has a part of something else
    part = part_of(headers.get("range") if same else None, copy.size)
    if part is None:
        os.close(fd)
        raise Problem(416, f"the file has {copy.size} bytes", headers={"Content-Range": f"bytes */{copy.size}"})
    out["Content-Length"] = str(part.stop - part.start)
    if not part.whole:
        out["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{part.size}"
    return _FileResponse(fd, Part(0, 0, 0) if head else part, 200 if part.whole else 206, out)


class _FileResponse(StreamingResponse):
    """Streams a part of an open file, and closes it whatever becomes of the request."""

    def __init__(self, fd: int, part: Part, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(fd, part), status, headers)
        self._fd = fd

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._fd)


async def _pieces(fd: int, part: Part) -> AsyncIterator[bytes]:
    at = part.start
    while at < part.stop:
        piece = await asyncio.to_thread(os.pread, fd, min(PIECE, part.stop - at), at)
        if not piece:  # cut short meanwhile: the client sees fewer bytes than announced
            raise OSError("the file became shorter while it was sent")
        yield piece
        at += len(piece)


def _matches(asked: str | None, tag: str) -> bool:
    return asked is not None and (
        asked.strip() == "*" or tag in [t.strip().removeprefix("W/") for t in asked.split(",")]
    )


def _disposition(path: bytes, *, inline: bool) -> str:
    name = path.rpartition(b"/")[2]
    plain = "".join(
        c if c.isascii() and (c.isalnum() or c in "._-~ ") else "_" for c in name.decode("utf-8", "replace")
    )
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
