"""Copies read again from the disk: what a deletion relies on is what lies there, and nothing that memory holds of it.

A disk answers many questions at once faster than one after the other. So of a group of copies the cached pages are
dropped and the beginnings asked for before the first one is read.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from sidecar.errors import Cancelled
from sidecar.library.disk import OUT_OF_FILES, digest_of
from sidecar.library.folders import reached
from sidecar.library.names import split

AT_ONCE = 32  # copies that are open at once
_AHEAD = 1 << 18  # bytes of each that are asked for before it is read; from there on the kernel reads ahead itself
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Copy = tuple[bytes, int]  # SHA-256, size in bytes


def open_copies(root_fd: int, paths: Sequence[bytes], opened: list[int | None]) -> None:
    """Add a descriptor for each path to `opened`, None where no regular file is there; the caller closes them.

    Folders are opened afresh from the library down, and no link is followed. Raises OSError when too many files are
    open, NameUnusable for an unsafe path.
    """
    for head, some in groupby(map(split, paths), itemgetter(0)):
        names = [name for _, name in some]
        begun = len(opened)
        try:
            with reached(root_fd, head) as folder:
                for name in names:
                    opened.append(_opened(folder, name))  # noqa: PERF401 - each is the caller's as soon as it is open
        except OSError as error:
            if error.errno in OUT_OF_FILES:  # says nothing about the copies
                raise
            opened += [None] * (begun + len(names) - len(opened))


def _opened(folder: int, name: bytes) -> int | None:
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno in OUT_OF_FILES:
            raise
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd


def reread(root_fd: int, paths: Sequence[bytes], stop: threading.Event) -> Iterator[Copy | None]:
    """SHA-256 and size of each copy as the disk has it, None where it is missing or cannot be read.

    Raises as `open_copies`, and Cancelled soon after `stop` was set.
    """
    for at in range(0, len(paths), AT_ONCE):
        opened: list[int | None] = []
        try:
            open_copies(root_fd, paths[at : at + AT_ONCE], opened)
            for fd in opened:
                if fd is not None:
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.posix_fadvise(fd, 0, _AHEAD, os.POSIX_FADV_WILLNEED)
            opened.reverse()
            while opened:
                if stop.is_set():
                    raise Cancelled("cancelled")
                yield _read(opened[-1], stop)
                _close(opened.pop())
        finally:
            for fd in opened:
                _close(fd)


def _read(fd: int | None, stop: threading.Event) -> Copy | None:
    if fd is None:
        return None
    try:
        return digest_of(fd, stop)
    except OSError as error:
        if error.errno in OUT_OF_FILES:
            raise
        return None  # an unreadable copy is no copy


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)
