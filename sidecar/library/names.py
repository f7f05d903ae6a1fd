"""Safe names: how a path splits, and which names a content may take. Decisions only, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.errors import NameUnusable
from sidecar.models import shown

TEMPORARY = b".media-sync-tmp-"
NAME_MAX = 255
_UNSAFE = re.compile(rb"(?:^|/)\.{0,2}(?:/|\Z)|\0").search  # an empty part, `.`, `..`, or a NUL anywhere


def split(path: bytes) -> tuple[bytes, bytes]:
    """Folder and name; refuses what could lead elsewhere."""
    if _UNSAFE(path):
        raise NameUnusable(f"{shown(path)} is not a safe name", hint="nothing was written for it")
    folder, _, name = path.rpartition(b"/")
    return folder, name


def candidates(name: bytes, sha256: bytes, tag: str) -> Iterator[bytes]:
    yield tagged(name, tag) if tag else name
    digest = sha256.hex()
    for length in (8, 16, 64):
        yield tagged(name, digest[:length])


def tagged(name: bytes, tag: str) -> bytes:
    """`name~tag.ext`, its stem shortened so that the whole stays within 255 bytes."""
    stem, dot, ext = name.rpartition(b".")
    if not stem:
        stem, dot, ext = name, b"", b""
    suffix = b"~" + tag.encode() + dot + ext
    if len(suffix) > NAME_MAX:
        stem, suffix = name, b"~" + tag.encode()
    return stem[: NAME_MAX - len(suffix)] + suffix
