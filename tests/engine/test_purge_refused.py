"""Unsure means keep: guards that refuse a whole purge, with the reason and exit code 5."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.errors import LibraryUnsafe
from tests.conftest import MakeGenerator
from tests.engine.purging import OLD, bench, copies, filled, given, outcomes, pictures, purge, refused
from tests.rig.generator import Generator
from tests.rig.program import Program


def kept_for(cli: Program, one: Generator, reason: str, *args: str, env: dict[str, str] | None = None) -> None:
    """A purge is refused for this reason, as a dry run and for good, and touches nothing."""
    running = one.container.status == "running"
    before = one.stats() if running else None
    for dry in ("--dry-run",), ():
        code, report = purge(cli, one, *args, *dry, env=env)
        assert (code, report["refused"]) == (5, reason)
        assert (report["purged"], report["bytes_freed"]) == (0, 0)
        assert not any(outcome == "purged" for outcome, _ in outcomes(report).values())
    if running:
        assert one.stats() == before


def test_no_library_or_another_one(generator: MakeGenerator, cli: Program) -> None:
    """Each of these is what a user sees when a disk is not mounted, or the wrong one is."""
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    before = one.stats()
    marker = cli.library / ".media-sync/library.json"
    good = marker.read_bytes()

    marker.unlink()
    assert "marker" in refused(cli("purge", *given(one)))
    marker.write_text(json.dumps({"id": "0" * 32}))
    assert "belongs to another state folder" in refused(cli("purge", *given(one)))
    marker.write_text("{")
    assert "marker" in refused(cli("purge", *given(one)))
    marker.write_bytes(good)

    disk = cli.library.rename(cli.folder / "disk")
    refused(cli("purge", *given(one)))  # the mount point itself is gone
    cli.library.mkdir()
    assert "marker" in refused(cli("purge", *given(one)))  # the empty mount point of an unmounted disk
    other = Program(cli.folder / "other", cli.host)
    other.folder.mkdir()
    other("sync", *given(one)).ok()
    cli.library.rmdir()
    shutil.copytree(other.library, cli.library)  # with the very same files in it
    assert "belongs to another state folder" in refused(cli("purge", *given(one)))
    shutil.rmtree(cli.library)
    assert one.stats() == before

    disk.rename(cli.library)
    assert purge(cli, one)[1]["purged"] == 2


@pytest.mark.parametrize("harm", ["unmounted", "marker gone", "swapped"])
async def test_a_library_that_goes_away_after_the_plan(harm: str, generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    before = one.stats()
    async with bench(cli, one) as work, work.planned() as planned:
        assert planned.plan.candidates == 2
        marker = cli.library / ".media-sync/library.json"
        if harm == "marker gone":
            marker.unlink()
        elif harm == "swapped":
            marker.write_text(json.dumps({"id": "f" * 32}))
        else:
            cli.library.rename(cli.folder / "elsewhere")  # open descriptors go on working, as with `umount -l`
            cli.library.mkdir()
        report = await planned.execute()
        assert isinstance(report.error, LibraryUnsafe)
        assert "marker" in (report.refused or "")
        assert sorted(report.files) == [(b"a.png", "kept", "not reached"), (b"b.png", "kept", "not reached")]
    assert one.stats() == before


def test_too_many_would_go(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(f"{n}.png" for n in range(10)))
    one.put(pictures(f"young-{n}.png" for n in range(10)), age=60)
    kept_for(cli, one, "10 files would go, purge.max_delete allows 9", "--max-delete", "9")
    kept_for(cli, one, "10 of 20 files would go, purge.max_delete allows 49 %", "--max-delete", "49%")
    env = {"MEDIA_SYNC_PURGE__MAX_DELETE": "0"}
    kept_for(cli, one, "10 files would go, purge.max_delete allows 0", env=env)
    assert purge(cli, one, "--max-delete", "50%", "--dry-run")[0] == 0
    code, report = purge(cli, one, "--max-delete", "10")
    assert (code, report["purged"]) == (0, 10)


def test_a_folder_is_emptied_only_when_told_so(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(f"{n}.png" for n in range(21)))
    one.put({"_output_images_will_be_put_here": b"", "notes.csv": b"1;2"}, age=OLD)  # what nobody would miss
    kept_for(cli, one, "all 21 files would go; give --allow-empty if that is meant")
    assert purge(cli, one, "--allow-empty", "--dry-run")[1]["candidates"] == 21
    one.remove("20.png")
    code, report = purge(cli, one)  # twenty are few enough
    assert (code, report["purged"]) == (0, 20)
    assert one.files() == {b"_output_images_will_be_put_here", b"notes.csv"}


def stop(one: Generator) -> None:
    """An operator stops the container."""
    one.stop()


def pause(one: Generator) -> None:
    """An operator freezes it."""
    one.pause()


@pytest.mark.parametrize(("act", "reason"), [(stop, "not running"), (pause, "paused")])
def test_a_container_that_cannot_be_asked(
    act: Callable[[Generator], None], reason: str, generator: MakeGenerator, cli: Program
) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png"]))
    act(one)
    one.container.reload()
    kept_for(cli, one, reason)
    one.unpause() if reason == "paused" else one.start()
    assert one.files() == {b"a.png"}
    assert purge(cli, one)[1]["purged"] == 1


def test_a_container_without_a_shell(generator: MakeGenerator, cli: Program, noshell_image: str) -> None:
    one = generator(image=noshell_image, command=("/sleep", "infinity"), root="/srv/out")
    filled(cli, one, pictures(["a.png"]))
    code, report = purge(cli, one)
    assert (code, report["refused"], report["purged"]) == (5, "no shell", 0)
    assert one.container.get_archive("/srv/out/a.png")


def test_pull_only_mode_and_a_label_that_says_no(generator: MakeGenerator, cli: Program) -> None:
    one = generator(labels={"media-sync.purge": "false"})
    filled(cli, one, pictures(["a.png"]))
    kept_for(cli, one, "purge is switched off for this source")
    two = generator()
    filled(cli, two, pictures(["a.png"]))
    kept_for(cli, two, "pull-only mode", env={"MEDIA_SYNC_DOCKER__PULL_ONLY": "true"})
    assert one.files() == two.files() == {b"a.png"}


def test_a_source_that_is_switched_off_does_not_spoil_the_others(generator: MakeGenerator, cli: Program) -> None:
    off, on = generator(labels={"media-sync.purge": "false"}), generator()
    both = ("--source", f"off={off.name}:{off.root}", "--source", f"on={on.name}:{on.root}")
    for one in (off, on):
        one.put(pictures(["a.png"]), age=OLD)
    cli("sync", *both).ok()
    done = cli("purge", *both, "--json").ok().json
    assert [(s["name"], s["purged"], s["refused"]) for s in done["sources"]] == [
        ("off", 0, "purge is switched off for this source"),
        ("on", 1, None),
    ]
    assert off.files() == {b"a.png"}
    assert cli("purge", "off", *both).code == 5, "asked for by name"


def test_a_new_generation_is_looked_at_by_a_sync_first(
    volume: Callable[[], str], generator: MakeGenerator, cli: Program
) -> None:
    one = generator(volumes={volume(): "/output"})
    filled(cli, one, pictures(["a.png", "b.png"]))
    one.recreate()
    before = one.stats()
    assert one.files() == {b"a.png", b"b.png"}
    for _ in range(2):  # a purge does not count as a look
        code, report = purge(cli, one)
        assert (code, report["kept"]) == (0, {"new generation, not looked at by a sync yet": 2})
    assert one.stats() == before
    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["stored"] == 0
    assert purge(cli, one)[1]["purged"] == 2


@pytest.mark.parametrize("below", ["", "deep"])
def test_a_library_that_is_the_sources_own_folder(below: str, generator: MakeGenerator, cli: Program) -> None:
    """The copies and the originals are the same files: deleting one deletes the only one."""
    shared = cli.library / "gen"
    shared.mkdir(parents=True)
    one = generator(volumes={str(shared): "/output"})
    names = [f"{below}/{n}.png".lstrip("/") for n in range(3)]
    filled(cli, one, pictures(names))
    reason = "the library lies inside the source's folder: its files are the copies themselves"
    kept_for(cli, one, reason)
    assert copies(cli.library).keys() == {b"gen/" + name.encode() for name in names}


def test_a_library_below_the_sources_folder(generator: MakeGenerator, cli: Program, tmp_path: Path) -> None:
    """Its copies would be listed as originals, and pulled again with every pass, one level deeper."""
    one = generator(volumes={str(tmp_path): "/output"})
    one.put(pictures(["a.png"]), age=OLD)
    done = cli("sync", *given(one))
    assert done.code == 2
    assert "the library lies inside this source's folder, at /output/library" in done.err
    assert not (cli.library / "gen").exists()


def test_a_damaged_manifest(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png"]))
    before = one.stats()
    file = cli.state / "manifest.sqlite3"
    whole = file.read_bytes()
    assert len(whole) > 8192
    for bad in (b"not a database at all " * 100, whole[:5000], whole[:4096] + bytes(4096) + whole[8192:]):
        file.write_bytes(bad)
        assert "manifest" in refused(cli("purge", *given(one)))
    assert one.stats() == before
    file.write_bytes(whole)
    assert purge(cli, one)[1]["purged"] == 1


def test_what_one_source_keeps_is_kept_in_every_source_that_sees_the_folder(
    volume: Callable[[], str], generator: MakeGenerator, cli: Program
) -> None:
    shared = volume()
    labels = {"media-sync.purge": "false"}
    careful = generator(volumes={shared: "/output"}, labels=labels)
    careless = generator(volumes={shared: "/data"}, root="/data/sub")
    careful.put(pictures([f"sub/{n}.png" for n in range(3)]), age=OLD)
    both = ("--source", f"careful={careful.name}:/output", "--source", f"careless={careless.name}:/data/sub")
    cli("sync", *both).ok()
    done = cli("purge", "careless", *both, "--json")
    (report,) = done.json["sources"]
    assert (done.code, report["purged"], report["refused"]) == (5, 0, "purge is switched off for this source")
    assert "share a folder" in done.err
    assert len(careful.files()) == 3


def test_after_this_machines_clock_jumped_nothing_is_old(generator: MakeGenerator, cli: Program) -> None:
    """The last look at the clocks is made to say that a month passed which the boot clock did not see."""
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    with closing(sqlite3.connect(cli.state / "manifest.sqlite3")) as db:
        (note,) = db.execute("SELECT value FROM meta WHERE key = 'note.clock'").fetchone()
        before = json.loads(note)
        before["wall_ns"] -= 30 * 24 * 3600 * 10**9
        db.execute("UPDATE meta SET value = ? WHERE key = 'note.clock'", (json.dumps(before),))
        db.commit()
    for _ in range(2):  # noticed once, it holds for as long as ages count
        code, report = purge(cli, one)
        assert (code, report["purged"]) == (5, 0)
        assert "clock jumped: nothing is deleted for another 14" in report["refused"]
    assert one.files() == {b"a.png", b"b.png"}
