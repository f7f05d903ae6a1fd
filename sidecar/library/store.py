"""Durable, whole-or-absent, no-overwrite storage of bytes under safe names.

A file is staged without a name, flushed, and only then linked to its name; a crash at any instant leaves whole files
or nothing. An existing name is never replaced. Folders are opened part by part without following links, so nothing
that a source says can lead a write outside the source's folder; a folder that was moved away is not written to again.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sidecar.errors import LibraryUnsafe
from sidecar.host.locks import take_lock
from sidecar.library.batch import Batch
from sidecar.library.disk import flushes_whole, too_many_open, translated, why
from sidecar.library.folders import DIR_FLAGS, Folder, Folders
from sidecar.library.marker import OWN_FOLDER, bind_marker, check_writable, not_writable, read_marker
from sidecar.library.names import TEMPORARY
from sidecar.library.rereading import open_copies, reread
from sidecar.library.staged import Staged
from sidecar.models import INODE_BITS

MANY = 24  # files of a group from which on one flush of the whole file system is the cheaper one


class Library:
    """An opened and locked library. Safe to use from several threads for different files."""

    def __init__(self, root: Path, root_fd: int, unlock: Callable[[], None], library_id: str, *,
                 unnamed: bool = False) -> None:  # fmt: skip
        self.root = root
        self.id = library_id
        self._root_fd = root_fd
        self._unlock = unlock
        self._tmpfile = unnamed
        self._whole = flushes_whole(str(root))
        self._folders = Folders(root_fd)

    @classmethod
    def open(cls, root: Path, *, expect: str | None) -> Library:
        """Open the library at `root` for writing.

        `expect` is the library id that the manifest belongs to, None for a new manifest (then an unmarked folder
        gets a marker). Raises LibraryUnsafe (not writable, a file system that cannot name files safely, marker missing
        or foreign) and Locked.
        """
        try:
            if expect is None:
                os.makedirs(root / OWN_FOLDER, exist_ok=True)
            root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if expect is None:
                raise not_writable(root, error) from error
            raise LibraryUnsafe(f"library {root}: {why(error)}",
                                hint="mount the disk, or point --library at it") from error  # fmt: skip
        unlock: Callable[[], None] | None = None
        try:
            if expect is not None:
                bind_marker(root, expect)
            unlock = take_lock(root / OWN_FOLDER / "lock", f"library {root}")
            library_id = bind_marker(root, expect)
            unnamed = check_writable(root, root_fd)
        except BaseException:
            os.close(root_fd)
            if unlock is not None:
                unlock()
            raise
        return cls(root, root_fd, unlock, library_id, unnamed=unnamed)

    @classmethod
    def look(cls, root: Path, *, expect: str | None) -> Library:
        """Open for reading only: nothing is made or locked. Raises LibraryUnsafe when what is expected is not there."""
        if expect is not None:
            bind_marker(root, expect)
        try:
            root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:  # there is no library yet: every copy that is asked for is missing
            root_fd = -1
        return cls(root, root_fd, lambda: None, expect or "")

    def close(self) -> None:
        """Release folders and the lock; idempotent."""
        if self._root_fd >= 0:
            self._folders.close()
            os.close(self._root_fd)
            self._root_fd = -1
            self._unlock()

    def check_marker(self) -> None:
        """Raise LibraryUnsafe unless the library that was opened still is the one at its path (unmounted, swapped)."""
        if (read_marker(self.root) or "") != self.id:
            raise LibraryUnsafe(f"library {self.root}: its marker is gone", hint="is the disk still mounted?")
        if self._root_fd < 0:
            return
        try:
            same = os.path.samestat(os.stat(self.root), os.fstat(self._root_fd))
        except OSError:
            same = False
        if not same:
            raise LibraryUnsafe(f"library {self.root}: another folder has its place since it was opened",
                                hint="start media-sync again once the right disk is mounted")  # fmt: skip

    def inode_of(self, path: bytes = b"") -> tuple[int, int]:
        """(device, inode) of a place in the library, as a scan keeps them; raises OSError."""
        found = os.stat(path or b".", dir_fd=self._root_fd, follow_symlinks=False)
        return found.st_dev, found.st_ino & INODE_BITS

    # -- writing ----------------------------------------------------------------------------------------------------

    def batch(self, source: str) -> Batch:
        """Gives files of one source their names, and stages what is small; the caller closes it."""
        return Batch(self._folders, self._root_fd, f"library {self.root}", source, self._stage_in)

    def stage(self, source: str) -> Staged:
        """A place for one file's bytes, without a name, on the file system of the source's folder."""
        with translated(f"library {self.root}"), self._folders.at(source.encode(), create=True) as folder:
            return self._stage_in(folder)

    def _stage_in(self, folder: Folder) -> Staged:
        where = f"library {self.root}"
        if self._tmpfile:
            try:
                flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
                return Staged(os.open(b".", flags, 0o666, dir_fd=folder.fd), where)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
                self._tmpfile = False
        name = TEMPORARY + secrets.token_hex(8).encode()
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        return Staged(os.open(name, flags, 0o666, dir_fd=folder.fd), where, (folder.hold(), name))

    def flush(self, staged: Sequence[Staged], pool: ThreadPoolExecutor) -> None:
        """Bytes of a group on stable storage.

        Many files at once are flushed with their whole file system where that is sound: one journal commit instead
        of one each. A few are flushed on their own, because a whole flush also waits for what others write there.
        """
        if self._whole and len(staged) >= MANY:
            staged[0].flush_all()
            return
        for _ in pool.map(Staged.flush, staged):
            pass

    # -- reading ----------------------------------------------------------------------------------------------------

    def open_copy(self, path: bytes) -> int | None:
        """A copy opened for reading, a descriptor that the caller closes; None when no regular file is there.

        Its folders are opened afresh and no link is followed: what was moved elsewhere does not count, and nothing
        outside the library is reached. Raises TooManyOpen, NameUnusable.
        """
        opened: list[int | None] = []
        try:
            open_copies(self._root_fd, [path], opened)
        except OSError as error:
            raise too_many_open(f"library {self.root}") from error
        return opened[0]

    def rehash(self, path: bytes) -> tuple[bytes, int] | None:
        """SHA-256 and size of a copy, re-read from disk (cached pages are dropped first); None when it is not there.

        Raises as `open_copy`.
        """
        return self.rehash_all([path])[0]

    def rehash_all(self, paths: Sequence[bytes], stop: threading.Event | None = None) -> list[tuple[bytes, int] | None]:
        """The same for many copies, of which those in one folder had best come together.

        Raises as `open_copy`, and Cancelled soon after `stop` was set.
        """
        try:
            return list(reread(self._root_fd, paths, stop or threading.Event()))
        except OSError as error:
            raise too_many_open(f"library {self.root}") from error

    def sweep(self) -> int:
        """Remove temporary names that a crash left; answers how many. The lock makes sure that nobody uses them."""
        removed = 0
        for source in os.listdir(self._root_fd):
            try:
                folder = os.open(source, DIR_FLAGS, dir_fd=self._root_fd)
            except OSError:
                continue
            try:
                for name in os.listdir(folder):
                    if os.fsencode(name).startswith(TEMPORARY):
                        os.unlink(name, dir_fd=folder)
                        removed += 1
            finally:
                os.close(folder)
        return removed
