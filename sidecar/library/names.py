"""Safe names: how a path splits, and which names a content may take. Decisions only, no I/O."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.errors import NameUnusable
from sidecar.models import shown

TEMPORARY = b".media-sync-tmp-"
NAME_MAX = 255


def split(path: bytes) -> tuple[bytes, bytes]:
    """Folder and name; refuses what could lead elsewhere."""
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        raise NameUnusable(f"{shown(path)} is not a safe name", hint="nothing was written for it")
    return b"/".join(parts[:-1]), parts[-1]


def candidates(name: bytes, sha256: bytes, tag: str) -> Iterator[bytes]:
    digest = sha256.hex()
    if tag:
        yield tagged(name, tag)
    else:
        yield name
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
