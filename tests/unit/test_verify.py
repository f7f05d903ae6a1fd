"""Copies that are re-read: what is missing or damaged is found and forgotten, and reading ends when it is told to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.progress import ProgressManager
from sidecar.verify import VerifyEngine, VerifyReport
from tests.api.running import Api

HUGE = 1 << 36  # bytes: minutes of reading, and no block on the disk


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)  # not entered: its library and manifest are wanted, not its server
    yield api
    api.search.close()
    api.library.close()
    api.manifest.close()


def copy_of(made: Api, name: str) -> Path:
    return next(path for path in made.settings.library.rglob(name) if path.is_file())


async def verified(made: Api, *, dry_run: bool = False) -> list[VerifyReport]:
    engine = VerifyEngine(made.library, made.manifest)
    return await engine.run((), (), ProgressManager("verify"), dry_run=dry_run)


async def test_what_is_missing_or_damaged_is_found_and_forgotten(made: Api) -> None:
    for name in ("good", "lost", "bad", "short"):
        await asyncio.to_thread(made.store, "gen", f"{name}.png".encode(), f"the {name} picture".encode())
    copy_of(made, "lost.png").unlink()
    copy_of(made, "bad.png").write_bytes(b"the evl picture")
    os.truncate(copy_of(made, "short.png"), 3)
    for dry_run in (True, False):
        (report,) = await verified(made, dry_run=dry_run)
        assert (report.checked, report.missing, report.damaged, report.ok) == (4, 1, 2, False)
        assert report.forgotten == (0 if dry_run else 3)
        assert {os.path.basename(path): reason for path, reason in report.problems} == {
            b"lost.png": "missing",
            b"bad.png": "damaged: other content",
            b"short.png": "damaged: 3 bytes in place of 17",
        }
    (total,) = await asyncio.to_thread(made.manifest.totals)
    assert total.stored == 1, "the next sync pulls the others again"


async def test_reading_ends_when_it_is_told_to(made: Api) -> None:
    await asyncio.to_thread(made.store, "gen", b"huge.mp4", b"x")
    os.truncate(copy_of(made, "huge.mp4"), HUGE)
    progress = ProgressManager("verify")
    task = asyncio.create_task(VerifyEngine(made.library, made.manifest).run((), (), progress))
    async with asyncio.timeout(30):
        while not progress.snapshot().bytes_done:  # noqa: ASYNC110 (a thread counts)
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    read = progress.snapshot().bytes_done
    await asyncio.sleep(0.05)
    assert progress.snapshot().bytes_done == read < HUGE
