"""Five thousand pictures through `serve` into a PostgreSQL that is stopped, and killed, on the way, as `serve` is.

`MEDIA_SYNC_TEST_MINUTES` lengthens the time for which the server is away (1).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import time
import zlib
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from generators import media

from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, log_lines, serving, stop
from tests.ingest.conftest import told
from tests.rig.postgres import PASSWORD, Postgres
from tests.rig.program import Program

pytestmark = pytest.mark.alone

AWAY = float(os.environ.get("MEDIA_SYNC_TEST_MINUTES", "0")) * 60 or 3.0  # seconds
PATIENCE = 120 + 2 * AWAY
FILES = 5000


def pictures() -> dict[bytes, bytes]:
    """Names and contents, no two alike: each says of itself how it was made."""
    whole = media.tiny_png(1)
    at = 33  # behind the header, and before what it says of itself already
    return {b"%02d/%05d-1.png" % (n % 50, n): whole[:at] + _recipe(n) + whole[at:] for n in range(FILES)}


def _recipe(number: int) -> bytes:
    """A PNG chunk as Forge writes it; its seed is the number."""
    text = f"a lighthouse\nSteps: 20, Sampler: Euler, CFG scale: 1, Seed: {number}, Size: 8x8, Model: dream"
    data = b"tEXtparameters\0" + text.encode()
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def counted(cli: Program, what: str) -> int:
    """How many rows the manifest has: "files", or "sinks WHERE problem IS NOT NULL"."""
    with closing(sqlite3.connect(f"file:{cli.state / 'manifest.sqlite3'}?mode=ro", uri=True)) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {what}").fetchone()
    return int(count)


def known(server: Postgres, database: str, state: str = "%") -> int:
    """How many files PostgreSQL has; 0 while the tables are being made."""
    with server.connect(database) as db:
        try:
            row = db.execute("SELECT count(*) FROM media_sync.files WHERE state LIKE %s", (state,)).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return 0
    return int(row[0]) if row else 0


@pytest.mark.timeout(600 + 3 * AWAY)
def test_everything_is_there_once_whoever_is_killed(
    cli: Program, generator: MakeGenerator, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    files = pictures()
    names = sorted(files)
    made = generator()
    made.put({name: files[name] for name in names[: FILES // 2]}, age=60)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    sink = "MEDIA_SYNC_INGEST__SINKS__POSTGRESQL__"
    env = {f"{sink}DSN": postgres.dsn(database), f"{sink}PASSWORD_FILE": str(secret)}
    source = f"g={made.name}:{made.root}"
    with serving(cli, "--source", source, **env) as process:
        eventually(lambda: known(postgres, database) > 0, "the first records", PATIENCE)
        postgres.stop()
        away = time.monotonic()
        made.put({name: files[name] for name in names[FILES // 2 :]}, age=60)
        eventually(lambda: counted(cli, "files") == FILES, "all copies, while the server is away", PATIENCE)
        eventually(lambda: counted(cli, "sinks WHERE problem IS NOT NULL"), "that somebody notices", PATIENCE)
        time.sleep(max(0.0, AWAY - (time.monotonic() - away)))
        postgres.start()
        before = known(postgres, database)
        eventually(lambda: known(postgres, database) > before, "records, when the server is back", PATIENCE)
        postgres.kill()
        postgres.start()
        process.kill()
        _, err = process.communicate()
        assert [line for line in log_lines(err) if "cannot be told" in line["message"]]
        assert PASSWORD not in err
    made.remove(*names[:10])
    with serving(cli, "--source", source, **env) as process:
        eventually(lambda: known(postgres, database) == FILES, "everything", PATIENCE)
        eventually(lambda: known(postgres, database, "vanished") == 10, "what became of the originals", PATIENCE)
        code, err = stop(process)
    assert code == 0, err
    with postgres.connect(database) as db:
        records = told(db)
        seeds = db.execute("SELECT seed FROM media_sync.media WHERE model = 'dream' ORDER BY seed").fetchall()
    assert [int(seed) for (seed,) in seeds] == list(range(FILES)), "what each says of its making is there, too"
    assert len(records) == FILES
    assert {one.path.encode(): one.hash for one in records.values()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    gone = {one.path.encode() for one in records.values() if one.state != "stored"}
    assert gone == set(names[:10])
