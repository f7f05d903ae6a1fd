"""One writer: a folder of ours is worked on by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from sidecar.errors import LibraryUnsafe, Locked


def take_lock(file: Path, what: str) -> Callable[[], None]:
    """Take the exclusive lock that `file` stands for; the answer releases it, and so does the end of the process.

    Raises Locked when another process has it, LibraryUnsafe when the file cannot be made.
    """
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise LibraryUnsafe(f"{what} cannot be written: {(error.strerror or '').lower()}",
                            hint="mount it read-write, or check owner and permissions") from error  # fmt: skip
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise Locked(f"{what} is in use by another media-sync process",
                     hint="wait for it to end, or stop it") from error  # fmt: skip
    return lambda: os.close(fd)
