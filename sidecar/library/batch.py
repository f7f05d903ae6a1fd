"""Names for a group of files: what is placed together is flushed together, before anybody relies on it."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable

from sidecar.errors import NameUnusable
from sidecar.library.disk import OUT_OF_FILES, digest_of, folder_gone, ours, translated
from sidecar.library.folders import Folder, Folders, Identity
from sidecar.library.names import candidates, split
from sidecar.library.staged import Staged
from sidecar.models import shown
from sidecar.values import dataclass

_HELD = 16  # folders that a batch keeps open at once


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a content ended up. `path` is relative to the library; `existed` when the same bytes were there already."""

    path: bytes
    existed: bool = False


class _NoLink(Exception):
    """A hard link could not be made, for another reason than the name being taken."""


class Batch:
    """Places files of one source, group after group; for one thread at a time, any number beside each other.

    A folder is looked for by its name once in a group. It may be moved while the group is placed: `flush` tells.
    """

    def __init__(self, folders: Folders, root_fd: int, where: str, source: str, stage_in: Callable[[Folder], Staged]
                 ) -> None:  # fmt: skip
        self._folders = folders
        self._root_fd = root_fd
        self._where = where
        self._source = source.encode()
        self._stage_in = stage_in
        self._stage: Folder | None = None
        self._held: OrderedDict[bytes, Folder] = OrderedDict()
        self._touched: dict[bytes, set[Identity]] = {}

    def stage(self, data: bytes, mtime_ns: int) -> Staged:
        """A whole small file on its way in, with the original's mtime, ns since the epoch. Raises LibraryFull."""
        try:
            staged = self._staged()
        except OSError as error:
            raise ours(error, self._where) from error
        try:
            staged.write(data)
            staged.stamp(mtime_ns)
        except BaseException:
            staged.close()
            raise
        return staged

    def _staged(self) -> Staged:
        if self._stage is None:
            self._stage = self._folders.take(self._source)
        try:
            return self._stage_in(self._stage)
        except OSError:  # it may have been deleted since the group began, which kernels say in several ways
            self._stage.release()
            self._stage = None
            self._stage = self._folders.take(self._source)
            return self._stage_in(self._stage)

    def place(self, staged: Staged, path: bytes, sha256: bytes, tag: str = "") -> Placed:
        """Link flushed bytes to `<source>/<path>`, or beside it as `name~<8 hex>.ext` when another content is there.

        `path` is relative, bytes, `/` between parts. `tag` forces that suffix (companions of a file that got one).
        Call `flush` before relying on it. Raises NameUnusable for a path that cannot be a name here.
        """
        return self._place(path, sha256, staged.size, staged.link_to, tag)

    def place_link(self, existing: bytes, path: bytes, sha256: bytes, size: int, tag: str = "") -> Placed | None:
        """Like `place`, as one more hard link to a copy that is in the library; None where links cannot be made."""

        def link(folder: int, name: bytes) -> None:
            try:
                os.link(existing, name, src_dir_fd=self._root_fd, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError as error:
                raise _NoLink from error

        try:
            return self._place(path, sha256, size, link, tag)
        except _NoLink:  # no links on this file system, no more of them, or the copy went away
            return None

    def flush(self) -> None:
        """Names on stable storage: of every folder that gained one since the last call.

        Raises FolderGone when one of them is not in its place any more: what was placed since the last call must then
        not be recorded. The next call knows nothing of it.
        """
        touched, self._touched = self._touched, {}
        self.close()
        with translated(self._where):
            self._folders.dirty(touched)
            self._folders.flush()
            stand = all(len(identities) == 1 and self._folders.stands(path, *identities)
                        for path, identities in touched.items())  # fmt: skip
        if not stand:
            raise folder_gone(self._where)

    def close(self) -> None:
        """Let go of the folders; idempotent, and no end of the batch."""
        while self._held:
            self._held.popitem()[1].release()
        if self._stage is not None:
            self._stage.release()
            self._stage = None

    def _place(self, path: bytes, sha256: bytes, size: int, link: Callable[[int, bytes], None], tag: str) -> Placed:
        head, name = split(path)
        where = self._source + b"/" + head if head else self._source
        try:
            folder = self._held.get(where) or self._reached(where)
            for candidate in candidates(name, sha256, tag):
                existed = False
                try:
                    link(folder.fd, candidate)
                except FileExistsError:
                    if not _holds(folder.fd, candidate, sha256, size):
                        continue
                    existed = True
                return Placed(where + b"/" + candidate, existed)
        except OSError as error:
            raise ours(error, self._where) from error
        raise NameUnusable(f"{self._where}: no free name for {shown(path)}", hint="look into that folder")

    def _reached(self, where: bytes) -> Folder:
        folder = self._held[where] = self._folders.take(where)
        self._touched.setdefault(where, set()).add(folder.identity)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)[1].release()
        return folder


def _holds(folder: int, name: bytes, sha256: bytes, size: int) -> bool:
    """Whether a name holds exactly this content; if so it is flushed, for it may stem from a crash."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in OUT_OF_FILES:
            raise
        return False
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size or digest_of(fd) != (sha256, size):
            return False
        os.fsync(fd)
        return True
    finally:
        os.close(fd)
