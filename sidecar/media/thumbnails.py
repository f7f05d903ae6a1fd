"""Small pictures by the hash of what they show, as files of their own in the state folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDER = "thumbnails"


class Thumbnails:
    """`state/thumbnails/ab/<hash>.webp`. A lost one costs nothing but the work of making it again."""

    def __init__(self, state: Path) -> None:
        self._root = state / FOLDER

    def path(self, sha256: bytes) -> Path:
        """Where that of a content lies, if it has one."""
        name = sha256.hex()
        return self._root / name[:2] / f"{name}.webp"

    def put(self, sha256: bytes, data: bytes) -> None:
        """Keep one; a reader sees all of it or nothing. Raises OSError."""
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise

    def open(self, sha256: bytes) -> int | None:
        """A descriptor that the caller closes; None where there is none."""
        try:
            return os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
