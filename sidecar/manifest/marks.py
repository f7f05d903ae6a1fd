"""The marks that scanners gave to folders, and of what each folder that has one was left out. See sync/marks.py.

Triggers of the schema drop a folder's mark with every change of a row of `files` in it, whoever makes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sidecar.manifest.rows import MarkedFolder, Marks, SourceKey
from sidecar.models import Mark, Problem


class MarkTable:
    """The part of the manifest that remembers marks. Made by it, and locked with it."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
                 read: Callable[[str, Sequence[object]], list[tuple[Any, ...]]]) -> None:  # fmt: skip
        self._transaction = transaction
        self._read = read

    def load(self, key: SourceKey, root: bytes, context: bytes) -> Marks:
        """The marks of a root; none where they were made under another context."""
        found = self._read(
            "SELECT full_ns FROM looks WHERE source_id = ? AND root = ? AND context = ?", (key.source_id, root, context)
        )
        if not found:
            return Marks()
        rows = self._read(
            "SELECT folder, digest, shape, names, since_ns, skipped FROM marks WHERE source_id = ? AND root = ?",
            (key.source_id, root),
        )
        return Marks({r[0]: MarkedFolder(Mark(*r[1:5]), _unpacked(r[0], r[5])) for r in rows}, found[0][0])

    def keep(self, key: SourceKey, root: bytes, context: bytes, full_ns: int, folders: Mapping[bytes, MarkedFolder],
             gone: Iterable[bytes]) -> None:  # fmt: skip
        """Add or replace marks, drop those of `gone`; of another context, drop all. `full_ns`: the last full scan.

        A folder gets a mark only if as many of its files are on record as stored as the mark stands for.
        """
        where = (key.source_id, root)
        with self._transaction() as db:
            db.execute(
                "DELETE FROM marks WHERE source_id = ?1 AND root = ?2 AND NOT EXISTS "
                "(SELECT 1 FROM looks WHERE source_id = ?1 AND root = ?2 AND context = ?3)",
                (*where, context),
            )
            db.execute(
                "INSERT INTO looks VALUES (?, ?, ?, ?) ON CONFLICT (source_id, root) "
                "DO UPDATE SET context = excluded.context, full_ns = excluded.full_ns",
                (*where, context, full_ns),
            )
            db.executemany(
                "DELETE FROM marks WHERE source_id = ? AND root = ? AND folder = ?",
                ((*where, folder) for folder in gone),
            )
            db.executemany(
                "INSERT OR REPLACE INTO marks (source_id, root, folder, digest, shape, names, since_ns, skipped) "
                "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ?9 = (SELECT count(*) FROM files "
                "WHERE source_id = ?1 AND root = ?2 AND folder = ?3 AND state = 'stored')",
                (
                    (*where, folder, f.mark.digest, f.mark.shape, f.mark.names, f.mark.since_ns,
                     _packed(folder, f.skipped), f.mark.names - len(f.skipped))
                    for folder, f in folders.items()
                ),
            )  # fmt: skip


def _packed(folder: bytes, skipped: Iterable[Problem]) -> bytes:
    """Names in the folder and reasons, each ended by NUL, which no name holds."""
    cut = len(folder) + 1 if folder else 0
    return b"".join(p.path[cut:] + b"\0" + p.reason.encode() + b"\0" for p in skipped)


def _unpacked(folder: bytes, data: bytes) -> tuple[Problem, ...]:
    below = folder + b"/" if folder else b""
    parts = data.split(b"\0")
    return tuple(Problem(below + name, reason.decode()) for name, reason in zip(parts[::2], parts[1::2], strict=False))
