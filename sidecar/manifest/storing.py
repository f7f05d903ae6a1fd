"""The SQL of files that were stored, inside a transaction of the manifest's.

Many rows go into one statement: the interpreter's lock is let go for each that is run, and while other threads read
files it takes longer to get it back than to insert a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from sidecar.manifest.rows import NewFile, SourceKey
from sidecar.manifest.schema import folder_of

_ROWS = 64  # in one statement; SQLite takes 999 values at least

_CONTENT = ("INSERT INTO contents (hash, size, kind, incomplete, library_path, stored_ns) VALUES {} "
            "ON CONFLICT (hash) DO UPDATE SET library_path = excluded.library_path")  # fmt: skip
_FILE = ("INSERT INTO files (source_id, root, path, size, mtime_ns, inode, exact, generation_id, hash, library_path, "
         "state, stored_ns, folder) VALUES {}")  # fmt: skip
_REPLACED = ("UPDATE files SET state = 'replaced', ended_ns = ? "
             "WHERE source_id = ? AND root = ? AND state = 'stored' AND path IN ({})")  # fmt: skip
_WAITS_NO_MORE = "DELETE FROM waiting WHERE source_id = ? AND root = ? AND path IN ({})"


def add_files(db: sqlite3.Connection, key: SourceKey, root: bytes, files: Sequence[NewFile], now_ns: int) -> None:
    """Files with their contents; what was stored under their paths before is replaced, and waits no more."""
    source = key.source_id
    for some in _few(files):
        _insert(db, _CONTENT, [(f.hash, f.stat.size, f.kind, f.incomplete, f.library_path, now_ns) for f in some])
        paths = [f.stat.path for f in some]
        marks = ", ".join("?" * len(paths))
        db.execute(_REPLACED.format(marks), (now_ns, source, root, *paths))
        db.execute(_WAITS_NO_MORE.format(marks), (source, root, *paths))
        _insert(db, _FILE, [(source, root, f.stat.path, f.stat.size, f.stat.mtime_ns, f.stat.inode, f.stat.exact,
                             key.generation_id, f.hash, f.library_path, "stored", now_ns, folder_of(f.stat.path))
                            for f in some])  # fmt: skip


def _insert(db: sqlite3.Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    row = f"({', '.join('?' * len(rows[0]))})"
    db.execute(sql.format(", ".join([row] * len(rows))), [value for one in rows for value in one])


def _few(files: Sequence[NewFile]) -> Iterator[Sequence[NewFile]]:
    for at in range(0, len(files), _ROWS):
        yield files[at : at + _ROWS]
