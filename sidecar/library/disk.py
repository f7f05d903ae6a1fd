"""What the library asks of the file system, and how its errors become ours."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator

from sidecar.errors import LibraryFull, LibraryUnsafe, NameUnusable
from sidecar.library.names import split
from sidecar.models import shown

DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_SIZE = 1 << 20
_RENAME_NOREPLACE = 1


class Folders:
    """Open folders below the library, opened part by part without following links; knows which need a flush."""

    LIMIT = 64

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._dirty: set[bytes] = set()

    def open(self, path: bytes, *, create: bool) -> int:
        """A descriptor of the folder, valid until many others were opened."""
        if path == b"":
            return self._root_fd
        cached = self._open.get(path)
        if cached is not None:
            self._open.move_to_end(path)
            return cached
        head, name = split(path)
        parent = self.open(head, create=create)
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
        if len(self._open) > self.LIMIT:
            for victim in list(self._open):
                if victim.count(b"/") > 0 and not path.startswith(victim) and victim not in self._dirty:
                    os.close(self._open.pop(victim))
                    break
        return fd

    def dirty(self, path: bytes) -> None:
        self._dirty.add(path)

    def flush(self) -> None:
        for path in sorted(self._dirty):
            os.fsync(self.open(path, create=False))
        self._dirty.clear()

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def digest_of(fd: int) -> bytes:
    digest = hashlib.sha256()
    while data := os.read(fd, _READ_SIZE):
        digest.update(data)
    return digest.digest()


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
