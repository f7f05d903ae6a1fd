"""`serve` goes on while people tidy up its library, and deletes nothing for a copy that is in a trash now."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import LibraryUnsafe
from sidecar.library.marker import check_writable
from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png, serving
from tests.rig.program import Program

DAY = 86_400
LATER = 6  # seconds that a copy must have been stored for, so that there is time to move it


def stopped(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    return err


def copies(cli: Program) -> int:
    return len(list((cli.library / "a" / "d").glob("*.png")))


def test_originals_stay_when_their_copies_are_moved_away(
    cli: Program, generator: MakeGenerator, tmp_path: Path
) -> None:
    made = generator()
    pictures = {f"d/x_{n:05}_.png": heavy_png(100, n) for n in range(3)}
    made.put(pictures, age=3 * DAY)
    purging = {"MEDIA_SYNC_PURGE__ENABLED": "true", "MEDIA_SYNC_PURGE__KEEP_NEWEST": "0",
               "MEDIA_SYNC_PURGE__MIN_STORED": f"{LATER}s"}  # fmt: skip
    with serving(cli, "--source", f"a={made.name}:/output", **purging) as process:
        eventually(lambda: copies(cli) == 3, "the copies")
        time.sleep(1.5)  # so that they are recorded
        os.rename(cli.library / "a" / "d", tmp_path / "trash")
        eventually(lambda: copies(cli) == 3 or len(made.files()) < 3, "the copies that a purge found missing")
        left = made.files()
        stopped(process)
    assert left == {name.encode() for name in pictures}, "an original went whose copy is in the trash"
    assert len(os.listdir(tmp_path / "trash")) == 3, "nothing new was put there"


def test_passes_go_on_after_folders_of_the_library_were_deleted(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"d/a.png": heavy_png(100, 1)}, age=60)
    with serving(cli, "--source", f"a={made.name}:/output") as process:
        eventually((cli.library / "a" / "d" / "a.png").exists, "the first file")
        for number, gone in enumerate(("a/d", "a"), start=2):
            time.sleep(1.5)
            shutil.rmtree(cli.library / gone)
            made.put({f"d/{number}.png": heavy_png(100, number)}, age=60)
            eventually((cli.library / "a" / "d" / f"{number}.png").exists, f"the file after {gone} was deleted")
        err = stopped(process)
    assert "pass failed" not in err
    assert "cannot be written" not in err


@pytest.fixture
def without_names(tmp_path: Path) -> Iterator[Path]:
    """A file system on which files can be made, and neither linked nor renamed."""
    at = tmp_path / "queues"
    at.mkdir()
    subprocess.run(["mount", "-t", "mqueue", "none", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def test_a_file_system_that_cannot_name_files_safely_is_refused_at_the_start(without_names: Path) -> None:
    before = os.listdir(without_names)
    fd = os.open(without_names, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(LibraryUnsafe, match="neither hard links nor renames") as raised:
            check_writable(without_names, fd)
    finally:
        os.close(fd)
    assert "ext4" in raised.value.hint
    assert os.listdir(without_names) == before, "the probe is gone"
