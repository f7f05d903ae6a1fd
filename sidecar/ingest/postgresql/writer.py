"""Records into PostgreSQL: a batch is one transaction of one COPY and two upserts, so that it is known whole or not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from sidecar.ingest.base import Record, SinkDown
from sidecar.ingest.postgresql import schema
from sidecar.ingest.postgresql.faults import translated
from sidecar.ingest.postgresql.options import Options
from sidecar.ingest.postgresql.rows import rows
from sidecar.ingest.postgresql.schema import Place

_GRACE = 0.3  # seconds that a server gets to end a statement which nobody waits for any more
# Of each transaction and not of the connection, so that a pooler between may share connections. What was told must be
# durable when the commit returns, whatever the role's own settings say.
_SETTINGS = """
SELECT set_config('search_path', %(path)s, true), set_config('statement_timeout', %(ms)s, true),
    set_config('lock_timeout', %(ms)s, true), set_config('idle_in_transaction_session_timeout', %(idle)s, true),
    set_config('client_min_messages', 'warning', true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                     ELSE current_setting('synchronous_commit') END, true)
"""
_COLUMNS = ("number, key, hash, source, path, library_path, size, mtime_ns, stored_ns, state, kind, incomplete, "
            "metadata, problems")  # fmt: skip
# Kept by the connection and emptied by each commit: a table a batch would wear out the server's catalogue.
_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS media_sync_incoming (
    number int, key text, hash text, source text, path text, library_path text, size bigint, mtime_ns bigint,
    stored_ns bigint, state text, kind text, incomplete text, metadata jsonb, problems text[]
) ON COMMIT DELETE ROWS
"""
# In the order of their keys, so that two programs that write into one schema do not wait for each other crosswise.
_CONTENTS = """
INSERT INTO contents AS known (hash, size, kind, incomplete, metadata, problems)
SELECT DISTINCT ON (hash) hash, size, kind, incomplete, metadata, problems FROM pg_temp.media_sync_incoming
ORDER BY hash, number DESC
ON CONFLICT (hash) DO
"""
_FILES = """
INSERT INTO files AS known (key, hash, source, path, library_path, mtime_ns, stored_ns, state)
SELECT key, hash, source, path, library_path, mtime_ns, stored_ns, state FROM pg_temp.media_sync_incoming ORDER BY key
ON CONFLICT (key) DO
"""
# Rows that are as they were are not written again: a backfill over what is known costs little.
_REPLACE = (
    _CONTENTS + """UPDATE SET size = EXCLUDED.size, kind = EXCLUDED.kind, incomplete = EXCLUDED.incomplete,
    metadata = EXCLUDED.metadata, problems = EXCLUDED.problems
WHERE (known.size, known.kind, known.incomplete, known.metadata, known.problems)
    IS DISTINCT FROM (EXCLUDED.size, EXCLUDED.kind, EXCLUDED.incomplete, EXCLUDED.metadata, EXCLUDED.problems)""",
    _FILES + """UPDATE SET hash = EXCLUDED.hash, source = EXCLUDED.source, path = EXCLUDED.path,
    library_path = EXCLUDED.library_path, mtime_ns = EXCLUDED.mtime_ns, stored_ns = EXCLUDED.stored_ns,
    state = EXCLUDED.state, changed = now()
WHERE (known.hash, known.source, known.path, known.library_path, known.mtime_ns, known.stored_ns, known.state)
    IS DISTINCT FROM (EXCLUDED.hash, EXCLUDED.source, EXCLUDED.path, EXCLUDED.library_path, EXCLUDED.mtime_ns,
                      EXCLUDED.stored_ns, EXCLUDED.state)""",
)  # fmt: skip
_END = (
    _CONTENTS + "NOTHING",
    _FILES + "UPDATE SET state = EXCLUDED.state, changed = now() WHERE known.state <> EXCLUDED.state",
)


class PostgresSink:
    """A `MediaIngest`. What is told twice changes nothing; a connection that breaks takes its batch back with it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self._settings = {"path": f'"{options.schema}"', "ms": str(round(options.timeout * 1000)),
                          "idle": str(round(options.timeout * 2000))}  # fmt: skip
        # what goes wrong is raised where it is met; the libraries would say it once more, in words of their own
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)

    async def open(self) -> None:
        """Reach the server, bring the tables up to date. Raises SinkDown with what the server, or libpq, says."""
        with translated(self._options):
            await self._ended(self._reach(), None)

    async def ingest(self, batch: Sequence[Record]) -> None:
        """Make these known. Committed to the server's disk when it returns. Raises SinkDown, SinkRefused."""
        await self._tell(batch, _REPLACE)

    async def retract(self, batch: Sequence[Record]) -> None:
        """Mark these with their states; all else that is known of them stays. Raises SinkDown, SinkRefused."""
        await self._tell(batch, _END)

    async def close(self) -> None:
        """Let go of the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(timeout=_GRACE)

    async def _reach(self) -> None:
        """Over a connection of its own, for the pool would not say why there is none."""
        options = self._options
        db = await AsyncConnection.connect(options.conninfo, autocommit=True, prepare_threshold=None)
        async with db:
            await schema.migrate(db, Place(options.place, options.schema))
        if self._pool is None:
            made = AsyncConnectionPool(options.conninfo, min_size=0, max_size=options.pool, open=False,
                                       kwargs={"autocommit": True, "prepare_threshold": None},
                                       check=AsyncConnectionPool.check_connection, timeout=options.timeout,
                                       reconnect_timeout=options.timeout, name="media-sync")  # fmt: skip
            await made.open()
            self._pool = made

    async def _tell(self, batch: Sequence[Record], upserts: tuple[str, str]) -> None:
        if not batch:
            return
        told = rows(batch)
        with translated(self._options):
            await self._ended(self._write(told, upserts), self._options.timeout)

    async def _write(self, told: Sequence[tuple[Any, ...]], upserts: tuple[str, str]) -> None:
        async with self._transaction() as db:
            await db.execute(_INCOMING)
            async with (
                db.cursor() as cursor,
                cursor.copy(f"COPY pg_temp.media_sync_incoming ({_COLUMNS}) FROM STDIN") as to,
            ):
                for row in told:
                    await to.write_row(row)
            for upsert in upserts:
                await db.execute(upsert)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        if self._pool is None:
            raise SinkDown(f"PostgreSQL at {self._options.place} was not opened")
        async with self._pool.connection() as db, db.transaction():
            await db.execute(_SETTINGS, self._settings)
            yield db

    async def _ended(self, work: Coroutine[Any, Any, None], seconds: float | None) -> None:
        """Wait for work that talks to the server, for so long. Raises TimeoutError.

        Left alone, psycopg asks the server to stop what is cancelled and waits up to ten seconds for that; cancelled
        again, it drops the connection.
        """
        task = asyncio.create_task(work, name="postgresql")
        try:
            await asyncio.wait([task], timeout=seconds)
        finally:
            for _ in range(3):
                if task.done():
                    break
                task.cancel()
                await asyncio.wait([task], timeout=_GRACE)
        if task.cancelled():
            raise TimeoutError
        task.result()
