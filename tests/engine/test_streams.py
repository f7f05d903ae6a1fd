"""The agent's streams: kept for the next read where that is sound, and never a way to mix two reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from sidecar.errors import MediaSyncError
from sidecar.models import Basis, FileStat, Road, Transfer
from sidecar.transports.base import TransportAdapter
from tests.conftest import MakeGenerator
from tests.engine.commands import eventually
from tests.engine.inprocess import opened
from tests.engine.syncing import png, pngs
from tests.rig.generator import Generator

ROOT = b"/output"


def streamed(adapter: TransportAdapter, *paths: bytes, on_open: Callable[..., None] = lambda abort: None
             ) -> dict[bytes, bytes]:  # fmt: skip
    """What one stream brings."""
    transfer = Transfer(Road.STREAM, tuple(FileStat(path, 0, 0) for path in paths))
    with adapter.read(ROOT, transfer, on_open) as reading:
        return {member.path: b"".join(bytes(chunk) for chunk in member.chunks()) for member in reading}


def agents(made: Generator) -> int:
    """How many agents run in a container that were started by an exec."""
    return made.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'", check=False).out.count(
        b"import sys;i=sys"
    )


@pytest.fixture
def made(generator: MakeGenerator, python_image: str) -> Generator:
    one = generator(image=python_image)
    one.put(pngs("a.png", "b.png", "c.png"), age=60)
    return one


@pytest_asyncio.fixture
async def adapter(tmp_path: Path, engine_host: str, made: Generator) -> AsyncIterator[TransportAdapter]:
    async with opened(tmp_path, engine_host, {"gen": made}) as parts:
        adapter = await parts.provider.adapter(parts.source())
        await adapter.prepare()
        yield adapter
        await adapter.close()


async def test_one_agent_serves_read_after_read_until_it_is_let_go(made: Generator, adapter: TransportAdapter) -> None:
    for number in range(5):
        name = b"abc"[number % 3 : number % 3 + 1] + b".png"
        assert streamed(adapter, name, b"gone.png") == {name: png(number % 3)}
        assert agents(made) == 1
    await adapter.close()
    for _ in range(100):
        if not agents(made):
            break
    assert agents(made) == 0
    assert streamed(adapter, b"a.png") == {b"a.png": png(0)}, "and another one is started when it is needed"


async def test_a_read_that_is_left_or_cut_off_leaves_nothing_for_the_next(
    made: Generator, adapter: TransportAdapter
) -> None:
    transfer = Transfer(Road.STREAM, tuple(FileStat(path, 0, 0) for path in (b"a.png", b"b.png")))
    with adapter.read(ROOT, transfer, lambda abort: None) as reading:
        next(iter(reading))  # and the rest is not taken
    for _ in range(100):
        if not agents(made):
            break
    assert agents(made) == 0, "bytes that were not taken may still be on their way"
    assert streamed(adapter, b"b.png", b"c.png") == {b"b.png": png(1), b"c.png": png(2)}
    with pytest.raises(MediaSyncError):
        streamed(adapter, b"a.png", on_open=lambda abort: abort())
    assert streamed(adapter, b"a.png") == {b"a.png": png(0)}


async def test_an_agent_that_died_meanwhile_fails_one_read(made: Generator, adapter: TransportAdapter) -> None:
    assert streamed(adapter, b"a.png") == {b"a.png": png(0)}
    killer = "cd /proc; for p in [0-9]*; do case $(tr '\\0' ' ' < $p/cmdline) in *sys.stdin*) kill -9 $p;; esac; done"
    made.exec("sh", "-c", killer, check=False)
    with pytest.raises(MediaSyncError):
        streamed(adapter, b"a.png")
    assert streamed(adapter, b"a.png") == {b"a.png": png(0)}


async def test_a_scan_that_finds_something_starts_the_agent_that_is_read_from(
    made: Generator, adapter: TransportAdapter
) -> None:
    found = await adapter.scan(ROOT, Basis({}, 0))
    await asyncio.to_thread(eventually, lambda: agents(made) == 2, "an agent to read from")
    assert streamed(adapter, b"a.png") == {b"a.png": png(0)}
    assert agents(made) == 2, "the one that scanned, and the one that was started for this"
    await adapter.close()
    await asyncio.to_thread(eventually, lambda: agents(made) == 0, "no agent left")
    assert found.marks.keys() == {b""}


async def test_an_adapter_that_is_closed_at_once_leaves_no_agent(made: Generator, adapter: TransportAdapter) -> None:
    await adapter.scan(ROOT, Basis({}, 0))
    await adapter.close()
    await asyncio.to_thread(eventually, lambda: agents(made) == 0, "no agent left")
    await asyncio.sleep(1)
    assert agents(made) == 0, "and none that comes late"


async def test_a_scan_that_finds_nothing_new_starts_nothing(
    tmp_path: Path, engine_host: str, made: Generator, adapter: TransportAdapter
) -> None:
    found = await adapter.scan(ROOT, Basis({}, 0))
    await adapter.close()
    async with opened(tmp_path / "again", engine_host, {"gen": made}) as parts:
        again = await parts.provider.adapter(parts.source())
        assert (await again.scan(ROOT, Basis(found.marks, 0))).same.keys() == {b""}
        await asyncio.sleep(1)
        assert agents(made) == 1, "the one that scanned"
        await again.close()
