"""One file's bytes between the wire and their name."""

from __future__ import annotations

import contextlib
import errno
import os

from sidecar.library.disk import ours, rename_noreplace, syncfs, translated
from sidecar.library.folders import Folder


class Staged:
    """Bytes on their way in: an open file without a name (or with a temporary one where the file system needs it)."""

    def __init__(self, fd: int, where: str, temporary: tuple[Folder, bytes] | None = None) -> None:
        self._fd = fd
        self._where = where
        self._temporary = temporary
        self.size = 0
        self._sent = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises LibraryFull when the disk is."""
        try:
            done = os.write(self._fd, data)
            while done < len(data):  # a short write: disk nearly full, or a signal
                done += os.write(self._fd, memoryview(data)[done:])
        except OSError as error:
            raise ours(error, self._where) from error
        self.size += len(data)

    def write_back(self) -> None:
        """Let the disk begin, so that `flush` has less to wait for. May hold up whoever calls it."""
        with contextlib.suppress(OSError):  # a hint, which not every kernel takes
            os.posix_fadvise(self._fd, self._sent, self.unsent, os.POSIX_FADV_DONTNEED)
        self._sent = self.size

    @property
    def unsent(self) -> int:
        """Bytes that `write_back` was not called for."""
        return self.size - self._sent

    def stamp(self, mtime_ns: int) -> None:
        """Give the copy the original's mtime, ns since the epoch."""
        with contextlib.suppress(OSError, OverflowError):  # a mtime that cannot be held is no reason to lose the bytes
            os.utime(self._fd, ns=(mtime_ns, mtime_ns))

    def flush(self) -> None:
        """Bytes and mtime on stable storage."""
        with translated(self._where):
            os.fsync(self._fd)

    def flush_all(self) -> None:
        """Everything on its file system on stable storage."""
        with translated(self._where):
            syncfs(self._fd)

    def link_to(self, folder: int, name: bytes) -> None:
        """Give it its name, never replacing. Raises FileExistsError."""
        if self._temporary is None:
            os.link(f"/proc/self/fd/{self._fd}", name, dst_dir_fd=folder, follow_symlinks=True)
            return
        own, temporary = self._temporary
        try:
            os.link(temporary, name, src_dir_fd=own.fd, dst_dir_fd=folder)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            rename_noreplace(own.fd, temporary, folder, name)

    def close(self) -> None:
        """Forget it; bytes that got no name are gone. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self._temporary is not None:
                folder, name = self._temporary
                try:
                    with contextlib.suppress(FileNotFoundError):  # renamed, or deleted with its folder
                        os.unlink(name, dir_fd=folder.fd)
                finally:
                    folder.release()
