"""Reads that fail in part: what cannot be had whole is not kept, and what goes wrong with one file stays with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import ResolvedHost
from sidecar.errors import AgentFailed, EngineRefused, HeldTooLong, MediaSyncError, SourceGone, StreamBroken
from sidecar.events import Bus
from sidecar.models import NS, FileStat, Road, Transfer
from sidecar.progress import ProgressManager
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.engine import SyncEngine
from sidecar.sync.report import SyncReport
from sidecar.sync.slots import Slots
from sidecar.transports.docker.adapter import HOLD, DockerAdapter
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.reading import archive
from tests.conftest import MakeGenerator
from tests.engine.purging import bench
from tests.engine.syncing import Pull, library_path, png, pngs, reasons
from tests.rig.generator import Generator
from tests.rig.program import Program

PADDED = "/sys/kernel/mm/transparent_hugepage/enabled"  # its stat says 4096, and reading gives a line
IMAGES = pytest.mark.parametrize("image", ["busybox_image", "python_image"])


@IMAGES
def test_a_file_that_reads_shorter_than_its_stat_is_not_kept(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    """The agent pads it with zeros, and its stat never moves. A root on tmpfs, so that there is no other road."""
    made = generator(image=request.getfixturevalue(image), tmpfs=["/out"], root="/out",
                     volumes={PADDED: "/out/ComfyUI_00001_.json"})  # fmt: skip
    pull = Pull(cli, made)
    for name, data in pngs("ComfyUI_00001_.png", "ComfyUI_00002_.png").items():
        made.write(name.decode(), data, age=100)
    report = pull.sync(code=3)
    assert (report["stored"], report["failed"]) == (2, 1), report
    (reason,) = reasons(report).values()
    assert "ended before its size" in reason or "ends 40" in reason, "busybox breaks its archive off"
    assert pull.library() == pngs("ComfyUI_00001_.png", "ComfyUI_00002_.png")


@IMAGES
def test_times_beyond_2262_disturb_nobody(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(image), tmpfs=["/out"], root="/out")
    pull = Pull(cli, made, env={"MEDIA_SYNC_SYNC__SETTLE": "1s"})
    for name, data in pngs("a.png", "odd.png").items():
        made.write(name.decode(), data, age=100)
    made.exec("touch", "-d", "@9999999999", "/out/odd.png")
    report = pull.sync()
    assert (report["stored"], report["unsettled"]) == (1, 1), report
    time.sleep(1.1)
    assert pull.sync()["stored"] == 1
    assert pull.library() == pngs("a.png", "odd.png")
    assert pull.sync()["unchanged"] == 2


def test_a_name_that_the_library_cannot_hold_is_fetched_once(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put({"a.png": png(1)}, age=100)
    pull.sync()
    Path(library_path(cli, "day").decode()).write_bytes(b"in the way")
    pull.made.put({"day/a.png": png(2)}, age=100)
    first, second = pull.sync(code=3), pull.sync(code=3)
    assert (first["failed"], second["failed"], second["bytes_received"]) == (1, 1, 0)
    assert reasons(first) == reasons(second)
    Path(library_path(cli, "day").decode()).unlink()
    pull.made.put({"day/a.png": png(3)}, age=90)
    assert pull.sync()["stored"] == 1, "it changed, so it is tried again"


class Meddled:
    """The real adapter, and something that happens before each read."""

    def __init__(self, adapter: DockerAdapter, before: Callable[[Transfer], None]) -> None:
        self._adapter, self._before = adapter, before
        self.roads: list[Road] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    @contextmanager
    def read(self, root: bytes, transfer: Transfer, on_open: Any) -> Iterator[Any]:
        self.roads.append(transfer.road)
        self._before(transfer)
        with self._adapter.read(root, transfer, on_open) as reading:
            yield reading


async def meddled(cli: Program, made: Generator, before: Callable[[Transfer], None], *, pull_only: bool = False
                  ) -> tuple[SyncReport, list[Road]]:  # fmt: skip
    """One pass in this process: its report, and the roads in the order that they were taken."""
    async with bench(cli, made) as parts:
        (source,) = (await parts.work.providers[0].discover()).sources
        engine = await Engine.connect(ResolvedHost(cli.host, None, "test"), 30)
        adapter = DockerAdapter(engine, source, await engine.inspect(source.generation), pull_only=pull_only)
        try:
            odd = Meddled(adapter, before)
            slots, options = Slots(2, files=50, held=5000), SyncOptions(Settling(0, 600 * NS), 0.25)
            sync = SyncEngine(parts.work.library, parts.work.manifest, options, Bus(), slots=slots)
            report = await sync.run("job", source, odd, ProgressManager("sync"))
            require_free(slots, files=50, held=5000)
            return report, odd.roads
        finally:
            await adapter.close()
            await engine.close()


def require_free(slots: Slots, files: int, held: int) -> None:
    """Whatever went wrong, what all sources share has come back to the last file and byte."""
    late = threading.Event()
    late.set()
    assert slots.reserve(files, late, lambda: None) == files
    assert slots.memory.take(held)
    assert not slots.memory.take(1)


@pytest.mark.parametrize("pull_only", [True, False])
def test_a_picture_deleted_before_it_is_read_does_not_stop_the_others(
    cli: Program, generator: MakeGenerator, pull_only: bool
) -> None:
    made = generator()
    files = pngs("a.png", "b.png", "c/d.png")
    made.put(files, age=100)

    def delete(_: Transfer) -> None:
        made.remove("b.png")

    report, roads = asyncio.run(meddled(cli, made, delete, pull_only=pull_only))
    assert report.error is None
    assert (report.stored, report.failed) == (2, []), report
    assert {p.path: p.reason for p in report.unsettled} == {b"b.png": "vanished before it was read"}
    assert Road.FILE in roads
    assert Pull(cli, made).library() == {name: files[name] for name in (b"a.png", b"c/d.png")}


@pytest.mark.parametrize("error", [AgentFailed("hiccup"), EngineRefused("HTTP 500")])
def test_a_road_that_breaks_is_not_taken_again(cli: Program, generator: MakeGenerator, error: MediaSyncError) -> None:
    made = generator()
    files = pngs("a.png", "b.png", "c/d.png")
    made.put(files, age=100)
    broken: list[Road] = []

    def fail_one_road(transfer: Transfer) -> None:
        broken[:] = broken or [transfer.road]
        if transfer.road in broken:
            raise error

    report, roads = asyncio.run(meddled(cli, made, fail_one_road))
    assert (report.error, report.failed, report.stored) == (None, [], 3)
    assert roads.count(broken[0]) == 1, roads
    assert Pull(cli, made).library() == files


async def opened(cli: Program, container: str, path: bytes) -> None:
    engine = await Engine.connect(ResolvedHost(cli.host, None, "test"), 30)
    try:
        with archive(engine, container, path, 10, lambda _: None):
            pass
    finally:
        await engine.close()


def test_a_missing_path_and_a_missing_container_are_told_apart(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    with pytest.raises(StreamBroken) as missing:
        asyncio.run(opened(cli, made.id, b"/output/none.png"))
    made.close()
    with pytest.raises(SourceGone) as gone:
        asyncio.run(opened(cli, made.id, b"/output/none.png"))
    assert not {"{", '"'} & set(missing.value.line() + gone.value.line()), "no raw JSON"


@pytest.mark.parametrize("pull_only", [False, True])
def test_one_file_is_cut_off_only_where_it_can_come_another_way(
    cli: Program, generator: MakeGenerator, pull_only: bool
) -> None:
    made = generator()
    size = 64 << 20
    made.big("long.mp4", size)
    one = Transfer(Road.FILE, (FileStat(b"long.mp4", size, 0),))

    def slowly(adapter: DockerAdapter) -> int:
        with adapter.read(b"/output", one, lambda _: None) as reading:
            (member,) = [member for member in [next(iter(reading))] if member.size == size]
            time.sleep(HOLD + 0.5)
            return sum(map(len, member.chunks()))

    async def read() -> int:
        async with bench(cli, made) as parts:
            (source,) = (await parts.work.providers[0].discover()).sources
            engine = await Engine.connect(ResolvedHost(cli.host, None, "test"), 30)
            adapter = DockerAdapter(engine, source, await engine.inspect(source.generation), pull_only=pull_only)
            try:
                await adapter.prepare()
                return await asyncio.to_thread(slowly, adapter)
            finally:
                await engine.close()

    if pull_only:
        assert asyncio.run(read()) == size
    else:
        with pytest.raises(HeldTooLong, match="cut off"):
            asyncio.run(read())


def test_a_dead_session_leaves_no_agent_behind(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put(pngs("a.png"))

    async def twice() -> int:
        async with bench(cli, made) as parts:
            (source,) = (await parts.work.providers[0].discover()).sources
            engine = await Engine.connect(ResolvedHost(cli.host, None, "test"), 30)
            adapter = DockerAdapter(engine, source, await engine.inspect(source.generation))
            try:
                await adapter.scan(b"/output")
                for session in adapter._sessions.values():  # as after an answer that was not understood
                    session.dead = True
                await adapter.restat(b"/output", [b"a.png"])
                await asyncio.sleep(0.5)
                running = await asyncio.to_thread(made.exec, "ps", "-o", "args")
                return running.out.count(b"IFS= read -r l")
            finally:
                await adapter.close()
                await engine.close()

    assert asyncio.run(twice()) == 1
