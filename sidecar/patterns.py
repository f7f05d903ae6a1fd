"""Globs over paths of a source, as people know them from .gitignore and rclone.

`*` and `?` stay within a folder, `**` crosses folders, `[...]` is a set. A pattern without `/` matches a name at any
depth; one that ends in `/` matches everything below such a folder. Case matters, as it does in the source.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence


def matches(path: bytes, patterns: Sequence[str]) -> bool:
    """Whether any of the patterns matches the path (relative, bytes)."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[bytes]:
    text = pattern.strip()
    anchored = "/" in text.rstrip("/")
    below = text.endswith("/")
    body = _translate(text.strip("/").encode("utf-8", "surrogateescape"))
    head = b"" if anchored else b"(?:.*/)?"
    tail = b"/.*" if below else b""
    return re.compile(b"(?s:" + head + body + tail + b")")


def _translate(glob: bytes) -> bytes:
    out, i = [], 0
    while i < len(glob):
        c = glob[i : i + 1]
        if glob[i : i + 3] == b"**/":
            out.append(b"(?:.*/)?")
            i += 3
        elif glob[i : i + 2] == b"**":
            out.append(b".*")
            i += 2
        elif c == b"*":
            out.append(b"[^/]*")
            i += 1
        elif c == b"?":
            out.append(b"[^/]")
            i += 1
        elif c == b"[" and (end := glob.find(b"]", i + 2)) > 0:
            inner = glob[i + 1 : end].replace(b"\\", b"\\\\")
            inner = b"^" + inner[1:] if inner[:1] in (b"!", b"^") else inner
            out.append(
                b"(?!/)[" + inner.replace(b"[", b"\\[") + b"]"
            )  # [!x] is any other byte, but never crosses a folder
            i = end + 1
        else:
            out.append(re.escape(c))
            i += 1
    return b"".join(out)
