"""Open folders below the library: reached part by part, shared between threads, and never trusted from memory alone.

People tidy up a library while `serve` runs. A descriptor follows its folder wherever it is moved, so one that is kept
open is used only while the name still leads to it; a copy is read without any of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from sidecar.library.names import split

DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Identity = tuple[int, int]  # device and inode


class Folder:
    """An open folder that several may hold; its descriptor is closed when the last of them lets go."""

    __slots__ = ("_holders", "_lock", "fd", "identity")

    def __init__(self, fd: int, identity: Identity) -> None:
        self.fd = fd
        self.identity = identity
        self._holders = 1
        self._lock = threading.Lock()

    def hold(self) -> Folder:
        """One holder more; answers itself."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """One holder less. Call once for each `hold`, and once for having opened it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                os.close(self.fd)


class Folders:
    """The folders that are being written to, and which of them gained a name since they were last flushed.

    Safe to use from several threads. Nothing waits for the disk's flushes or for a copy's bytes while the lock is
    held. Folders of sources (directly below the library) stay open until `close`.
    """

    LIMIT = 64

    def __init__(self, root_fd: int) -> None:
        self._root = Folder(root_fd, (0, 0))  # the library's own, which closes it; nobody lets go of the first hold
        self._open: OrderedDict[bytes, Folder] = OrderedDict()
        self._dirty: dict[bytes, int] = {}  # and when: a later name makes another number
        self._serial = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def at(self, path: bytes, *, create: bool) -> Iterator[Folder]:
        """The folder that has this name now, open while the block lasts.

        Raises OSError, FileNotFoundError where it is not there and not to be made, NameUnusable for an unsafe path.
        """
        with self._lock:
            folder = self._get(path, create=create).hold()
            self._trim()
        try:
            yield folder
        finally:
            folder.release()

    def take(self, path: bytes) -> Folder:
        """The folder that has this name now, made where it is missing; the caller releases it. Raises as `at`."""
        with self._lock:
            folder = self._get(path, create=True).hold()
            self._trim()
        return folder

    def dirty(self, paths: Iterable[bytes]) -> None:
        """The folders of these names gained names of their own."""
        with self._lock:
            for path in paths:
                self._note(path)

    def flush(self) -> None:
        """Names on stable storage: every folder that gained one since it was last flushed. Raises OSError.

        What is not there any more is passed over: who put something into it has to look whether it `stands`.
        """
        with self._lock:
            todo = sorted(self._dirty.items())
        for path, serial in todo:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), self.at(path, create=False) as folder:
                os.fsync(folder.fd)
            with self._lock:
                if self._dirty.get(path) == serial:  # else it gained another name while this one was flushed
                    del self._dirty[path]

    def stands(self, path: bytes, identity: Identity) -> bool:
        """Whether this name still leads to that folder. Raises OSError."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self.at(path, create=False) as folder:
            return folder.identity == identity
        return False

    def close(self) -> None:
        """Let go of them all."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].release()

    # -- with the lock held -----------------------------------------------------------------------------------------

    def _get(self, path: bytes, *, create: bool) -> Folder:
        folder, at = self._root, b""
        for name in _parts(path):
            above, at = at, (at + b"/" + name if at else name)
            cached = self._open.get(at)
            if cached is not None and cached.identity == _identity_of(name, folder.fd):
                self._open.move_to_end(at)
                folder = cached
                continue
            self._drop(at)
            folder = self._open[at] = self._opened(name, above, folder, create=create)
        return folder

    def _opened(self, name: bytes, above: bytes, parent: Folder, *, create: bool) -> Folder:
        try:
            fd = os.open(name, DIR_FLAGS, dir_fd=parent.fd)
        except FileNotFoundError:
            if not create:
                raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o777, dir_fd=parent.fd)
            self._note(above)
            fd = os.open(name, DIR_FLAGS, dir_fd=parent.fd)
        stat = os.fstat(fd)
        return Folder(fd, (stat.st_dev, stat.st_ino))

    def _note(self, path: bytes) -> None:
        self._serial += 1
        self._dirty[path] = self._serial

    def _drop(self, path: bytes) -> None:
        """Forget a folder and all below it."""
        if path in self._open:
            for gone in [p for p in self._open if p == path or p.startswith(path + b"/")]:
                self._open.pop(gone).release()

    def _trim(self) -> None:
        spare = len(self._open) - self.LIMIT
        if spare > 0:
            for path in [path for path in self._open if b"/" in path][:spare]:
                self._open.pop(path).release()


@contextlib.contextmanager
def reached(root_fd: int, path: bytes) -> Iterator[int]:
    """A descriptor of the folder that has this name now, opened afresh from the library down; raises OSError."""
    fd = root_fd
    try:
        for name in _parts(path):
            below = os.open(name, DIR_FLAGS, dir_fd=fd)
            if fd != root_fd:
                os.close(fd)
            fd = below
        yield fd
    finally:
        if fd != root_fd:
            os.close(fd)


def _parts(path: bytes) -> list[bytes]:
    if path == b"":
        return []
    split(path)
    return path.split(b"/")


def _identity_of(name: bytes, parent_fd: int) -> Identity | None:
    try:
        stat = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
