"""Files that a real container finishes while it is watched, however it makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from generators import media

from sidecar.jobs.job import Cause, JobState, JobView
from sidecar.watchers import bursts
from tests.conftest import MakeGenerator
from tests.engine.inprocess import Service, serving
from tests.engine.syncing import png, pngs
from tests.rig.generator import Generator

pytestmark = pytest.mark.alone


@pytest.fixture
def made(generator: MakeGenerator, python_image: str) -> Generator:
    one = generator(image=python_image)
    one.put(pngs("before.png", seed=1000), age=60)
    return one


@pytest_asyncio.fixture
async def service(tmp_path: Path, engine_host: str, made: Generator) -> AsyncIterator[Service]:
    async with serving(tmp_path, engine_host, {"gen": made}) as service:
        await service.watched()
        yield service


async def act(call: object, *values: object, **named: object) -> None:
    """Do something to a container without holding up the watch."""
    await asyncio.to_thread(call, *values, **named)  # type: ignore[arg-type]


async def test_whatever_way_a_file_is_finished_it_is_stored(service: Service, made: Generator) -> None:
    assert service.watchers.how("gen") == "inotify"
    assert service.files() == pngs("before.png", seed=1000), "what was there before the watch came by a scan"
    jobs = len(service.desk.recent(100))
    whole = {b"in-place.png": png(1), b"renamed.png": png(2), b"new/sub/folder.png": png(3), b"moved/in/a.png": png(4),
             b"moved/b.png": png(5), b"grows.png": media.tiny_png(6)}  # fmt: skip
    film = whole[b"grows.png"]
    await act(made.write, "in-place.png", png(1))
    await act(made.write, "renamed.png", png(2), temporary=True)
    await act(made.write, "new/sub/folder.png", png(3))
    await act(made.exec, "mkdir", "-p", "/elsewhere/in")
    await act(made.exec, "sh", "-c", "cat > /elsewhere/in/a.png", stdin=png(4))
    await act(made.exec, "sh", "-c", "cat > /elsewhere/b.png", stdin=png(5))
    await act(made.exec, "mv", "/elsewhere", "/output/moved")
    pieces = """import sys, time
data, file = sys.stdin.buffer.read(), open("/output/grows.png", "wb", 0)
for n in range(5):
    file.write(data[n * len(data) // 5 : (n + 1) * len(data) // 5])
    time.sleep(0.6)
"""
    await act(made.exec, "python3", "-c", pieces, stdin=film)
    await act(made.write, "notes.csv", b"no media")
    await service.until(lambda: whole.keys() <= service.files().keys())
    assert service.files() == whole | pngs("before.png", seed=1000)
    assert len([view for view in service.desk.recent(100) if view.state.ended]) == jobs, "and no scan was made"


async def test_a_burst_is_stored_and_is_no_job_for_each_file(
    tmp_path: Path, engine_host: str, made: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "QUIET", 2.0)

    def told(service: Service) -> list[JobView]:
        return [view for view in service.desk.recent(100) if view.id not in before and stored(view)]

    async with serving(tmp_path, engine_host, {"gen": made}) as service:
        await service.watched()
        before = {view.id for view in service.desk.recent(100)}
        wanted = pngs(*(f"{number % 7}/{number:05}.png" for number in range(300)))
        await act(made.put, wanted, age=0)
        await service.until(lambda: sum(map(stored, told(service))) == 300)
        assert service.files().items() >= wanted.items()
        shown = {view.id for view in told(service)}
    async with serving(tmp_path, engine_host, {"gen": made}) as service:
        assert {view.id for view in told(service)} == shown
        assert {(view.request.cause, view.request.sources, view.state) for view in told(service)} == {
            (Cause.WATCH, ("gen",), JobState.DONE)
        }
        # one, where nothing else keeps this machine from writing them in one go
        assert 1 <= len(shown) <= 5
        assert sum(map(stored, told(service))) == 300


def stored(view: JobView) -> int:
    """How many files an ended job stored."""
    return sum(source["stored"] for source in view.result["sources"]) if view.result is not None else 0


async def test_a_container_that_restarts_is_watched_again_and_what_it_made_meanwhile_comes(
    service: Service, made: Generator
) -> None:
    await act(made.container.restart, timeout=1)
    await act(made.write, "soon.png", png(1))
    await service.until(lambda: b"soon.png" in service.files())
    await service.until(lambda: service.watchers.how("gen"))
    await service.at_rest()
    await act(made.write, "later.png", png(2))
    await service.until(lambda: b"later.png" in service.files())


async def test_a_watch_whose_agent_is_killed_is_begun_anew(service: Service, made: Generator) -> None:
    killer = "cd /proc; for p in [0-9]*; do case $(tr '\\0' ' ' < $p/cmdline) in *sys.stdin*) kill -9 $p;; esac; done"
    await act(made.exec, "sh", "-c", killer, check=False)  # which it finds in itself, too
    await act(made.write, "soon.png", png(1))
    await service.until(lambda: b"soon.png" in service.files())
    await service.until(lambda: service.watchers.how("gen"))
    await act(made.write, "later.png", png(2))
    await service.until(lambda: b"later.png" in service.files())


async def test_one_that_goes_is_left_and_one_without_python_is_for_passes(
    tmp_path: Path, engine_host: str, generator: MakeGenerator, python_image: str
) -> None:
    here, plain = generator(image=python_image), generator()
    async with serving(tmp_path, engine_host, {"here": here, "plain": plain}) as service:
        await service.watched("here")
        assert service.watchers.how("plain") == ""
        await act(here.stop)
        await service.tools.catalog.refresh()
        await service.until(lambda: not service.watchers.how("here"))
        await act(here.start)
        await service.tools.catalog.refresh()
        await service.watched("here")
        begun = time.time()
        await act(here.write, "a.png", png(1))
        await service.until(lambda: ("here", b"a.png") in service.stored())
        assert service.stored()["here", b"a.png"] > begun
