"""A real PostgreSQL for the sinks' tests, with nothing in it when a test begins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from sidecar.ingest.base import MediaIngest, Record
from sidecar.ingest.sinks import kinds
from tests.rig.postgres import PASSWORD, Postgres

READ = (
    "SELECT f.*, c.size, c.kind, c.incomplete, c.metadata, c.problems FROM {0}.files f JOIN {0}.contents c USING (hash)"
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server, as long as the session; a test that kills it starts it again."""
    with Postgres() as made:
        yield made


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The name of an empty database: making one for each test would take longer than most of them."""
    with postgres.connect() as db:
        if not db.execute("SELECT 1 FROM pg_database WHERE datname = 'media'").fetchall():
            postgres.database("media")
    with postgres.connect("media") as db:
        made = db.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)'")
        for (schema,) in made.fetchall():
            db.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
    return "media"


@pytest.fixture
def db(postgres: Postgres, database: str) -> Iterator[psycopg.Connection]:
    """A connection of the owner's to the test's database."""
    with postgres.connect(database) as made:
        yield made


@pytest.fixture
def known(postgres: Postgres, database: str) -> Callable[[], Awaitable[Mapping[str, Record]]]:
    """What lies in the tables, as records."""

    async def read() -> Mapping[str, Record]:
        with postgres.connect(database) as db:
            return told(db)

    return read


def told(db: psycopg.Connection, schema: str = "media_sync") -> dict[str, Record]:
    """All records of a schema, by key."""
    with db.cursor(row_factory=dict_row) as cursor:
        return {row["key"]: _record(row) for row in cursor.execute(READ.format(schema))}


def _record(row: dict[str, Any]) -> Record:
    for made_by_the_server in ("mtime", "stored", "changed"):
        del row[made_by_the_server]
    return Record(**(row | {"problems": tuple(row["problems"])}))


class MakeSink(Protocol):
    """Makes a sink on the test's database, not opened; keywords are its options."""

    def __call__(self, **options: str) -> MediaIngest: ...


@pytest.fixture
async def make_sink(postgres: Postgres, database: str) -> AsyncIterator[MakeSink]:
    """All that were made are closed in the end: a pool that is left open keeps its event loop from ending."""
    factory, made = kinds()["postgresql"](), list[MediaIngest]()

    def make(**options: str) -> MediaIngest:
        made.append(factory({"dsn": postgres.dsn(database), "password": PASSWORD, **options}))
        return made[-1]

    yield make
    for sink in made:
        await sink.close()
