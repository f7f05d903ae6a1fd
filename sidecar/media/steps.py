"""What is found out about a stored file: plain functions of one signature, in one registry.

A package adds its own through the entry-point group `media_sync.steps`; its name is where its values go in the record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import entry_points

from sidecar.media import endings
from sidecar.media.kinds import Kind, classify
from sidecar.media.metadata import reading
from sidecar.media.metadata.telling import as_json
from sidecar.media.piece import FILMS, STILLS, Found, Piece, Step

GROUP = "media_sync.steps"
MOST_READ = 1 << 28  # bytes of a file that is read to its end
_PIECE = 1 << 18
_SEEN_OR_HEARD = (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO)
_MIME = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "tiff": "image/tiff", "heif": "image/avif", "mp4": "video/mp4", "mov": "video/quicktime",
    "matroska": "video/webm", "avi": "video/x-msvideo", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg",
    "wav": "audio/wav",
}  # fmt: skip


def content_type(piece: Piece) -> Found:
    """What it is by its bytes, whatever its name says: `format`, `mime`, and `size` in pixels where it has one."""
    size = piece.recipe.size
    return Found({"format": piece.format, "mime": _MIME.get(piece.format, "application/octet-stream"),
                  "size": list(size) if size else None})  # fmt: skip


def integrity(piece: Piece) -> Found:
    """Whether it is all there: `ends` as its format does (null: the format has no end that shows,
    or it is a long film), `decodes` whole."""
    ending = _ending(piece.path)
    ends = {endings.State.COMPLETE: True, endings.State.INCOMPLETE: False}.get(ending.state) if ending else None
    problems = (ending.reason,) if ending is not None and ends is False else ()
    if piece.format not in STILLS:
        return Found({"ends": ends, "decodes": None}, problems)
    _ = piece.image  # what that raises is this step's problem
    return Found({"ends": ends, "decodes": True}, problems)


def _ending(path: bytes) -> endings.Ending | None:
    """The verdict on its end; of a long film it was given when it was stored, and its bytes are not read once more."""
    check = endings.ending_check(path)
    if check is None or os.path.getsize(path) > MOST_READ:
        return None
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_PIECE):
            check.feed(data)
    return check.verdict()


def metadata(piece: Piece) -> Found:
    """What its texts say of its making; where they say nothing, what is hidden in its pixels."""
    recipe = piece.recipe
    if not piece.format and classify(os.path.basename(piece.path)).kind not in _SEEN_OR_HEARD:
        return Found()  # a text beside a picture, a mesh: nothing is wrong with it
    if piece.format in STILLS and not recipe.known:
        recipe = reading.read_hidden(piece.path, recipe)
    told, cut = as_json(recipe)
    return Found(told, (*recipe.problems, *cut))


def thumbnail(piece: Piece) -> Found:
    """A small WebP of a picture, of an animation's first frame, of a film's."""
    if piece.format not in STILLS | FILMS:
        return Found()
    from sidecar.media import decoding

    return Found(thumbnail=decoding.thumbnail(piece.image))


_OWN: Mapping[str, Step] = {
    "type": content_type, "integrity": integrity, "metadata": metadata, "thumbnail": thumbnail,
}  # fmt: skip


def step_names() -> list[str]:
    """All steps in the order in which they run: the program's own, then those of installed packages."""
    return list(dict.fromkeys((*_OWN, *(point.name for point in entry_points(group=GROUP)))))


def steps() -> Mapping[str, Step]:
    """The same with what they are; this imports the packages."""
    return {**_OWN, **{point.name: point.load() for point in entry_points(group=GROUP) if point.name not in _OWN}}
