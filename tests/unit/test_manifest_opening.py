"""Opening the manifest: by two at once, from an older program, where nothing can be written, and damaged while open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecar.errors import LibraryFull, LibraryUnsafe, ManifestDamaged
from sidecar.manifest import Manifest, opening
from sidecar.manifest.opening import FILE_NAME, translated
from sidecar.manifest.schema import _MIGRATIONS, VERSION, migrate
from tests.engine.commands import mounted

HOUR = 3_600_000_000_000
NOW = 1_700_000_000_000_000_000


def older(state: Path, version: int = 1) -> Path:
    """A manifest as an earlier program left it, with two jobs."""
    state.mkdir(exist_ok=True)
    with closing(sqlite3.connect(state / FILE_NAME)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for script in _MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO jobs VALUES ('second', 'run', 'schedule', 20, 21, 0, '{}')")
        db.execute("INSERT INTO jobs VALUES ('first', 'run', 'schedule', 10, 11, 1, '{}')")
        db.commit()
    return state


@contextmanager
def seen_read_only(state: Path, at: Path) -> Iterator[Path]:
    """The same folder at another place, where also root cannot write."""
    with mounted(at, "--bind", str(state)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(at)], check=True)
        yield at


def test_jobs_of_an_older_program_keep_their_order(tmp_path: Path) -> None:
    with closing(Manifest.open(older(tmp_path))) as made:
        made.start_job("third", "run", "schedule", 5)
        jobs = made.jobs()
        assert [(j.id, j.ok) for j in jobs] == [("third", None), ("second", False), ("first", True)]
        assert made._read("PRAGMA user_version") == [(VERSION,)]
        numbers = [j.number for j in jobs]
        assert numbers == sorted(numbers, reverse=True)


def test_the_newest_job_is_the_one_that_began_last_whatever_the_clock_said(tmp_path: Path) -> None:
    with closing(Manifest.open(tmp_path)) as made:
        made.start_job("good", "run", "schedule", NOW)
        made.end_job("good", True, "{}", NOW)
        made.start_job("bad", "run", "schedule", NOW - 5 * HOUR)
        made.end_job("bad", False, "{}", NOW - 5 * HOUR)
        assert [(j.id, j.ok) for j in made.jobs(1)] == [("bad", False)]


def test_first_starts_at_the_same_time(tmp_path: Path) -> None:
    """Every connection saw no schema yet, and only one of them may make it."""
    connections = [sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False, timeout=30)
                   for _ in range(8)]  # fmt: skip
    connections[0].execute("PRAGMA journal_mode = WAL")
    together, failed = threading.Barrier(len(connections)), list[Exception]()

    def first(db: sqlite3.Connection) -> None:
        together.wait()
        try:
            migrate(db)
        except sqlite3.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=first, args=(db,)) for db in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for db in connections:
        db.close()
    assert failed == []


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    older(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as db:
        db.execute("CREATE TABLE jobs_by_time (x)")
        with pytest.raises(sqlite3.OperationalError):
            migrate(db)
        assert not db.in_transaction
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (2,)


@pytest.mark.parametrize("kind", ["closed", "beside a writer", "older"])
def test_a_look_where_nothing_can_be_written(kind: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    if kind == "older":
        older(state)
        expected = "second"
    else:
        writer = Manifest.open(state)
        writer.start_job("job", "run", "schedule", NOW)
        expected = "job"
        if kind == "closed":
            writer.close()
    with seen_read_only(state, tmp_path / "seen") as seen:
        looking = Manifest.open_existing(seen)
        assert looking is not None
        with closing(looking):
            assert looking.jobs()[0].id == expected
            assert looking.totals() == []
    if kind == "beside a writer":
        writer.close()


def test_a_copy_without_its_log_is_not_believed(tmp_path: Path) -> None:
    """What is only in the log would be missing from the answer, and nobody would know."""
    writer = Manifest.open(tmp_path / "state")
    writer.start_job("job", "run", "schedule", NOW)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "state", copy)
    writer.close()
    (copy / f"{FILE_NAME}-shm").unlink()
    with seen_read_only(copy, tmp_path / "seen") as seen, pytest.raises(LibraryUnsafe):
        Manifest.open_existing(seen)


def test_damage_that_a_read_meets(tmp_path: Path) -> None:
    with closing(Manifest.open(tmp_path)) as made:
        for n in range(300):
            made.start_job(f"j{n}", "run", "x" * 100, NOW)
        made._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path = tmp_path / FILE_NAME
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
        made._db.execute("PRAGMA shrink_memory")
        with pytest.raises(ManifestDamaged):
            made.jobs(300)


def test_a_missing_table_is_damage(tmp_path: Path) -> None:
    with closing(Manifest.open(tmp_path)) as made:
        made._db.execute("DROP TABLE jobs")
        with pytest.raises(ManifestDamaged):
            made.jobs()
        with pytest.raises(ManifestDamaged):
            made.start_job("j", "run", "x", NOW)


def fill(made: Manifest) -> None:
    """More than fits."""
    for n in range(1000):
        made.set_note(f"n{n}", "x" * 4000)


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=400k", "none") as small:
        made = Manifest.open(small)
        with closing(made):
            with pytest.raises(LibraryFull):
                fill(made)
            assert not made._db.in_transaction
            assert made.jobs() == []


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(sqlite3.ProgrammingError), translated("state"):
        raise sqlite3.ProgrammingError("closed")


@pytest.mark.parametrize(
    ("small", "later", "noticed"),
    [(0, 1, False), (0, 24 * HOUR - 1, False), (0, 24 * HOUR, True), (0, -1, True), (1 << 30, 1, True)],
)
def test_a_large_manifest_is_checked_as_a_whole_once_a_day(
    small: int, later: int, noticed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read all of it takes as long as it is large, and a pass where nothing happened should not."""
    Manifest.open(tmp_path, lambda: NOW).close()
    monkeypatch.setattr(opening, "SMALL", small)
    Manifest.open(tmp_path, lambda: NOW).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'purges_open'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with open(tmp_path / FILE_NAME, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    if not noticed:
        Manifest.open(tmp_path, lambda: NOW + later).close()
        return
    with pytest.raises(ManifestDamaged):
        Manifest.open(tmp_path, lambda: NOW + later)
