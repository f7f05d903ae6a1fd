"""The manifest on a real SQLite file: what is recorded together, what follows what, and what damage gets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.errors import LibraryUnsafe, ManifestDamaged
from sidecar.manifest import CostRow, ItemFilter, Manifest, NewFile, SourceKey, Waiting
from sidecar.manifest.costs import COSTS_KEPT
from sidecar.manifest.history import JOBS_KEPT, QUIET_KEPT
from sidecar.manifest.opening import FILE_NAME
from sidecar.manifest.schema import VERSION
from sidecar.models import FileStat, PurgeOutcome, Source

ROOT = b"/output"
NOW = 1_700_000_000_000_000_000
SOURCE = Source("gen", "comfyui", "docker", "id-1", "comfy", (ROOT,), "running")


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest.open(tmp_path)
    yield made
    made.close()


def new(path: bytes, content: int = 1, *, mtime_ns: int = NOW, inode: int = 5) -> NewFile:
    return NewFile(FileStat(path, 10, mtime_ns, inode), bytes([content]) * 32, b"gen/" + path, "image")


def recorded(manifest: Manifest, *files: NewFile, source: Source = SOURCE) -> SourceKey:
    key = manifest.enter(source, NOW)
    manifest.record(key, ROOT, files, NOW)
    return key


def states(manifest: Manifest) -> list[tuple[bytes, str]]:
    return sorted((item.path, item.state) for item in manifest.items())


def test_what_is_recorded_is_known(manifest: Manifest) -> None:
    odd = b"caf\xe9\n'.png"
    key = recorded(manifest, new(b"a.png"), new(odd, 2, mtime_ns=NOW + 1, inode=9))
    known = manifest.known(key, ROOT)
    assert set(known) == {b"a.png", odd}
    assert (known[odd].mtime_ns, known[odd].inode, known[odd].library_path) == (NOW + 1, 9, b"gen/" + odd)
    assert manifest.known(key, b"/other") == {}
    assert manifest.copies_of([b"\2" * 32, b"\3" * 32]) == {b"\2" * 32: (b"gen/" + odd, 10)}
    assert manifest.copies_of([b"%032d" % n for n in range(1500)]) == {}


def test_a_source_that_is_known_is_entered_without_a_write(manifest: Manifest) -> None:
    key = manifest.enter(SOURCE, NOW)
    before = manifest._db.total_changes
    assert manifest.enter(SOURCE, NOW + 1) == key
    assert manifest._db.total_changes == before
    again = manifest.enter(replace(SOURCE, generation="id-2"), NOW)
    assert (again.source_id, again.generation_id > key.generation_id) == (key.source_id, True)
    manifest.enter(replace(SOURCE, kind="forge"), NOW)
    assert [total.kind for total in manifest.totals()] == ["forge"]


def test_a_name_with_new_bytes_replaces_its_row_and_keeps_the_old_one(manifest: Manifest) -> None:
    key = recorded(manifest, new(b"a.png"))
    manifest.record(key, ROOT, [replace(new(b"a.png", 2), library_path=b"gen/a~02020202.png")], NOW)
    assert states(manifest) == [(b"a.png", "replaced"), (b"a.png", "stored")]
    assert manifest.known(key, ROOT)[b"a.png"].hash == b"\2" * 32


def test_a_group_is_recorded_whole_or_not_at_all(manifest: Manifest) -> None:
    key = manifest.enter(SOURCE, NOW)
    bad = replace(new(b"b.png"), hash=b"short")
    with pytest.raises(sqlite3.IntegrityError):
        manifest.record(key, ROOT, [new(b"a.png"), bad], NOW)
    assert manifest.items() == []


def test_one_look_moves_rows_on(manifest: Manifest) -> None:
    key = recorded(manifest, new(b"a.png"), new(b"b.png", 2))
    known = manifest.known(key, ROOT)
    again = manifest.enter(replace(SOURCE, generation="id-2"), NOW)
    assert again.source_id == key.source_id
    assert again.generation_id != key.generation_id
    assert manifest.enter(SOURCE, NOW) == key
    manifest.confirm(again, [(known[b"a.png"].file_id, FileStat(b"a.png", 10, NOW + 7, 99))], NOW,
                     [known[b"b.png"].file_id])  # fmt: skip
    now = manifest.known(again, ROOT)
    assert set(now) == {b"a.png"}
    assert (now[b"a.png"].generation_id, now[b"a.png"].mtime_ns, now[b"a.png"].inode) == (
        again.generation_id, NOW + 7, 99
    )  # fmt: skip
    assert states(manifest) == [(b"a.png", "stored"), (b"b.png", "vanished")]


def test_what_waits_is_replaced_as_a_whole_and_ends_when_stored(manifest: Manifest) -> None:
    key = manifest.enter(SOURCE, NOW)
    waits = {name: Waiting(3, NOW, 4, NOW, fetched=True, reason="no end") for name in (b"a.png", b"b.png")}
    manifest.set_waiting(key, ROOT, waits)
    assert manifest.waiting(key, ROOT) == waits
    assert manifest.totals()[0].waiting == 2
    manifest.record(key, ROOT, [new(b"a.png")], NOW)
    assert set(manifest.waiting(key, ROOT)) == {b"b.png"}
    manifest.set_waiting(key, ROOT, {})
    assert manifest.waiting(key, ROOT) == {}


def test_a_purge_is_intended_before_and_concluded_after(manifest: Manifest) -> None:
    key = recorded(manifest, new(b"a.png"), new(b"b.png", 2), new(b"c.png", 3))
    ids = {path: record.file_id for path, record in manifest.known(key, ROOT).items()}
    manifest.intend(key, "job", [(ids[p], b".private-" + p) for p in sorted(ids)], (1000, 1000), NOW)
    assert [i.path for i in manifest.open_purges(key, ROOT)] == [b"a.png", b"b.png", b"c.png"]
    manifest.conclude("job", [(ids[b"a.png"], PurgeOutcome.PURGED, ""), (ids[b"b.png"], PurgeOutcome.CHANGED, "")], NOW)
    (left,) = manifest.open_purges(key, ROOT)
    assert (left.path, left.private, left.uid) == (b"c.png", b".private-c.png", 1000)
    manifest.settle([(left, "purged")], NOW)
    assert manifest.open_purges(key, ROOT) == []
    assert states(manifest) == [(b"a.png", "purged"), (b"b.png", "replaced"), (b"c.png", "purged")]


def test_pages_and_totals(manifest: Manifest) -> None:
    recorded(manifest, *(new(b"%02d.png" % n, n) for n in range(25)))
    recorded(manifest, new(b"x.png", 99), source=replace(SOURCE, name="other"))
    first = manifest.items(ItemFilter(sources=("gen",)), limit=10)
    second = manifest.items(ItemFilter(sources=("gen",)), limit=100, before=first[-1].file_id)
    assert [i.path for i in first + second] == [b"%02d.png" % n for n in reversed(range(25))]
    assert {t.name: (t.stored, t.bytes) for t in manifest.totals()} == {"gen": (25, 250), "other": (1, 10)}


def test_passes_that_had_nothing_to_do_do_not_push_out_what_tells_something(manifest: Manifest) -> None:
    manifest.start_job("purge", "purge", "schedule", NOW)
    manifest.end_job("purge", False, "{}", NOW)
    for n in range(QUIET_KEPT + 20):
        manifest.start_job(f"j{n}", "run", "schedule", NOW + n)
        manifest.end_job(f"j{n}", True, "{}", NOW + n, quiet=True)
    jobs = manifest.jobs(JOBS_KEPT)
    assert len(jobs) <= QUIET_KEPT + 2
    assert jobs[-1].id == "purge"
    assert jobs[0].id == f"j{QUIET_KEPT + 19}"


def test_old_jobs_are_dropped_and_a_killed_one_stays_open(manifest: Manifest) -> None:
    for n in range(JOBS_KEPT + 5):
        manifest.start_job(f"j{n}", "sync", "command", NOW + n)
    manifest.end_job(f"j{JOBS_KEPT + 4}", True, "{}", NOW)
    jobs = manifest.jobs(JOBS_KEPT * 2)
    assert len(jobs) <= JOBS_KEPT + 1
    assert (jobs[0].ok, jobs[1].ok) == (True, None)


def test_a_manifest_belongs_to_one_library_for_ever(tmp_path: Path) -> None:
    made = Manifest.open(tmp_path)
    assert made.library_id() is None
    made.bind_library("one")
    made.bind_library("two")
    made.close()
    again = Manifest.open(tmp_path)
    assert again.library_id() == "one"
    again.close()


def test_it_is_written_with_full_synchrony(tmp_path: Path) -> None:
    made = Manifest.open(tmp_path)
    assert made._read("PRAGMA synchronous") == [(2,)]
    assert made._read("PRAGMA journal_mode") == [("wal",)]
    assert made._read("PRAGMA user_version") == [(VERSION,)]
    made.close()


@pytest.mark.parametrize("damage", ["not sqlite", "page"])
def test_a_damaged_manifest_is_refused_and_kept(tmp_path: Path, damage: str) -> None:
    made = Manifest.open(tmp_path)
    recorded(made, *(new(b"%04d.png" % n, n % 250) for n in range(2000)))
    made.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    if damage == "page":
        data[len(data) // 2 : len(data) // 2 + 4096] = os.urandom(4096)
    else:
        data[:16] = b"something else.."
    path.write_bytes(data)
    with pytest.raises(ManifestDamaged):
        Manifest.open(tmp_path)
    assert path.read_bytes() == bytes(data)


def test_a_newer_manifest_is_left_alone(tmp_path: Path) -> None:
    Manifest.open(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(ManifestDamaged, match="schema"):
        Manifest.open(tmp_path)


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryUnsafe, match="cannot be used"):
        Manifest.open(tmp_path / "file" / "state")
    assert Manifest.open_existing(tmp_path) is None


def test_costs_are_kept_by_engine_and_road_and_only_the_newest(manifest: Manifest) -> None:
    manifest.costs.keep("one", [CostRow("folder", 0.04, 1e-9, 1e-4, 3, 10), CostRow("file", 0.05, 1e-9, 1e-4, 1, 11)])
    manifest.costs.keep("two", [CostRow("folder", 0.002, 1e-9, 1e-4, 9, 12)])
    manifest.costs.keep("one", [CostRow("folder", 0.03, 1e-9, 1e-4, 4, 13)])
    assert manifest.costs.load("one") == {
        "folder": CostRow("folder", 0.03, 1e-9, 1e-4, 4, 13), "file": CostRow("file", 0.05, 1e-9, 1e-4, 1, 11),
    }  # fmt: skip
    assert manifest.costs.load("three") == {}
    manifest.costs.keep("many", [CostRow(f"road {n}", 0.05, 1e-9, 1e-4, 1, 100 + n) for n in range(COSTS_KEPT)])
    assert manifest.costs.load("one") == manifest.costs.load("two") == {}
    assert len(manifest.costs.load("many")) == COSTS_KEPT
