"""A purge that a guard ends in the middle: no file is left without an outcome, and what was done is told."""

from __future__ import annotations

import json
import time

from sidecar.cleanup.proofs import BATCH
from sidecar.errors import LibraryFull, LibraryUnsafe
from sidecar.events import Event
from tests.conftest import MakeGenerator
from tests.engine.purging import OLD, bench, filled, given, outcomes, pictures
from tests.rig.program import Program

FILES = pictures(f"{n:04}.png" for n in range(3 * BATCH))


async def test_the_marker_vanishes_between_two_batches(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, FILES)
    async with bench(cli, one) as work, work.planned() as planned:

        def unmount(_: Event) -> None:
            (cli.library / ".media-sync/library.json").unlink(missing_ok=True)

        planned.engine.bus.subscribe(unmount)
        report = await planned.execute()
    assert isinstance(report.error, LibraryUnsafe)
    assert "marker" in (report.refused or "")
    assert not report.ok
    assert (report.purged, report.kept, report.failed) == (BATCH, {"not reached": 2 * BATCH}, 0)
    assert {path.decode() for path, outcome, _ in report.files if outcome == "kept"} == {
        p.decode() for p in one.files()
    }
    assert sorted(path.decode() for path, _, _ in report.files) == sorted(FILES)


async def test_the_state_folder_fills_up(generator: MakeGenerator, cli: Program) -> None:
    """What cannot be recorded beforehand is not touched."""
    one = generator()
    filled(cli, one, FILES)
    async with bench(cli, one) as work, work.planned() as planned:
        db = work.work.manifest._db

        def fill(_: Event) -> None:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages}")

        planned.engine.bus.subscribe(fill)
        report = await planned.execute()
        assert isinstance(report.error, LibraryFull)
        assert (report.refused, report.ok) == (None, False)
    told = {path: outcome for path, outcome, _ in report.files}
    assert len(told) == len(report.files) == len(FILES)
    assert {path for path, outcome in told.items() if outcome == "kept"} <= one.files()


def test_the_command_tells_what_was_done(generator: MakeGenerator, cli: Program) -> None:
    first, second = generator(), generator()
    both = ("--source", f"a={first.name}:{first.root}", *given(second, "b"))
    many = pictures(f"{n:05}.png" for n in range(20 * BATCH))
    first.put(many, age=OLD)
    second.put(pictures(["a.png"]), age=OLD)
    cli("sync", *both).ok()
    # with a limit on the whole run, sources are purged one after another
    process = cli.start("purge", *both, "--keep-newest", "0", "--allow-empty", "--max-delete", "100%", "--json")
    count = ("sh", "-c", 'ls -A "$1" | wc -l', "-", first.root)
    while int(first.exec(*count).out) == len(many) and process.poll() is None:
        time.sleep(0.01)
    (cli.library / ".media-sync/library.json").unlink()
    said, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert "Traceback" not in err
    one, other = json.loads(said)["sources"]
    assert 0 < one["purged"] < len(many)
    assert "marker" in one["refused"]
    assert set(outcomes(one)) == set(many)
    assert {name.encode() for name, (word, _) in outcomes(one).items() if word == "kept"} == first.files()
    assert outcomes(other) == {"a.png": ("kept", "not reached")}
    assert second.files() == {b"a.png"}
