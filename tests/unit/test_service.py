"""What runs inside `serve` has an owner: a part that ends by itself ends it loudly, and is never unseen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.cli.bars import Lines
from sidecar.config import load
from sidecar.service import serve
from tests.api.running import free_port


async def until(check: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def named(name: str) -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == name]


@pytest.mark.parametrize("name", ["http", "signs of life", "schedules"])
async def test_a_part_that_ends_by_itself_ends_the_whole(name: str, tmp_path: Path) -> None:
    where = {"library": str(tmp_path / "library"), "state": str(tmp_path / "state"), "host": f"unix://{tmp_path}/none"}
    loaded = load({**where, "api": {"listen": f"127.0.0.1:{free_port()}"}}, env={}, cwd=tmp_path)
    serving = asyncio.create_task(serve(loaded, {}, Lines, lambda: None))
    try:
        await until(lambda: named("schedules") or serving.done())
        await asyncio.sleep(0)  # what is cancelled before its first step never was a part
        for task in named(name):
            task.cancel()
        with pytest.raises(RuntimeError, match="ended by itself"):
            await asyncio.wait_for(asyncio.shield(serving), 30)
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def test_told_to_end_it_ends(tmp_path: Path) -> None:
    where = {"library": str(tmp_path / "library"), "state": str(tmp_path / "state"), "host": f"unix://{tmp_path}/none"}
    loaded = load({**where, "api": {"enabled": False}}, env={}, cwd=tmp_path)
    serving = asyncio.create_task(serve(loaded, {}, Lines, lambda: None))
    await until(lambda: named("schedules") or serving.done())
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
