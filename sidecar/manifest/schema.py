"""The manifest's tables. Each migration and its record are one transaction; migrations are only ever appended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sidecar.errors import ManifestDamaged

# Times are ns since the epoch, sizes bytes, paths bytes relative to their root, library paths relative to the library.
# files.state: stored (the original was there at the last look), vanished, replaced (other content under its name),
# purged. A row is never removed: the manifest records every file ever seen.
_MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

    CREATE TABLE sources (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, transport TEXT NOT NULL
    ) STRICT;

    CREATE TABLE generations (
        id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources, token TEXT NOT NULL,
        container TEXT NOT NULL, first_seen_ns INTEGER NOT NULL, UNIQUE (source_id, token)
    ) STRICT;

    CREATE TABLE contents (
        hash BLOB PRIMARY KEY CHECK (length(hash) = 32), size INTEGER NOT NULL, kind TEXT NOT NULL,
        incomplete TEXT, library_path BLOB NOT NULL, stored_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE files (
        id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources, root BLOB NOT NULL, path BLOB NOT NULL,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, exact INTEGER NOT NULL,
        generation_id INTEGER NOT NULL REFERENCES generations, hash BLOB NOT NULL REFERENCES contents,
        library_path BLOB NOT NULL, state TEXT NOT NULL CHECK (state IN ('stored', 'vanished', 'replaced', 'purged')),
        stored_ns INTEGER NOT NULL, ended_ns INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX files_here ON files (source_id, root, path) WHERE state = 'stored';
    CREATE INDEX files_hash ON files (hash);

    CREATE TABLE waiting (
        source_id INTEGER NOT NULL REFERENCES sources, root BLOB NOT NULL, path BLOB NOT NULL,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
        since_ns INTEGER NOT NULL, fetched INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (source_id, root, path)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE purges (
        id INTEGER PRIMARY KEY, job TEXT NOT NULL, file_id INTEGER NOT NULL REFERENCES files, private BLOB NOT NULL,
        generation_id INTEGER NOT NULL REFERENCES generations, uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        intended_ns INTEGER NOT NULL, outcome TEXT, detail TEXT NOT NULL DEFAULT '', ended_ns INTEGER
    ) STRICT;
    CREATE INDEX purges_open ON purges (file_id) WHERE outcome IS NULL;

    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, action TEXT NOT NULL, cause TEXT NOT NULL, started_ns INTEGER NOT NULL,
        ended_ns INTEGER, ok INTEGER, report TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX jobs_started ON jobs (started_ns);
    """,
    # jobs are numbered as they begin, because a clock that went back would put new ones behind old ones
    """
    ALTER TABLE jobs RENAME TO jobs_by_time;
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, cause TEXT NOT NULL,
        started_ns INTEGER NOT NULL, ended_ns INTEGER, ok INTEGER, report TEXT
    ) STRICT;
    INSERT INTO jobs (id, action, cause, started_ns, ended_ns, ok, report)
        SELECT id, action, cause, started_ns, ended_ns, ok, report FROM jobs_by_time ORDER BY started_ns;
    DROP TABLE jobs_by_time;
    """,
    # a job is recorded when it is queued, so it may have no beginning
    """
    ALTER TABLE jobs RENAME TO jobs_begun;
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, cause TEXT NOT NULL,
        sources TEXT NOT NULL, state TEXT NOT NULL, queued_ns INTEGER NOT NULL, started_ns INTEGER, ended_ns INTEGER,
        ok INTEGER, report TEXT
    ) STRICT;
    INSERT INTO jobs SELECT number, id, action, cause, '[]',
        CASE WHEN ended_ns IS NULL THEN 'running' WHEN ok THEN 'done' ELSE 'partly' END,
        started_ns, started_ns, ended_ns, ok, report FROM jobs_begun;
    DROP TABLE jobs_begun;
    CREATE INDEX jobs_causes ON jobs (cause, number);
    """,
    # few videos among very many images are found without asking every image what it is
    """
    CREATE INDEX contents_kind ON contents (kind);
    """,
    # Folders that need not be listed again, see sync/marks.py. What the manifest holds of a folder's files is what its
    # mark was made for, so a mark goes with the first row that changes, whoever changes it.
    """
    ALTER TABLE files ADD COLUMN folder BLOB NOT NULL DEFAULT x'';
    UPDATE files SET folder = folder_of(path);
    CREATE INDEX files_folder ON files (source_id, root, folder) WHERE state = 'stored';

    CREATE TABLE looks (
        source_id INTEGER NOT NULL REFERENCES sources, root BLOB NOT NULL, context BLOB NOT NULL,
        full_ns INTEGER NOT NULL, PRIMARY KEY (source_id, root)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE marks (
        source_id INTEGER NOT NULL REFERENCES sources, root BLOB NOT NULL, folder BLOB NOT NULL,
        digest BLOB NOT NULL CHECK (length(digest) = 16), shape BLOB NOT NULL, names INTEGER NOT NULL,
        skipped BLOB NOT NULL, PRIMARY KEY (source_id, root, folder)
    ) STRICT, WITHOUT ROWID;

    CREATE TRIGGER marks_added AFTER INSERT ON files BEGIN
        DELETE FROM marks WHERE source_id = NEW.source_id AND root = NEW.root AND folder = NEW.folder;
    END;
    CREATE TRIGGER marks_changed
    AFTER UPDATE OF path, size, mtime_ns, inode, exact, generation_id, state ON files BEGIN
        DELETE FROM marks WHERE source_id = OLD.source_id AND root = OLD.root AND folder = OLD.folder;
    END;
    CREATE TRIGGER marks_removed AFTER DELETE ON files BEGIN
        DELETE FROM marks WHERE source_id = OLD.source_id AND root = OLD.root AND folder = OLD.folder;
    END;
    """,
    # what reads of each engine took, by road: seconds to start one, for each byte, for each file
    """
    CREATE TABLE costs (
        engine TEXT NOT NULL, road TEXT NOT NULL, start REAL NOT NULL, per_byte REAL NOT NULL, per_file REAL NOT NULL,
        seen INTEGER NOT NULL, learned_ns INTEGER NOT NULL, PRIMARY KEY (engine, road)
    ) STRICT, WITHOUT ROWID;
    """,
    # what had nothing to do is forgotten sooner
    """
    ALTER TABLE jobs ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0;
    """,
    # places in the library whose copies were deleted on purpose, up to the file that had it last: no check complains of
    # those any more, but does of what is stored there later
    """
    CREATE TABLE given_up (
        library_path BLOB PRIMARY KEY, file_id INTEGER NOT NULL REFERENCES files
    ) STRICT, WITHOUT ROWID;
    """,
    # when a folder was marked, by the source's clock: what came later is told apart by that
    """
    ALTER TABLE marks ADD COLUMN since_ns INTEGER NOT NULL DEFAULT 0;
    """,
    # What was found out about contents: `told` and `problems` are JSON; seeds are text, for some have 64 bits without a
    # sign. `raws` has the texts as they were written, JSON in zlib: many times as long, and rarely read. `words` are
    # those by which files are found, by files.id. `changes` is what happened to files, in order; each follower goes on
    # behind `seq`.
    """
    CREATE TABLE findings (
        hash BLOB PRIMARY KEY NOT NULL REFERENCES contents, version INTEGER NOT NULL, told TEXT NOT NULL,
        problems TEXT NOT NULL, thumbnail INTEGER NOT NULL, seed TEXT, prompt TEXT NOT NULL, negative TEXT NOT NULL,
        model TEXT NOT NULL, loras TEXT NOT NULL, software TEXT NOT NULL, read_ns INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE raws (hash BLOB PRIMARY KEY NOT NULL REFERENCES contents, packed BLOB NOT NULL) STRICT;
    CREATE INDEX findings_seed ON findings (seed) WHERE seed IS NOT NULL;
    CREATE INDEX findings_version ON findings (version);
    CREATE VIRTUAL TABLE words USING fts5 (name, prompt, negative, model, loras, software, content='');

    CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, file_id INTEGER NOT NULL REFERENCES files, what TEXT NOT NULL
    ) STRICT;
    CREATE TABLE followers (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO changes (file_id, what) SELECT id, 'stored' FROM files ORDER BY id;
    INSERT INTO followers VALUES ('media', 0);
    CREATE TRIGGER change_added AFTER INSERT ON files BEGIN
        INSERT INTO changes (file_id, what) VALUES (NEW.id, 'stored');
    END;
    CREATE TRIGGER change_ended AFTER UPDATE OF state ON files WHEN NEW.state != OLD.state BEGIN
        INSERT INTO changes (file_id, what) VALUES (NEW.id, NEW.state);
    END;
    """,
    # Sinks, which are followers called `sink:` and their name, see deliveries.py. A sink is told of files from
    # `first_file` on as they change; of those before it was told up to `filled`, and the backfill under way has told it
    # of those up to `filling`, and ends at `fills_to`.
    """
    CREATE TABLE sinks (
        name TEXT PRIMARY KEY, first_file INTEGER NOT NULL, filled INTEGER NOT NULL DEFAULT 0, filling INTEGER,
        fills_to INTEGER, told INTEGER NOT NULL DEFAULT 0, told_ns INTEGER, problem TEXT, problem_ns INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE refused (
        sink TEXT NOT NULL, file_id INTEGER NOT NULL REFERENCES files, reason TEXT NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (sink, file_id)
    ) STRICT, WITHOUT ROWID;
    """,
    # when somebody last asked to tell a sink once more what it refused, until that is done
    """
    ALTER TABLE sinks ADD COLUMN again_ns INTEGER;
    """,
    # seeds are words, too: one index finds whatever is asked for together; a minus would be no part of a word
    """
    DROP TABLE words;
    CREATE VIRTUAL TABLE words USING fts5 (name, prompt, negative, model, loras, software, seed, content='');
    INSERT INTO words (rowid, name, prompt, negative, model, loras, software, seed)
        SELECT f.id, CAST(f.path AS TEXT), coalesce(n.prompt, ''), coalesce(n.negative, ''), coalesce(n.model, ''),
               coalesce(n.loras, ''), coalesce(n.software, ''), coalesce(replace(n.seed, '-', 'minus'), '')
        FROM files f LEFT JOIN findings n ON n.hash = f.hash WHERE f.id NOT IN (
            SELECT file_id FROM changes
            WHERE what = 'stored' AND seq > (SELECT seq FROM followers WHERE name = 'media'));
    DROP INDEX findings_seed;
    """,
)

VERSION = len(_MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last migration that the file has seen."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date. Raises ManifestDamaged when it is from a newer program."""
    if (version := version_of(connection)) > VERSION:
        raise ManifestDamaged(f"the manifest has schema {version}, this program knows {VERSION}",
                              hint="use the newer media-sync again")  # fmt: skip
    connection.create_function("folder_of", 1, folder_of, deterministic=True)
    while version_of(connection) < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = version_of(connection)  # asked again: another process may have been faster
            if version < VERSION:
                for statement in _statements(_MIGRATIONS[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """One by one, because executescript would end the transaction before it starts."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def folder_of(path: bytes) -> bytes:
    """The folder that a path lies in; b"" is the root."""
    return path.rpartition(b"/")[0]
