"""A server that is killed, hangs, restarts or was never there: nothing is lost, nothing twice, no secret is told."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from sidecar.errors import ConfigError
from sidecar.ingest.base import MediaIngest, Record, SinkDown
from sidecar.ingest.postgresql import sink as factory
from sidecar.ingest.testing import Known, by_key, record
from tests.ingest.conftest import MakeSink
from tests.rig.postgres import PASSWORD, Postgres

SECRET = "hunter2"


@pytest.fixture
def again(postgres: Postgres) -> Iterator[Postgres]:
    """The server, for tests that end it."""
    yield postgres
    postgres.start()


async def until(check: Callable[[], Any]) -> None:
    """Wait until something becomes true."""
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def delivered(sink: MediaIngest, batches: list[list[Record]]) -> None:
    """Tell all, and what failed again for as long as it takes, as the outbox does."""
    for batch in batches:
        while True:
            try:
                await sink.open()
                await sink.ingest(batch)
                break
            except SinkDown:
                await asyncio.sleep(0.02)


def waiting(db: psycopg.Connection) -> bool:
    """Whether the sink's statement waits for a lock."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'media-sync' AND wait_event_type = 'Lock'"
    return bool(db.execute(sql).fetchall())


# -- killed ---------------------------------------------------------------------------------------------------------


async def test_a_batch_is_known_whole_or_not_at_all(
    make_sink: MakeSink, again: Postgres, database: str, db: psycopg.Connection, known: Known
) -> None:
    """Killed when the contents are in and the files are not."""
    sink = make_sink()
    await sink.open()
    await sink.ingest([record(n) for n in range(10)])
    batch = [record(n, metadata={"seed": n}) for n in range(5, 20)]
    with again.connect(database) as holder, holder.transaction():
        holder.execute("LOCK TABLE media_sync.files")
        telling = asyncio.create_task(sink.ingest(batch))
        await until(lambda: waiting(db))
        again.kill()
        with pytest.raises(SinkDown):
            await telling
        holder.close()
    again.start()
    assert await known() == by_key([record(n) for n in range(10)])
    await delivered(sink, [batch])
    assert await known() == by_key([*(record(n) for n in range(5)), *batch])


async def test_killed_again_and_again_it_gets_everything_once(
    make_sink: MakeSink, again: Postgres, known: Known
) -> None:
    batches = [[record(n) for n in range(at, at + 200)] for at in range(0, 12_000, 200)]
    sink = make_sink()
    await sink.open()
    telling = asyncio.create_task(delivered(sink, batches))
    for rows in (2000, 4000, 6000):
        await until(partial(holds, again, rows))
        await asyncio.to_thread(again.kill)
        await asyncio.to_thread(again.start)
    await telling
    assert await known() == by_key([one for batch in batches for one in batch])


def holds(server: Postgres, rows: int) -> bool:
    """Whether so much has been told."""
    with server.connect("media") as db:
        found = db.execute("SELECT count(*) FROM media_sync.files").fetchone()
    return found is not None and found[0] >= rows


async def test_what_was_told_is_on_the_disk_whatever_the_role_prefers(
    make_sink: MakeSink, again: Postgres, database: str, db: psycopg.Connection, known: Known
) -> None:
    db.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    db.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    db.execute("SELECT pg_reload_conf()")
    sink = make_sink()
    await sink.open()
    await sink.ingest([record(1)])
    again.kill()
    again.start()
    with again.connect() as back:
        back.execute("ALTER SYSTEM RESET wal_writer_delay")
        back.execute(f"ALTER DATABASE {database} RESET synchronous_commit")
        back.execute("SELECT pg_reload_conf()")
    assert await known() == by_key([record(1)])


async def test_a_restart_between_two_batches_goes_unnoticed(make_sink: MakeSink, again: Postgres, known: Known) -> None:
    sink = make_sink()
    await sink.open()
    await sink.ingest([record(1)])
    again.stop()
    again.start()
    await sink.ingest([record(2)])
    assert await known() == by_key([record(1), record(2)])


async def test_tables_that_somebody_dropped_are_made_again(
    make_sink: MakeSink, db: psycopg.Connection, known: Known
) -> None:
    sink = make_sink()
    await sink.open()
    db.execute("DROP SCHEMA media_sync CASCADE")
    with pytest.raises(SinkDown):
        await sink.ingest([record(1)])
    await delivered(sink, [[record(1)]])
    assert await known() == by_key([record(1)])


# -- hanging --------------------------------------------------------------------------------------------------------


async def test_a_lock_that_somebody_holds_delays_and_refuses_nothing(
    make_sink: MakeSink, postgres: Postgres, database: str, known: Known
) -> None:
    sink = make_sink(timeout="1s")
    await sink.open()
    with postgres.connect(database) as holder, holder.transaction():
        holder.execute("LOCK TABLE media_sync.files")
        with pytest.raises(SinkDown):
            await sink.ingest([record(1)])
    await delivered(sink, [[record(1)]])
    assert await known() == by_key([record(1)])


@pytest.fixture
def hanging(postgres: Postgres) -> Iterator[Callable[[], None]]:
    """Makes the server hang, with all connections standing, until the test ends."""
    yield lambda: postgres.send(signal.SIGSTOP)
    postgres.send(signal.SIGCONT)


async def test_a_server_that_hangs_is_down(make_sink: MakeSink, hanging: Callable[[], None]) -> None:
    sink = make_sink(timeout="1s")
    await sink.open()
    await sink.ingest([record(1)])
    hanging()
    with pytest.raises(SinkDown, match="did not answer within 1 s"):
        await sink.ingest([record(2)])
    with pytest.raises(SinkDown):
        await sink.open()


@pytest.mark.parametrize("call", ["open", "ingest"])
async def test_who_waits_for_a_server_that_hangs_can_be_stopped(
    make_sink: MakeSink, hanging: Callable[[], None], call: str
) -> None:
    """Without ten seconds in which the server is asked to end its statement: `serve` has two to end."""
    sink = make_sink()
    await sink.open()
    await sink.ingest([record(1)])
    hanging()
    telling = asyncio.create_task(sink.open() if call == "open" else sink.ingest([record(2)]))
    await asyncio.sleep(0.3)
    assert not telling.done()
    async with asyncio.timeout(8):
        telling.cancel()
        await asyncio.wait([telling])
        await sink.close()
        assert telling.cancelled()


# -- not there ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("port=1", "refused"),
        ("host=nowhere.invalid", "nowhere.invalid"),
        (f"user=stranger password={SECRET}", "stranger"),
        (f"password={SECRET}", "password authentication failed"),
        (f"dbname=absent-{PASSWORD}", "does not exist"),
        (f"sslmode=verify-full sslrootcert=/nowhere password={SECRET}", "does not support SSL"),
    ],
    ids=["port", "host", "user", "password", "database", "tls"],
)
async def test_why_it_cannot_be_reached_is_said_in_a_line_without_secrets(
    postgres: Postgres, database: str, change: str, reason: str
) -> None:
    secret = {} if SECRET in change else {"password": PASSWORD}
    sink = factory({"dsn": f"{postgres.dsn(database)} {change}", "timeout": "5s", **secret})
    with pytest.raises(SinkDown, match=reason) as caught:
        await sink.open()
    await sink.close()
    assert caught.value.__cause__ is None
    assert caught.value.hint
    line = caught.value.line()
    assert line.isprintable()
    assert SECRET not in line
    assert PASSWORD not in line


async def test_what_goes_wrong_is_raised_and_logged_by_nobody(
    make_sink: MakeSink, again: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries have words of their own for it, which nobody has looked at for secrets."""
    sink = make_sink(timeout="2s")
    await sink.open()
    await sink.ingest([record(1)])
    again.kill()
    with pytest.raises(SinkDown):
        await sink.ingest([record(2)])
    assert caplog.records == []


async def test_what_was_not_opened_is_down() -> None:
    with pytest.raises(SinkDown, match="not opened"):
        await factory({"dsn": "host=127.0.0.1"}).ingest([record(1)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "dsn is missing"),
        ({"dsn": f"postgresql://me:{SECRET}@x@host/db"}, "part of a password"),
        ({"dsn": f"postgresql://me:{SECRET}/x@host/db"}, "part of a password"),
        ({"dsn": f"postgresql://me:12/{SECRET}@host/db"}, "part of a password"),
        ({"dsn": f"postgresql://me:%{SECRET}@host/db"}, "connection string"),
        ({"dsn": f"host=db password='{SECRET}"}, "connection string"),
        ({"dsn": f"host=db {SECRET}"}, "connection string"),
        ({"dsn": "host=db port=x"}, "port that is no number"),
        ({"dsn": "host=db", "schema": "Media"}, 'schema: "Media" cannot name a schema'),
        ({"dsn": "host=db", "schema": "pg_x"}, 'schema: "pg_x" cannot'),
        ({"dsn": "host=db", "schema": 'a"; DROP TABLE b'}, "cannot name a schema"),
        ({"dsn": "host=db", "pool": "0"}, "pool: "),
        ({"dsn": "host=db", "timeout": "soon"}, "timeout: "),
        ({"dsn": "host=db", "timeout": "1ms"}, 'timeout: "1ms" is out of range'),
        ({"dsn": "host=db", "passwort": SECRET}, "passwort is no option"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        factory(options)
    assert said in str(caught.value)
    assert caught.value.hint
    assert SECRET not in caught.value.line()


def test_a_sink_does_not_show_what_it_connects_with() -> None:
    shown = repr(vars(factory({"dsn": f"postgresql://me:{SECRET}@host/db", "password": SECRET})))
    assert SECRET not in shown
