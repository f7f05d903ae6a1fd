"""Copies that are re-read: what is missing or damaged is found and forgotten, and reading ends when it is told to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.events import Event, FileVerified
from sidecar.jobs.job import Action
from sidecar.jobs.outcomes import verdict
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


def end_originals(made: Api, *names: str) -> None:
    """As after a purge."""
    paths = [f"{name}.png".encode() for name in names]
    marks = ",".join("?" * len(paths))
    made.manifest._db.execute(f"UPDATE files SET state = 'purged' WHERE path IN ({marks})", paths)


async def verified(made: Api, *, dry_run: bool = False, accept_missing: bool = False) -> list[VerifyReport]:
    engine = VerifyEngine(made.library, made.manifest, made.bus, accept_missing=accept_missing)
    return await engine.run("job", (), (), ProgressManager("verify"), dry_run=dry_run)


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


async def test_what_was_deleted_on_purpose_is_told_until_somebody_says_so(made: Api) -> None:
    for name in ("good", "unwanted", "bad", "here"):
        await asyncio.to_thread(made.store, "gen", f"{name}.png".encode(), f"the {name} picture".encode())
    await asyncio.to_thread(end_originals, made, "good", "unwanted", "bad")
    copy_of(made, "unwanted.png").unlink()
    copy_of(made, "bad.png").write_bytes(b"the evl picture")
    for _ in range(2):
        (report,) = await verified(made)
        assert (report.missing, report.damaged, report.lost, report.given_up) == (1, 1, 2, 0)
    (report,) = await verified(made, dry_run=True, accept_missing=True)
    assert (report.missing, report.given_up) == (0, 1), "what a real one would do"
    assert (await verified(made))[0].missing == 1, "and did not"
    copy_of(made, "here.png").unlink()
    (report,) = await verified(made, accept_missing=True)
    assert (report.missing, report.forgotten, report.given_up) == (1, 1, 1), "what has its original is pulled again"
    (report,) = await verified(made)
    assert (report.damaged, report.lost, report.given_up) == (1, 2, 1), "a damaged copy, and a loss of today, are told"
    assert (report.ok, verdict(Action.VERIFY, {"sources": [report.as_json()]}).faults != ()) == (False, True)
    copy_of(made, "bad.png").unlink()
    (report,) = await verified(made, accept_missing=True)
    assert (report.ok, report.given_up) == (True, 3)
    assert (await verified(made))[0].ok, "and never again"


async def test_what_is_stored_in_the_place_of_a_copy_that_was_given_up_can_be_lost(made: Api) -> None:
    await asyncio.to_thread(made.store, "gen", b"a.png", b"the picture")
    await asyncio.to_thread(end_originals, made, "a")
    copy = copy_of(made, "a.png")
    copy.unlink()
    assert (await verified(made, accept_missing=True))[0].given_up == 1
    copy.write_bytes(b"the picture")  # from a backup
    assert (await verified(made))[0].given_up == 0
    copy.unlink()
    assert (await verified(made))[0].lost == 1
    assert (await verified(made, accept_missing=True))[0].given_up == 1
    await asyncio.to_thread(made.store, "gen", b"a.png", b"the picture")  # the generator made it again
    await asyncio.to_thread(end_originals, made, "a")
    copy.unlink()
    assert (await verified(made))[0].lost == 1


async def test_reading_ends_when_it_is_told_to(made: Api) -> None:
    await asyncio.to_thread(made.store, "gen", b"huge.mp4", b"x")
    os.truncate(copy_of(made, "huge.mp4"), HUGE)
    progress = ProgressManager("verify")
    task = asyncio.create_task(VerifyEngine(made.library, made.manifest, made.bus).run("job", (), (), progress))
    async with asyncio.timeout(30):
        while not progress.snapshot().bytes_done:  # noqa: ASYNC110 (a thread counts)
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    read = progress.snapshot().bytes_done
    await asyncio.sleep(0.05)
    assert progress.snapshot().bytes_done == read < HUGE


def test_a_long_report_is_cut_and_says_so() -> None:
    report = VerifyReport("gen", missing=5, problems=[(b"%d" % n, "missing") for n in range(5)])
    told = report.as_json(2)
    assert (len(told["problems"]), told["problems_more"]) == (2, 3)
    assert "problems_more" not in report.as_json()


async def test_what_a_check_finds_is_told_of_each_copy(made: Api) -> None:
    heard: list[Event] = []
    made.bus.subscribe(heard.append, FileVerified)
    hashes = {}
    for name in ("good", "lost", "bad", "away"):
        hashes[name] = await asyncio.to_thread(
            made.store, "gen", f"{name}.png".encode(), f"the {name} picture".encode()
        )
    end_originals(made, "away")
    copy_of(made, "lost.png").unlink()
    copy_of(made, "away.png").unlink()
    copy_of(made, "bad.png").write_bytes(b"the evl picture")
    await verified(made, accept_missing=True)
    told = {event.path: event for event in heard if isinstance(event, FileVerified)}
    assert {path: (event.outcome, event.reason) for path, event in told.items()} == {
        b"good.png": ("good", ""),
        b"lost.png": ("missing", "missing"),
        b"bad.png": ("damaged", "damaged: other content"),
        b"away.png": ("given_up", "missing"),
    }
    assert {(event.job, event.source, event.root) for event in told.values()} == {("job", "gen", b"/o")}
    assert {path: event.sha256.hex() for path, event in told.items()} == {
        f"{name}.png".encode(): digest for name, digest in hashes.items()}  # fmt: skip
    await verified(made)
    assert len(heard) == 8, "each check tells anew"
