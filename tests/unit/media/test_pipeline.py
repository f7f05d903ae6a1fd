"""What was stored is looked into once, also when that is interrupted, and what cannot be read holds up nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.config import MediaSettings
from sidecar.errors import LibraryFull, ManifestDamaged
from sidecar.events import Bus, Event, FileStored, MetadataRead
from sidecar.library import Library
from sidecar.manifest import Manifest, NewFile, SourceKey
from sidecar.media import pipeline as pipelines
from sidecar.media.pipeline import MediaPipeline
from sidecar.media.thumbnails import Thumbnails
from sidecar.models import FileStat, Source
from tests.unit.media.test_workers import picture

ROOT = b"/output"
NOW = 10**18


class Place:
    """A library, a manifest and a bus; `stored` puts a picture there as a pass does."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.library = Library.open(folder / "library", expect=None)
        self.manifest = Manifest.open(self.state)
        self.bus = Bus()
        self.told: list[MetadataRead] = []
        self.bus.subscribe(self._hear, MetadataRead)
        source = Source("gen", "comfyui", "docker", "id-1", "comfy", (ROOT,), "running")
        self.key: SourceKey = self.manifest.enter(source, NOW)

    def _hear(self, event: Event) -> None:
        if isinstance(event, MetadataRead):
            self.told.append(event)

    def stored(self, name: str, data: bytes) -> bytes:
        path = self.library.root / "gen" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).digest()
        stat = FileStat(name.encode(), len(data), NOW)
        self.manifest.record(self.key, ROOT, [NewFile(stat, sha256, b"gen/" + stat.path, "image", None)], NOW)
        self.bus.emit(FileStored("job", "gen", ROOT, stat.path, b"gen/" + stat.path, sha256, len(data), False, None))
        return sha256

    @asynccontextmanager
    async def pipeline(self, **settings: object) -> AsyncIterator[MediaPipeline]:
        wanted = MediaSettings.model_validate(settings)
        async with MediaPipeline(self.library, self.manifest, self.state, wanted, self.bus) as made:
            yield made

    def close(self) -> None:
        self.manifest.close()
        self.library.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def fox(tmp_path: Path) -> bytes:
    return picture(tmp_path / "fox.png", (1200, 600)).read_bytes()


async def test_each_content_is_looked_into_once(place: Place, fox: bytes, tmp_path: Path) -> None:
    cat = picture(tmp_path / "cat.jpg", text="a cat\nSteps: 4, Sampler: Euler, CFG scale: 1, Seed: 9").read_bytes()
    first, second = place.stored("a.png", fox), place.stored("b.jpg", cat)
    place.stored("again.png", fox)
    async with place.pipeline() as pipeline:
        assert await pipeline.catch_up() == 2
        assert await pipeline.catch_up() == 0
    found = place.manifest.findings.of(first)
    assert found is not None
    assert (found.told["metadata"]["prompt"], found.told["type"]["size"], found.problems) == (
        "a red fox",
        [1200, 600],
        (),
    )
    assert {(event.path, event.sha256, event.thumbnail) for event in place.told} == {
        (b"again.png", first, True), (b"b.jpg", second, True),
    }  # fmt: skip
    small = Thumbnails(place.state).path(first).read_bytes()
    assert small[8:12] == b"WEBP"
    place.close()


async def test_what_comes_while_it_runs_is_looked_into_and_a_broken_file_holds_up_nothing(place: Place, fox: bytes
                                                                                          ) -> None:  # fmt: skip
    async with place.pipeline() as pipeline:
        running = asyncio.create_task(pipeline.run())
        place.stored("a.png", fox)
        await until(lambda: len(place.told) == 1)
        broken = place.stored("broken.png", fox[: len(fox) // 2])
        gone = place.stored("gone.png", fox + b"x")
        (place.library.root / "gen" / "gone.png").unlink()
        await until(lambda: len(place.told) == 3)
        last = place.stored("c.png", fox[:-12] + fox[-12:] + b"more")
        await until(lambda: len(place.told) == 4)
        running.cancel()
        await asyncio.wait([running])
    problems = {event.sha256: event.problems for event in place.told}
    assert problems[broken]
    assert problems[gone] == ("its copy cannot be read: No such file or directory",)
    assert last in problems
    place.close()


async def test_it_goes_on_where_it_was_stopped(place: Place, fox: bytes) -> None:
    wanted = {place.stored(f"{number}.png", fox + bytes([number])) for number in range(100)}
    async with place.pipeline() as pipeline:
        running = asyncio.create_task(pipeline.run())
        await until(lambda: place.told)
        running.cancel()
        await asyncio.wait([running])
        assert 0 < len(place.told) < 100
    async with place.pipeline() as pipeline:
        await pipeline.catch_up()
    seen = [event.sha256 for event in place.told]
    assert (len(seen), set(seen)) == (100, wanted), "each once"
    place.close()


async def test_what_may_mend_is_tried_again_and_a_manifest_that_lies_ends_it(
    place: Place, fox: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "AGAIN", 0.05)
    keep, faults = place.manifest.findings.keep, [LibraryFull("disk full"), ManifestDamaged("it lies")]

    def faulty(*args: object) -> None:
        if faults:
            raise faults.pop(0)
        keep(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(place.manifest.findings, "keep", faulty)
    place.stored("a.png", fox)
    async with place.pipeline() as pipeline:
        with pytest.raises(ManifestDamaged):
            await asyncio.wait_for(pipeline.run(), 30)
        assert await pipeline.catch_up() == 1
    place.close()


async def test_without_thumbnails_none_is_made(place: Place, fox: bytes) -> None:
    sha256 = place.stored("a.png", fox)
    async with place.pipeline(thumbnails=False) as pipeline:
        await pipeline.catch_up()
    assert not Thumbnails(place.state).path(sha256).exists()
    assert [event.thumbnail for event in place.told] == [False]
    place.close()


async def test_a_thumbnail_that_cannot_be_kept_is_a_problem_of_that_file(place: Place, fox: bytes) -> None:
    sha256 = place.stored("a.png", fox)
    Thumbnails(place.state).path(sha256).mkdir(parents=True)
    async with place.pipeline() as pipeline:
        await pipeline.catch_up()
    (event,) = place.told
    assert (event.thumbnail, event.problems) == (False, ("thumbnail: Is a directory",))
    found = place.manifest.findings.of(sha256)
    assert found is not None
    assert found.told["metadata"]["prompt"] == "a red fox"
    place.close()


async def until(met: Callable[[], object], patience: float = 30.0) -> None:
    """Wait for it."""
    give_up = time.monotonic() + patience
    while not met():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)
