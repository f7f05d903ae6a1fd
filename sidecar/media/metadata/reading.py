"""The one way in: a file, its Metadata. A broken file is a value with `problems`, never an exception."""

from __future__ import annotations

import os

from sidecar.media.metadata.containers import contents
from sidecar.media.metadata.containers.source import Readable
from sidecar.media.metadata.dialects import interpret
from sidecar.media.metadata.model import Contents, Metadata


def read_metadata(file: Readable) -> Metadata:
    """What the file says of its making, from its chunks and tags alone; pixels are not decoded.

    Takes a path, or a seekable file open for reading, which stays open. `problems` says in one line each what could
    not be read; what is before, or beside, was read all the same.
    """
    try:
        if isinstance(file, str | bytes | os.PathLike):
            with open(file, "rb", buffering=0) as opened:
                return interpret(contents(opened))
        return interpret(contents(file))
    except OSError as error:
        return interpret(Contents(problems=(f"cannot be read: {error.strerror or error}",)))


def read_hidden(file: Readable, known: Metadata) -> Metadata:
    """`known`, or what Forge or NovelAI hid in the pixels of a picture whose chunks say nothing.

    Decodes the picture, so it takes a hundred times as long, and belongs into a process with limits.
    """
    if known.known or known.format not in ("png", "webp"):
        return known
    from sidecar.media.metadata import stealth  # Pillow, only for those who look for it

    texts, problems = stealth.read(file)
    merged = Contents(known.format, known.size, (*known.texts, *texts), (*known.problems, *problems))
    return interpret(merged)
