"""Where each stored file goes in the library, and when bytes that are there already serve again."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence

from sidecar.library import Batch, Library, Placed
from sidecar.manifest import Known, Manifest
from sidecar.media.kinds import group_key
from sidecar.sync.groups import Fetched


def folder_of_root(roots: tuple[bytes, ...], number: int) -> bytes:
    """The folder inside the source's that a root fills: the first fills it directly, others get their own name."""
    if number == 0:
        return b""
    names = [posixpath.basename(root.rstrip(b"/")) or b"root" for root in roots]
    name = names[number]
    return name if name not in names[1:number] else name + b"~%d" % number


class Placer:
    """Places files of one root. Companions follow the file that they belong to when it got another name."""

    def __init__(self, library: Library, manifest: Manifest, source: str, folder: bytes) -> None:
        self.batch: Batch = library.batch(source)
        self._library = library
        self._manifest = manifest
        self._folder = folder
        self._tags: dict[bytes, str] = {}
        self._copies: dict[bytes, tuple[bytes, int]] = {}
        self._fresh: dict[bytes, bytes] = {}

    def recall(self, known: dict[bytes, Known], coming: Collection[bytes]) -> None:
        """Learn which groups among the coming paths have a member that was stored under another name before.

        A member that comes itself is no guide: its bytes are new, and the name of its last ones is taken by those.
        """
        groups = {group_key(path) for path in coming}
        for path, record in known.items():
            if path not in coming and (group := group_key(path)) in groups:
                self._remember(group, path, record.library_path)

    def group_begins(self, group: Sequence[Fetched]) -> None:
        """These will be placed: the manifest is asked once for the copies that are there already."""
        self._copies = self._manifest.copies_of([f.sha256 for f in group])

    def place(self, fetched: Fetched) -> tuple[Placed, bool]:
        """Give a flushed file its name; answers where, and whether its bytes were in the library already."""
        path = fetched.stat.path
        wanted = self._folder + b"/" + path if self._folder else path
        tag = self._tags.get(fetched.group, "")
        placed, duplicate = self._linked(fetched, wanted, tag), True
        if placed is None:
            placed, duplicate = self.batch.place(fetched.staged(self.batch), wanted, fetched.sha256, tag), False
        self._fresh[fetched.sha256] = placed.path
        if not tag:
            self._remember(fetched.group, path, placed.path)
        return placed, duplicate

    def group_done(self) -> None:
        """What was placed is recorded now: the manifest remembers it from here."""
        self._fresh.clear()
        self._copies = {}

    def close(self) -> None:
        """Let go of the library's folders; idempotent."""
        self.batch.close()

    def _linked(self, fetched: Fetched, wanted: bytes, tag: str) -> Placed | None:
        """One more name for a copy that is there and proves to be the same; None when there is none to trust."""
        existing = self._fresh.get(fetched.sha256)
        if existing is None:
            copy = self._copies.get(fetched.sha256)
            if copy is None or self._library.rehash(copy[0]) != (fetched.sha256, copy[1]):
                return None
            existing = copy[0]
        return self.batch.place_link(existing, wanted, fetched.sha256, fetched.stat.size, tag)

    def _remember(self, group: bytes, path: bytes, library_path: bytes) -> None:
        if library_path.endswith(b"/" + path):
            return
        own, given = posixpath.basename(path), posixpath.basename(library_path)
        if own == given:
            return
        stem = given.rpartition(b".")[0] or given
        self._tags.setdefault(group, stem.rpartition(b"~")[2].decode("ascii", "replace"))
