"""The manifest: one SQLite file, one writer, `synchronous=FULL`. SQL for SQLite is here and in the modules beside."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sidecar.manifest.costs import CostTable
from sidecar.manifest.deliveries import DeliveryTable
from sidecar.manifest.findings import FindingTable
from sidecar.manifest.history import add_job, read_job, read_jobs, read_last_jobs
from sidecar.manifest.marks import MarkTable
from sidecar.manifest.opening import open_to_look, open_to_write, translated
from sidecar.manifest.purges import Ended, add_intents, end_intents
from sidecar.manifest.rows import Item, JobRow, Known, NewFile, OpenPurge, Recorded, SourceKey, SourceTotals, Waiting
from sidecar.manifest.schema import migrate
from sidecar.manifest.search import EVERYTHING, ItemFilter, read_items, read_totals
from sidecar.manifest.storing import add_files
from sidecar.models import FileStat, Source

_KNOWN = (
    "SELECT path, id, size, mtime_ns, inode, exact, generation_id, hash, library_path, stored_ns "
    "FROM files WHERE source_id = ? AND root = ? AND state = 'stored'"
)
_WAITING = "SELECT path, size, mtime_ns, inode, since_ns, fetched, reason FROM waiting WHERE source_id = ? AND root = ?"


class Manifest:
    """The open manifest. Safe to call from several threads; each writing call is one committed transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._mutex = threading.RLock()
        self.marks = MarkTable(self._transaction, self._read)
        self.costs = CostTable(self._transaction, self._read)
        self.findings = FindingTable(self._transaction, self._read)
        self.deliveries = DeliveryTable(self._transaction, self._read)

    @classmethod
    def open(cls, state: Path, clock_ns: Callable[[], int] = time.time_ns) -> Manifest:
        """Open or create `state/manifest.sqlite3`.

        Raises LibraryUnsafe when the folder cannot be written, LibraryFull when there is no space, ManifestDamaged when
        the file is not a sound manifest. Every method raises these, too. A large one is checked as a whole once a day.
        """
        return cls(open_to_write(state, clock_ns()))

    @classmethod
    def open_existing(cls, state: Path, clock_ns: Callable[[], int] = time.time_ns) -> Manifest | None:
        """Open for looking only, also where nothing can be written; None when nothing was ever stored with it.

        Raises as `open` does.
        """
        db = open_to_look(state, clock_ns())
        return None if db is None else cls(db)

    @classmethod
    def empty(cls) -> Manifest:
        """One that knows nothing and is nowhere on disk, for a look at what a first run would do."""
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(db)
        return cls(db)

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._mutex:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, translated("manifest"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself takes back what a full disk or a damaged page stopped
                    self._db.execute("ROLLBACK")
                raise

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._mutex, translated("manifest"):
            return self._db.execute(sql, values).fetchall()

    # -- library and sources ----------------------------------------------------------------------------------------

    def library_id(self) -> str | None:
        """The id of the library that this manifest describes; None before its first use."""
        rows = self._read("SELECT value FROM meta WHERE key = 'library_id'")
        return str(rows[0][0]) if rows else None

    def bind_library(self, library_id: str) -> None:
        """Remember the library; a manifest never changes to another."""
        with self._transaction() as db:
            db.execute("INSERT INTO meta VALUES ('library_id', ?) ON CONFLICT DO NOTHING", (library_id,))

    def note(self, key: str) -> str | None:
        """A note that this program left for itself."""
        rows = self._read("SELECT value FROM meta WHERE key = ?", ("note." + key,))
        return str(rows[0][0]) if rows else None

    def set_note(self, key: str, value: str) -> None:
        """Leave a note."""
        with self._transaction() as db:
            db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                       ("note." + key, value))  # fmt: skip

    def enter(self, source: Source, now_ns: int) -> SourceKey:
        """The source and its present generation, recorded when they are new."""
        known = self._read(
            "SELECT s.id, g.id FROM sources s JOIN generations g ON g.source_id = s.id AND g.token = ? "
            "WHERE s.name = ? AND s.kind = ? AND s.transport = ?",
            (source.generation, source.name, source.kind, source.transport),
        )
        if known:  # nearly always: a pass where nothing happened need not wait for the disk
            return SourceKey(known[0][0], known[0][1], source.name)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO sources (name, kind, transport) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, transport = excluded.transport",
                (source.name, source.kind, source.transport),
            )
            (source_id,) = db.execute("SELECT id FROM sources WHERE name = ?", (source.name,)).fetchone()
            db.execute(
                "INSERT INTO generations (source_id, token, container, first_seen_ns) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (source_id, source.generation, source.container, now_ns),
            )
            (generation_id,) = db.execute(
                "SELECT id FROM generations WHERE source_id = ? AND token = ?", (source_id, source.generation)
            ).fetchone()
        return SourceKey(source_id, generation_id, source.name)

    def look_up(self, source: Source) -> SourceKey:
        """Like `enter`, and records nothing: what was never entered has -1 in place of its numbers."""
        rows = self._read(
            "SELECT s.id, coalesce(g.id, -1) FROM sources s "
            "LEFT JOIN generations g ON g.source_id = s.id AND g.token = ? WHERE s.name = ?",
            (source.generation, source.name),
        )
        source_id, generation_id = rows[0] if rows else (-1, -1)
        return SourceKey(source_id, generation_id, source.name)

    # -- what is known of a root ------------------------------------------------------------------------------------

    def known(self, key: SourceKey, root: bytes) -> dict[bytes, Known]:
        """Every file of the root whose original was there at the last look, by path."""
        return _by_path(self._read(_KNOWN, (key.source_id, root)))

    def known_in(self, key: SourceKey, root: bytes, folders: Iterable[bytes]) -> dict[bytes, Known]:
        """Of `known`, what lies directly in these folders."""
        one = _KNOWN + " AND folder = ?"
        return _by_path(row for folder in folders for row in self._read(one, (key.source_id, root, folder)))

    def known_between(self, key: SourceKey, root: bytes, ranges: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Known]:
        """Of `known`, paths from the first up to the second of each pair, the second left out."""
        some = _KNOWN + " AND path >= ? AND path < ?"
        return _by_path(row for pair in ranges for row in self._read(some, (key.source_id, root, *pair)))

    def folders(self, key: SourceKey, root: bytes) -> list[bytes]:
        """The folders that `known` files lie in, each found by one step in an index, however many files it has."""
        rows = self._read(
            """
            WITH RECURSIVE found (folder) AS (
                SELECT min(folder) FROM files WHERE source_id = ?1 AND root = ?2 AND state = 'stored'
                UNION ALL
                SELECT (SELECT min(folder) FROM files
                        WHERE source_id = ?1 AND root = ?2 AND state = 'stored' AND folder > found.folder)
                FROM found WHERE found.folder IS NOT NULL
            )
            SELECT folder FROM found WHERE folder IS NOT NULL
            """,
            (key.source_id, root),
        )
        return [r[0] for r in rows]

    def waiting(self, key: SourceKey, root: bytes) -> dict[bytes, Waiting]:
        """What was not settled at the last look, by path."""
        rows = self._read(_WAITING, (key.source_id, root))
        return {r[0]: Waiting(r[1], r[2], r[3], r[4], bool(r[5]), r[6]) for r in rows}

    def waiting_at(self, key: SourceKey, root: bytes, paths: Iterable[bytes]) -> dict[bytes, Waiting]:
        """Of `waiting`, these paths."""
        rows = [r for path in paths for r in self._read(_WAITING + " AND path = ?", (key.source_id, root, path))]
        return {r[0]: Waiting(r[1], r[2], r[3], r[4], bool(r[5]), r[6]) for r in rows}

    def set_waiting(self, key: SourceKey, root: bytes, waiting: dict[bytes, Waiting],
                    paths: Iterable[bytes] | None = None) -> None:  # fmt: skip
        """Replace what waits in a root, or at these paths of it."""
        with self._transaction() as db:
            if paths is None:
                db.execute("DELETE FROM waiting WHERE source_id = ? AND root = ?", (key.source_id, root))
            else:
                db.executemany("DELETE FROM waiting WHERE source_id = ? AND root = ? AND path = ?",
                               ((key.source_id, root, path) for path in paths))  # fmt: skip
            db.executemany(
                "INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (key.source_id, root, path, w.size, w.mtime_ns, w.inode, w.since_ns, w.fetched, w.reason)
                    for path, w in waiting.items()
                ),
            )

    def confirm(
        self, key: SourceKey, seen: Iterable[tuple[int, FileStat]], now_ns: int, vanished: Iterable[int]
    ) -> None:
        """Record one look at a root: files seen unchanged in this generation, and files that are not there any more."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE files SET generation_id = ?, inode = ?, mtime_ns = ?, exact = ? WHERE id = ?",
                ((key.generation_id, s.inode, s.mtime_ns, s.exact, file_id) for file_id, s in seen),
            )
            db.executemany(
                "UPDATE files SET state = 'vanished', ended_ns = ? WHERE id = ? AND state = 'stored'",
                ((now_ns, file_id) for file_id in vanished),
            )

    def copies_of(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[bytes, int]]:
        """Library path and size of each of these contents that is stored, by hash."""
        found: dict[bytes, tuple[bytes, int]] = {}
        for at in range(0, len(hashes), 500):
            some = hashes[at : at + 500]
            marks = ",".join("?" * len(some))
            rows = self._read(f"SELECT hash, library_path, size FROM contents WHERE hash IN ({marks})", some)  # noqa: S608
            found.update((r[0], (r[1], r[2])) for r in rows)
        return found

    def record(self, key: SourceKey, root: bytes, files: Sequence[NewFile], now_ns: int) -> None:
        """Commit a group of stored files. Their copies and folder entries must be on stable storage already."""
        with self._transaction() as db:
            add_files(db, key, root, files, now_ns)

    # -- purging ----------------------------------------------------------------------------------------------------

    def intend(self, key: SourceKey, job: str, items: Sequence[tuple[int, bytes]], owner: tuple[int, int], now_ns: int,
               ended: Sequence[Ended] = ()) -> None:  # fmt: skip
        """Record, before anything is touched, which originals are about to go: (file id, private name) each.

        `ended` is what became of those before them, as for `conclude`: one wait for the disk in place of two.
        """
        with self._transaction() as db:
            end_intents(db, job, ended, now_ns)
            add_intents(db, key, job, items, owner, now_ns)

    def conclude(self, job: str, ended: Sequence[Ended], now_ns: int) -> None:
        """Record what became of intended purges: (file id, outcome, detail) each.

        A stranded original's intent stays open, for `settle` has to find it a name. One that changed without its stat
        telling so is forgotten as stored, so that the next sync pulls it again.
        """
        with self._transaction() as db:
            end_intents(db, job, ended, now_ns)

    def distrust(self, file_ids: Iterable[int], now_ns: int) -> None:
        """Forget files as stored, because their copies do not prove themselves: the next sync pulls them again."""
        with self._transaction() as db:
            db.executemany("UPDATE files SET state = 'replaced', ended_ns = ? WHERE id = ? AND state = 'stored'",
                           ((now_ns, file_id) for file_id in file_ids))  # fmt: skip

    def recorded(self, source: str, before: int | None, limit: int) -> list[Recorded]:
        """Files of a source with their copies, newest first, those with IDs below `before`.

        Left out is a copy that did not prove itself and whose content was stored again elsewhere.
        """
        rows = self._read(
            "SELECT f.id, f.root, f.path, f.library_path, f.hash, f.size, f.state = 'stored', f.id <= g.file_id "
            "FROM files f JOIN contents c ON c.hash = f.hash LEFT JOIN given_up g ON g.library_path = f.library_path "
            "WHERE f.source_id = (SELECT id FROM sources WHERE name = ?1) AND (?2 IS NULL OR f.id < ?2) "
            "AND NOT (f.state = 'replaced' AND c.library_path != f.library_path) "
            "ORDER BY f.id DESC LIMIT ?3",
            (source, before, limit),
        )
        return [Recorded(r[0], r[1], r[2], r[3], r[4], r[5], bool(r[6]), bool(r[7])) for r in rows]

    def give_up(self, copies: Iterable[Recorded]) -> None:
        """Somebody says that these copies were deleted on purpose; what is stored in their places later was not."""
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO given_up VALUES (?, ?)",
                           ((copy.library_path, copy.file_id) for copy in copies))  # fmt: skip

    def take_back(self, copies: Iterable[Recorded]) -> None:
        """These copies are there again, so that they can be lost again."""
        with self._transaction() as db:
            db.executemany("DELETE FROM given_up WHERE library_path = ?", ((copy.library_path,) for copy in copies))

    def open_purges(self, key: SourceKey, root: bytes) -> list[OpenPurge]:
        """Intents without an outcome, also of earlier generations, which may have left files on a volume."""
        rows = self._read(
            "SELECT p.id, p.file_id, f.path, p.private, p.uid, p.gid, p.generation_id "
            "FROM purges p JOIN files f ON f.id = p.file_id WHERE p.outcome IS NULL AND f.source_id = ? AND f.root = ?",
            (key.source_id, root),
        )
        return [OpenPurge(*r) for r in rows]

    def settle(self, outcomes: Sequence[tuple[OpenPurge, str]], now_ns: int) -> None:
        """Close interrupted intents. `purged` says that the original went: the run died before it could say so."""
        with self._transaction() as db:
            for intent, outcome in outcomes:
                db.execute(
                    "UPDATE purges SET outcome = ?, detail = 'settled later', ended_ns = ? WHERE id = ?",
                    (outcome, now_ns, intent.purge_id),
                )
                if outcome == "purged":
                    db.execute(
                        "UPDATE files SET state = 'purged', ended_ns = ? WHERE id = ? AND state = 'stored'",
                        (now_ns, intent.file_id),
                    )

    # -- jobs and reports -------------------------------------------------------------------------------------------

    def queue_job(self, job: str, action: str, cause: str, now_ns: int, sources: Sequence[str] = ()) -> None:
        """Record that a job waits for its turn."""
        with self._transaction() as db:
            add_job(db, (job, action, cause, json.dumps(sources), "queued", now_ns, None))

    def start_job(self, job: str, action: str, cause: str, now_ns: int, sources: Sequence[str] = ()) -> None:
        """Record that a job began, queued or not; old ones beyond the newest thousand are dropped."""
        with self._transaction() as db:
            waited = db.execute("UPDATE jobs SET state = 'running', cause = ?, started_ns = ? WHERE id = ?",
                                (cause, now_ns, job))  # fmt: skip
            if not waited.rowcount:
                add_job(db, (job, action, cause, json.dumps(sources), "running", now_ns, now_ns))

    def end_job(self, job: str, ok: bool, report: str, now_ns: int, state: str = "", *, quiet: bool = False) -> None:
        """Record how a job ended, also one that never began. `quiet`: nobody asked for it, and it had nothing to do."""
        with self._transaction() as db:
            db.execute("UPDATE jobs SET ended_ns = ?, ok = ?, report = ?, state = ?, quiet = ? WHERE id = ?",
                       (now_ns, ok, report, state or ("done" if ok else "partly"), quiet, job))  # fmt: skip

    def close_jobs(self, report: str, now_ns: int) -> int:
        """Record as failed, for the reason in `report`, what a killed process left open. Answers how many."""
        with self._transaction() as db:
            closed = db.execute("UPDATE jobs SET ended_ns = ?, ok = 0, report = ?, state = 'failed' "
                                "WHERE ended_ns IS NULL", (now_ns, report))  # fmt: skip
            return closed.rowcount

    def jobs(self, limit: int = 20, *, causes: Sequence[str] = (), before: int | None = None) -> list[JobRow]:
        """The newest jobs first, in the order in which they were asked for, whatever the clock said.

        `causes` are those of interest, all when empty; `before` is the number that the answer has to lie below.
        """
        return read_jobs(self._read, limit, causes, before)

    def last_jobs(self, causes: Sequence[str]) -> list[JobRow]:
        """Of each kind (an action on certain sources) the last that ended and was not cancelled, newest first."""
        return read_last_jobs(self._read, causes)

    def job(self, job: str) -> JobRow | None:
        """One job by its ID; None when there was none, or it was dropped."""
        return read_job(self._read, job)

    def totals(self) -> list[SourceTotals]:
        """Per source: files by state and bytes whose copies are kept, by name."""
        return read_totals(self._read)

    def items(self, wanted: ItemFilter = EVERYTHING, *, limit: int = 100, before: int | None = None) -> list[Item]:
        """Files, newest record first, ids below `before`. Ask for one more than a page to know if there is another."""
        return read_items(self._read, wanted, limit=limit, before=before)


def _by_path(rows: Iterable[tuple[Any, ...]]) -> dict[bytes, Known]:
    return {r[0]: Known(r[1], r[2], r[3], r[4], bool(r[5]), *r[6:]) for r in rows}
