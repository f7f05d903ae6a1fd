"""What the library asks of the file system, and how its errors become ours."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator

from sidecar.errors import LibraryFull, LibraryUnsafe, NameUnusable
from sidecar.library.names import split
from sidecar.models import shown
from sidecar.mounts import mount_of

DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_SIZE = 1 << 20
_WHOLE = frozenset(("ext3", "ext4", "xfs", "btrfs", "f2fs"))
_RENAME_NOREPLACE = 1


class Folders:
    """Open folders below the library, opened part by part without following links; knows which need a flush.

    Safe to use from several threads: a descriptor is good while its `at` block lasts. Those of sources (folders
    directly below the library) stay open until `close`.
    """

    LIMIT = 64

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._dirty: set[bytes] = set()
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def at(self, path: bytes, *, create: bool) -> Iterator[int]:
        """A descriptor of the folder. Raises OSError, FileNotFoundError where it is not there and not to be made."""
        with self._lock:
            yield self._get(path, create=create)
            self._trim()

    def dirty(self, path: bytes) -> None:
        """This folder gained a name."""
        with self._lock:
            self._dirty.add(path)

    def flush(self) -> None:
        """Names on stable storage: every folder that gained one since the last call."""
        with self._lock:
            for path in sorted(self._dirty):
                os.fsync(self._get(path, create=False))
            self._dirty.clear()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()

    def _get(self, path: bytes, *, create: bool) -> int:
        if path == b"":
            return self._root_fd
        cached = self._open.get(path)
        if cached is not None:
            self._open.move_to_end(path)
            return cached
        head, name = split(path)
        parent = self._get(head, create=create)
        try:
            fd = os.open(name, DIR_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            if not create:
                raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o777, dir_fd=parent)
            self._dirty.add(head)
            fd = os.open(name, DIR_FLAGS, dir_fd=parent)
        self._open[path] = fd
        return fd

    def _trim(self) -> None:
        spare = len(self._open) - self.LIMIT
        if spare > 0:
            for path in [path for path in self._open if b"/" in path][:spare]:
                os.close(self._open.pop(path))


def digest_of(fd: int) -> bytes:
    digest = hashlib.sha256()
    while data := os.read(fd, _READ_SIZE):
        digest.update(data)
    return digest.digest()


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
    except OSError as error:
        if isinstance(error, FileExistsError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LibraryFull(f"{what} is full", hint="free space there; nothing was deleted at the source") from error
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL):
            raise NameUnusable(
                f"the name cannot be used in {what}: {why(error)}", hint="rename what is there"
            ) from error
        raise LibraryUnsafe(f"{what} cannot be written: {why(error)}", hint="check the disk") from error
