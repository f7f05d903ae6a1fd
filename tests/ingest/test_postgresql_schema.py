"""The sink's tables: made once, brought up to date, by those who may."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from sidecar.ingest.base import MediaIngest, SinkDown
from sidecar.ingest.postgresql import schema
from sidecar.ingest.postgresql.schema import VERSION, Place
from sidecar.ingest.testing import RECIPE, Known, SinkContract, by_key, record
from tests.ingest.conftest import MakeSink, told
from tests.rig.postgres import PASSWORD, Postgres, binaries
from tests.rig.program import REPOSITORY

ROLES = REPOSITORY / "compose" / "postgres-role.sql"
VERSIONS = [(n + 1,) for n in range(VERSION)]


def versions(db: psycopg.Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT version FROM media_sync.migrations ORDER BY version").fetchall()


def grant(postgres: Postgres, database: str, **roles: str) -> None:
    """Run the project's script as its first lines say, and give the roles a password."""
    given = [part for name, role in roles.items() for part in ("-v", f"{name}={role}")]
    subprocess.run([binaries() / "psql", "-q", "-d", postgres.dsn(database, password=PASSWORD), *given, "-f", ROLES],
                   check=True, capture_output=True, text=True)  # fmt: skip
    with postgres.connect(database) as db:
        for role in roles.values():
            db.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), PASSWORD))


async def old(postgres: Postgres, database: str) -> None:
    """Make the tables as the first version made them."""
    async with await psycopg.AsyncConnection.connect(postgres.dsn(database, password=PASSWORD), autocommit=True) as db:
        await schema.migrate(db, Place("here", "media_sync"), upto=1)


async def opened_and_closed(sink: MediaIngest) -> None:
    await sink.open()
    await sink.close()


async def opened_and_told(sink: MediaIngest) -> None:
    await sink.open()
    await sink.ingest([record(1)])


async def test_the_first_to_come_makes_the_tables(make_sink: MakeSink, db: psycopg.Connection) -> None:
    """However many come at once."""
    await asyncio.gather(*(opened_and_closed(make_sink()) for _ in range(8)))
    assert versions(db) == VERSIONS


async def test_tables_of_an_older_version_keep_what_they_hold(
    make_sink: MakeSink, postgres: Postgres, database: str, db: psycopg.Connection, known: Known
) -> None:
    await old(postgres, database)
    one = record(1)
    db.execute("INSERT INTO media_sync.contents (hash, size, kind, metadata) VALUES (%s, %s, 'image', '{\"seed\": 5}')",
               (one.hash, one.size))  # fmt: skip
    db.execute("INSERT INTO media_sync.files VALUES (%s, %s, %s, %s, %s, %s, %s, 'stored')",
               (one.key, one.hash, one.source, one.path, one.library_path, one.mtime_ns, one.stored_ns))  # fmt: skip
    sink = make_sink()
    await sink.open()
    assert versions(db) == VERSIONS
    assert await known() == by_key([record(1, metadata={"seed": 5})])
    assert db.execute("SELECT path, seed FROM media_sync.media").fetchall() == [(one.path, 5)]
    await sink.ingest([record(1), record(2)])
    assert await known() == by_key([record(1), record(2)])


async def test_a_migration_that_fails_leaves_everything_as_it_was(
    make_sink: MakeSink, postgres: Postgres, database: str, db: psycopg.Connection
) -> None:
    await old(postgres, database)
    db.execute("CREATE TABLE media_sync.media (somebodys int)")
    with pytest.raises(SinkDown, match='relation "media" already exists'):
        await make_sink().open()
    assert versions(db) == [(1,)]
    assert not db.execute("SELECT 1 FROM pg_indexes WHERE indexname = 'contents_words'").fetchall()
    db.execute("DROP TABLE media_sync.media")
    await opened_and_closed(make_sink())
    assert versions(db) == VERSIONS


async def test_tables_of_a_newer_program_are_left_alone(make_sink: MakeSink, db: psycopg.Connection) -> None:
    await opened_and_closed(make_sink())
    db.execute("INSERT INTO media_sync.migrations VALUES (99)")
    with pytest.raises(SinkDown, match="version 99") as caught:
        await make_sink().open()
    assert "newer media-sync" in caught.value.hint


async def test_a_database_that_cannot_hold_all_letters_is_refused(make_sink: MakeSink, postgres: Postgres) -> None:
    postgres.database("narrow", "LATIN1")
    with pytest.raises(SinkDown, match="encoded as LATIN1") as caught:
        await make_sink(dsn=postgres.dsn("narrow")).open()
    assert "UTF8" in caught.value.hint
    with postgres.connect("narrow") as db:
        assert not db.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'media_sync'").fetchall()


# -- rights ---------------------------------------------------------------------------------------------------------


class TestContractWithLeastRights(SinkContract):
    @pytest.fixture
    async def sink(self, make_sink: MakeSink, postgres: Postgres, database: str) -> MediaIngest:
        await opened_and_closed(make_sink())
        grant(postgres, database, writer="writer")
        return make_sink(dsn=postgres.dsn(database, "writer"))


async def test_an_owner_of_the_schema_alone_makes_the_tables(
    make_sink: MakeSink, postgres: Postgres, database: str, db: psycopg.Connection
) -> None:
    """An administrator made the schema for it, and it may make no others."""
    if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = 'maker'").fetchall():
        db.execute(SQL("CREATE ROLE maker LOGIN PASSWORD {}").format(PASSWORD))
    db.execute("CREATE SCHEMA media_sync AUTHORIZATION maker")
    sink = make_sink(dsn=postgres.dsn(database, "maker"))
    await opened_and_told(sink)
    assert told(db) == by_key([record(1)])


async def test_the_writer_can_do_no_more(make_sink: MakeSink, postgres: Postgres, database: str) -> None:
    await opened_and_closed(make_sink())
    grant(postgres, database, writer="writer")
    with postgres.connect(database, "writer") as db:
        for statement in (
            "DELETE FROM media_sync.files", "TRUNCATE media_sync.contents", "DROP VIEW media_sync.media",
            "CREATE TABLE media_sync.more (a int)", "CREATE SCHEMA more",
            "INSERT INTO media_sync.migrations VALUES (9)", "ALTER TABLE media_sync.files ADD COLUMN a int",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement)


async def test_the_reader_sees_the_view_alone(make_sink: MakeSink, postgres: Postgres, database: str) -> None:
    sink = make_sink()
    await sink.open()
    await sink.ingest([record(1)])
    grant(postgres, database, reader="looker")
    with postgres.connect(database, "looker") as db:
        assert db.execute("SELECT prompt FROM media_sync.media").fetchall() == [(RECIPE["prompt"],)]
        for statement in ("SELECT * FROM media_sync.files", "UPDATE media_sync.contents SET kind = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement)


@pytest.mark.parametrize("state", ["nothing", "older", "no grants", "half the grants"])
async def test_what_rights_are_missing_is_said_and_refuses_no_record(
    make_sink: MakeSink, postgres: Postgres, database: str, db: psycopg.Connection, state: str
) -> None:
    """It waits, and goes on once they are there."""
    if state == "older":
        await old(postgres, database)
    elif state != "nothing":
        await opened_and_closed(make_sink())
    if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = 'nobody'").fetchall():
        db.execute(SQL("CREATE ROLE nobody LOGIN PASSWORD {}").format(PASSWORD))
    if state == "older":
        db.execute("GRANT USAGE ON SCHEMA media_sync TO nobody")
        db.execute("GRANT SELECT ON media_sync.migrations TO nobody")
    if state == "half the grants":
        grant(postgres, database, writer="nobody")
        db.execute("REVOKE INSERT ON media_sync.files FROM nobody")
    sink = make_sink(dsn=postgres.dsn(database, "nobody"))
    with pytest.raises(SinkDown, match=r"permission denied|must be owner") as caught:
        await opened_and_told(sink)
    assert "postgres-role.sql" in caught.value.hint
    await opened_and_closed(make_sink())
    grant(postgres, database, writer="nobody")
    await opened_and_told(sink)
    assert told(db) == by_key([record(1)])
