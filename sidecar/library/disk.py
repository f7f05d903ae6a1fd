"""What the library asks of the file system, and how its errors become ours."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator

from sidecar.errors import Cancelled, FolderGone, LibraryFull, LibraryUnsafe, MediaSyncError, NameUnusable, TooManyOpen
from sidecar.host.mounts import mount_of
from sidecar.models import shown

_READ_SIZE = 1 << 20
_WHOLE = frozenset(("ext3", "ext4", "xfs", "btrfs", "f2fs"))
_RENAME_NOREPLACE = 1


OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


def digest_of(fd: int, stop: threading.Event | None = None) -> tuple[bytes, int]:
    """SHA-256 and size of what is read to the end. Raises OSError, and Cancelled soon after `stop` was set."""
    digest, size = hashlib.sha256(), 0
    while data := os.read(fd, _READ_SIZE):
        digest.update(data)
        size += len(data)
        if stop is not None and stop.is_set():
            raise Cancelled("cancelled")
    return digest.digest(), size


def flushes_whole(path: str) -> bool:
    """Whether one syncfs of the file system at `path` flushes every file on it, and reports errors of doing so.

    True for local file systems whose sync_fs ends in a journal commit or log force with a device flush; errors since
    Linux 5.8 (syncfs(2)). Others (network, FUSE) get an fsync for each file.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    return release >= (5, 8) and mount_of(path).kind in _WHOLE


def syncfs(fd: int) -> None:
    """Everything on the file system of `fd` on stable storage. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def rename_noreplace(src_folder: int, src: bytes, dst_folder: int, dst: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(src_folder, src, dst_folder, dst, _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), shown(dst))


def why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise ours(error, what) from error


def ours(error: OSError, what: str) -> MediaSyncError:
    """What an error of the file system is to this program."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LibraryFull(f"{what} is full", hint="free space there; nothing was deleted at the source")
    if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
        return NameUnusable(f"the name cannot be used in {what}: {why(error)}", hint="rename what is there")
    if error.errno in OUT_OF_FILES:
        return too_many_open(what)
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return folder_gone(what)
    return LibraryUnsafe(f"{what} cannot be written: {why(error)}", hint="check the disk")


def too_many_open(what: str) -> TooManyOpen:
    return TooManyOpen(f"{what}: too many open files",
                       hint="raise the limit: ulimit -n, or --ulimit nofile= of the container")  # fmt: skip


def folder_gone(what: str) -> FolderGone:
    return FolderGone(f"a folder of {what} was moved or deleted while it was written to",
                      hint="nothing of it was recorded; the next pass pulls it again")  # fmt: skip
