"""The tables. All migrations that are due are one transaction; migrations are only ever appended.

`contents` has a row for each content by its hash, `files` one for each file by its key; `media` is the view for people.
Metadata is kept as it was told, and what is looked for in it has columns of its own, made by the server.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from sidecar.ingest.base import SinkDown
from sidecar.values import dataclass

# Models are cut because a btree holds no long names, and texts because a tsvector is 1 MB at most. The server's parser
# would take <lora:ink:0.7> for a tag and leave it out.
_MIGRATIONS = (
    """
    CREATE TABLE contents (
        hash text COLLATE "C" PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
        size bigint NOT NULL CHECK (size >= 0),
        kind text NOT NULL,
        incomplete text,
        metadata jsonb,
        problems text[] NOT NULL DEFAULT '{}',
        seed numeric GENERATED ALWAYS AS (
            CASE jsonb_typeof(metadata -> 'seed') WHEN 'number' THEN (metadata -> 'seed')::numeric END) STORED,
        model text GENERATED ALWAYS AS (
            CASE jsonb_typeof(metadata -> 'model') WHEN 'string' THEN left(metadata ->> 'model', 200) END) STORED,
        words tsvector GENERATED ALWAYS AS (
            to_tsvector('simple', translate(left(coalesce(metadata ->> 'prompt', ''), 60000), '<>', '  ')) ||
            to_tsvector('simple', left(coalesce(metadata ->> 'model', ''), 200)) ||
            to_tsvector('simple', left(coalesce(jsonb_path_query_array(metadata, '$.loras[*].name')::text, ''), 10000))
        ) STORED
    );
    CREATE TABLE files (
        key text COLLATE "C" PRIMARY KEY,
        hash text COLLATE "C" NOT NULL REFERENCES contents,
        source text NOT NULL,
        path text NOT NULL,
        library_path text NOT NULL,
        mtime_ns bigint NOT NULL,
        stored_ns bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('stored', 'purged', 'vanished', 'replaced')),
        mtime timestamptz GENERATED ALWAYS AS (to_timestamp(mtime_ns / 1e9)) STORED,
        stored timestamptz GENERATED ALWAYS AS (to_timestamp(stored_ns / 1e9)) STORED,
        changed timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX files_hash ON files (hash);
    """,
    # what is looked for, and the view that people look into; paths may be too long for a btree
    """
    CREATE INDEX contents_metadata ON contents USING gin (metadata jsonb_path_ops);
    CREATE INDEX contents_words ON contents USING gin (words);
    CREATE INDEX contents_seed ON contents (seed) WHERE seed IS NOT NULL;
    CREATE INDEX contents_model ON contents (model) WHERE model IS NOT NULL;
    CREATE INDEX files_mtime ON files (mtime);
    CREATE INDEX files_source ON files (source, mtime);
    CREATE INDEX files_library_path ON files USING hash (library_path);

    CREATE VIEW media AS
    SELECT f.source, f.path, f.library_path, f.state, c.kind, c.size, f.mtime, f.stored, c.incomplete,
        c.metadata ->> 'software' AS software, c.model, c.metadata ->> 'prompt' AS prompt,
        c.metadata ->> 'negative_prompt' AS negative_prompt, c.seed, c.metadata -> 'steps' AS steps,
        c.metadata ->> 'sampler' AS sampler, c.metadata ->> 'scheduler' AS scheduler, c.metadata -> 'cfg' AS cfg,
        c.metadata -> 'width' AS width, c.metadata -> 'height' AS height, c.metadata -> 'loras' AS loras,
        c.metadata, c.words, c.problems, f.hash, f.key, f.changed
    FROM files f JOIN contents c USING (hash);
    """,
)

VERSION = len(_MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a server the tables are: what is said of it, and the schema."""

    shown: str
    schema: str


async def version_of(db: AsyncConnection[Any], schema: str) -> int:
    """The number of the last migration that the schema has seen; 0 when it is not there."""
    there = await db.execute("SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = 'migrations'",
                             (schema,))  # fmt: skip
    if await there.fetchone() is None:
        return 0
    found = await db.execute(SQL("SELECT coalesce(max(version), 0) FROM {}.migrations").format(Identifier(schema)))
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def migrate(db: AsyncConnection[Any], place: Place, *, upto: int = VERSION) -> None:
    """Bring the tables up to date; where they are, no right to change them is needed. Raises SinkDown when a newer
    program made them, or the database cannot hold all texts.

    Whoever comes first changes them, and others wait for that.
    """
    found = await db.execute("SELECT pg_catalog.current_setting('server_encoding')")
    if (row := await found.fetchone()) and row[0] != "UTF8":
        raise SinkDown(f"PostgreSQL at {place.shown}: the database is encoded as {row[0]}",
                       hint="create it with ENCODING 'UTF8'")  # fmt: skip
    version = await version_of(db, place.schema)
    if version < upto:
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))",
                             (f"media-sync schema {place.schema}",))  # fmt: skip
            version = await version_of(db, place.schema)  # asked again: another process may have been faster
            await _apply(db, place.schema, range(version, upto))
    if version > VERSION:
        raise SinkDown(f"PostgreSQL at {place.shown}: schema {place.schema} is of version {version}, "
                       f"this program knows {VERSION}", hint="use the newer media-sync again")  # fmt: skip


async def _apply(db: AsyncConnection[Any], schema: str, missing: range) -> None:
    if 0 in missing:
        there = await db.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,))
        if await there.fetchone() is None:  # IF NOT EXISTS asks for the right to create, also when it is there
            await db.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        await db.execute(
            SQL("CREATE TABLE {}.migrations (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())")
            .format(Identifier(schema))
        )  # fmt: skip
    await db.execute(SQL("SET LOCAL search_path = {}").format(Identifier(schema)))
    for number in missing:
        await db.execute(SQL(_MIGRATIONS[number]))
        await db.execute("INSERT INTO migrations (version) VALUES (%s)", (number + 1,))
