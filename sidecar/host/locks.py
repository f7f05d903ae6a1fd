"""One writer: a folder of ours is worked on by one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from sidecar.errors import LibraryUnsafe, Locked

LOCK = "lock"  # the name of the file in the state folder
_PAUSES = (0.02, 0.1)  # seconds: somebody may be asking `is_locked` right now


def take_lock(file: Path, what: str) -> Callable[[], None]:
    """Take the exclusive lock that `file` stands for; the answer releases it, and so does the end of the process.

    Raises Locked when another process has it, LibraryUnsafe when the file cannot be made.
    """
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise LibraryUnsafe(f"{what} cannot be written: {(error.strerror or '').lower()}",
                            hint="mount it read-write, or check owner and permissions") from error  # fmt: skip
    for pause in (*_PAUSES, None):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if pause is not None:
                time.sleep(pause)
                continue
            os.close(fd)
            raise Locked(f"{what} is in use by another media-sync process",
                         hint="wait for it to end, or stop it") from error  # fmt: skip
        break
    return lambda: os.close(fd)


def is_locked(file: Path) -> bool:
    """Whether some process has the lock. Asking takes a shared lock for an instant, which `take_lock` waits out."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)
