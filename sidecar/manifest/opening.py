"""Opens the manifest's file, and turns what SQLite raises into this program's errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

from sidecar.errors import LibraryFull, LibraryUnsafe, ManifestDamaged, MediaSyncError
from sidecar.manifest.schema import VERSION, migrate, version_of
from sidecar.models import NS

FILE_NAME = "manifest.sqlite3"
SMALL = 4 << 20  # bytes: a manifest that is checked as a whole whenever it is opened, in about 10 ms
CHECK_EVERY_NS = 24 * 3600 * NS  # how often a larger one is; what is read in between, SQLite checks as it reads it
_CHECKED = "note.checked"
_PATIENCE = 10  # seconds that one connection waits for another's transaction
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last: a table is not there


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise ManifestDamaged, LibraryFull or LibraryUnsafe for what SQLite says; `where` names the manifest.

    What only a mistake of this program can cause (a constraint, a closed connection) stays what it is.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError):
        raise
    except sqlite3.DatabaseError as error:
        raise _ours(where, error) from error


def _ours(where: str, error: sqlite3.DatabaseError) -> MediaSyncError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # without one: text that is no UTF-8
    if code in _BROKEN:
        return ManifestDamaged(f"the {where} is damaged: {error}",
                               hint="keep that file, restore a copy of it or start with a new --state "
                                    "folder")  # fmt: skip
    if code == sqlite3.SQLITE_FULL:
        return LibraryFull(f"the disk of the {where} is full", hint="free space there")
    return LibraryUnsafe(f"the {where} cannot be used: {error}", hint="check owner, permissions and free space")


def make_folder(state: Path) -> None:
    """Make the state folder where it is missing. Raises LibraryUnsafe."""
    try:
        os.makedirs(state, exist_ok=True)
    except OSError as error:
        raise LibraryUnsafe(f"state {state} cannot be used: {(error.strerror or str(error)).lower()}",
                            hint="mount a folder or volume there, or name another with --state") from error  # fmt: skip


def open_to_write(state: Path, now_ns: int) -> sqlite3.Connection:
    """The manifest's file, made or migrated where needed. Raises LibraryUnsafe, LibraryFull, ManifestDamaged.

    `now_ns`, ns since the epoch, tells whether it was checked as a whole a short while ago.
    """
    make_folder(state)
    path = state / FILE_NAME
    fresh = not os.path.exists(path)
    with translated(f"manifest {path}"), contextlib.ExitStack() as undo:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        undo.callback(db.close)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 4000")  # pages: copying the log back costs as much again
        db.execute("PRAGMA foreign_keys = ON")
        due = not fresh and _check_is_due(db, now_ns)
        if due:
            _check(db)
        migrate(db)
        if due and not _is_small(db):
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk, a busy writer: then it is checked again
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_CHECKED, str(now_ns)))
        undo.pop_all()
    if fresh:
        fsync_folder(state)
    return db


def open_to_look(state: Path, now_ns: int) -> sqlite3.Connection | None:
    """The manifest's file, also where it cannot be written; None where there is none. Raises as `open_to_write`."""
    path = state / FILE_NAME
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise LibraryUnsafe(f"state {state} cannot be used: {why}", hint="check owner and permissions") from error
    if os.access(state, os.W_OK | os.X_OK) and os.access(path, os.W_OK):
        return open_to_write(state, now_ns)
    with translated(f"manifest {path}"), contextlib.ExitStack() as undo:
        db = _read_only(path)
        undo.callback(db.close)
        if _check_is_due(db, now_ns):
            _check(db)
        if version_of(db) < VERSION:  # an older program's, which cannot be migrated where it lies
            copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            db.backup(copy)
            undo.callback(copy.close)
            migrate(copy)
            undo.pop_all()
            db.close()
            return copy
        migrate(db)
        undo.pop_all()
    return db


def open_beside(state: Path) -> sqlite3.Connection:
    """One more connection to a manifest that this process has open, which reads and never waits for the writer."""
    path = state / FILE_NAME
    uri = f"file:{quote_from_bytes(os.fsencode(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)


def _read_only(path: Path) -> sqlite3.Connection:
    """Beside a writer its log is read, too; without one SQLite has to be told that nobody will write one."""
    uri = f"file:{quote_from_bytes(os.fsencode(path.absolute()))}?mode=ro"
    log, shared = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not shared.exists() and not (log.exists() and log.stat().st_size):
        uri += "&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)


def _check_is_due(db: sqlite3.Connection, now_ns: int) -> bool:
    """Whether all of it should be read, which takes as long as it is large: a second for a million files."""
    if _is_small(db) or version_of(db) == 0:
        return True
    last = db.execute("SELECT value FROM meta WHERE key = ?", (_CHECKED,)).fetchone()
    return last is None or not 0 <= now_ns - int(last[0]) < CHECK_EVERY_NS


def _is_small(db: sqlite3.Connection) -> bool:
    (pages,), (page,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
    return bool(pages * page <= SMALL)


def _check(db: sqlite3.Connection) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def fsync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
