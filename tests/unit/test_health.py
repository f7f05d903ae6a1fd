"""`healthcheck` looks at a sign of life and at the last pass that ended; no long pass and no clock deceives it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import ManifestDamaged
from sidecar.locks import LOCK, take_lock
from sidecar.manifest import Manifest
from sidecar.models import NS
from sidecar.service import health, sign_of_life, signs_of_life

MINUTE = 60 * NS


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Manifest]:
    """The state folder of a `serve` that is running, with a job of an earlier one."""
    made = Manifest.open(tmp_path)
    release = take_lock(tmp_path / LOCK, "state")
    ended(made, "before", time.time_ns(), ok=False)
    yield made
    release()
    made.close()


def ended(manifest: Manifest, job: str, at_ns: int, *, ok: bool) -> None:
    """One whole pass."""
    manifest.start_job(job, "run", "schedule", at_ns)
    manifest.end_job(job, ok, json.dumps({"problem": "" if ok else "engine gone"}), at_ns)


def beats(manifest: Manifest) -> int:
    """When the last sign was left."""
    return int(json.loads(manifest.note("serve") or "{}")["beat_ns"])


async def test_a_long_pass_leaves_signs_while_it_lives(serving: Manifest, tmp_path: Path) -> None:
    async with signs_of_life(sign_of_life(serving, MINUTE), 0.02):
        first = beats(serving)
        await asyncio.sleep(0.5)
        assert beats(serving) > first
        assert health(tmp_path, time.time_ns()) == (True, "serve is at its first pass")
    last = beats(serving)
    await asyncio.sleep(0.1)
    assert beats(serving) == last, "nobody beats between passes"


async def test_a_serve_that_hangs_is_noticed_whatever_the_clock_does(serving: Manifest, tmp_path: Path) -> None:
    async with signs_of_life(sign_of_life(serving, MINUTE)):
        now = time.time_ns()
        assert health(tmp_path, now + 4 * MINUTE)[0]
        for later in (now + 6 * MINUTE, now - 6 * MINUTE):
            ok, why = health(tmp_path, later)
            assert (ok, "no sign of life" in why) == (False, True)


async def test_a_failure_after_the_clock_went_back_is_seen(serving: Manifest, tmp_path: Path) -> None:
    async with signs_of_life(sign_of_life(serving, MINUTE)):
        ended(serving, "good", time.time_ns(), ok=True)
        assert health(tmp_path, time.time_ns())[0]
        ended(serving, "bad", time.time_ns() - 300 * MINUTE, ok=False)
        assert health(tmp_path, time.time_ns()) == (False, "the last pass failed: engine gone")


async def test_a_pass_that_fails_stops_the_signs_and_keeps_its_error(serving: Manifest) -> None:
    leave = sign_of_life(serving, MINUTE)
    with pytest.raises(KeyError):
        async with signs_of_life(leave, 0.02):
            raise KeyError
    last = beats(serving)
    await asyncio.sleep(0.1)
    assert beats(serving) == last


async def test_a_damaged_manifest_ends_it(serving: Manifest) -> None:
    signs = signs_of_life(sign_of_life(serving, MINUTE), 0.02)
    await signs.__aenter__()
    serving._db.execute("DROP TABLE meta")
    await asyncio.sleep(0.1)
    with pytest.raises(ManifestDamaged):
        await signs.__aexit__(None, None, None)
