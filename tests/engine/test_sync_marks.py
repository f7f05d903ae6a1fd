"""Folders that were seen before: where nothing happened a pass costs next to nothing, and what happened is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.host import ResolvedHost
from sidecar.models import NS, Basis, FileType, Scan, Source
from sidecar.transports.docker.adapter import DockerAdapter
from sidecar.transports.docker.client import Engine
from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, png, pngs, reasons
from tests.rig.generator import Generator
from tests.rig.program import Program

STAMP = 1_700_000_000_123_456_789
FEW = 2000  # bytes, of a list that names no file
FOLDERS = ("new", "rewritten", "restored", "deleted", "renamed", "swapped", "quiet")


def names(folder: str, count: int = 40) -> list[str]:
    return [f"{folder}/ComfyUI_{number:05d}_.png" for number in range(count)]


def of_all(folders: Iterable[str]) -> list[str]:
    return [name for folder in folders for name in names(folder)]


def altered(picture: bytes) -> bytes:
    """Other bytes of the same size; it is a checksum that differs, which only decoders look at."""
    return picture[:-13] + bytes([picture[-13] ^ 1]) + picture[-12:]


def test_what_happened_is_found_and_the_rest_is_not_listed(
    cli: Program, generator: MakeGenerator, python_image: str
) -> None:
    made = generator(image=python_image)
    pull = Pull(cli, made)
    files = pngs(*of_all(FOLDERS))
    made.put({**files, b"quiet/notes.log": b"said"}, mtime_ns=STAMP)
    first = pull.sync()
    assert (first["stored"], first["skipped"]) == (len(files), 1)
    assert first["bytes_listed"] > 100 * len(files)
    again = pull.sync()
    assert (again["scanned"], again["unchanged"], again["skipped"]) == (len(files) + 1, len(files), 1)
    assert reasons(again) == reasons(first), "what is left out is said in each pass"
    assert again["bytes_listed"] < FEW

    one, two = altered(files[b"rewritten/ComfyUI_00000_.png"]), altered(files[b"restored/ComfyUI_00000_.png"])
    made.put({"new/ComfyUI_90000_.png": png(9000)}, age=60)
    made.write("rewritten/ComfyUI_00000_.png", one, age=60)  # in place, of the same size
    before = made.stats()[b"restored"]
    made.put({"restored/x.png": two}, mtime_ns=STAMP)  # another file of the same size and mtime, not of the same inode
    made.exec("mv", made.path("restored/x.png"), made.path("restored/ComfyUI_00000_.png"))
    made.exec("touch", "-d", f"@{before.mtime_ns // NS}.{before.mtime_ns % NS:09d}", made.path("restored"))
    made.remove("deleted/ComfyUI_00000_.png")
    made.exec("mv", made.path("renamed"), made.path("found"))
    swap = "mv ComfyUI_00000_.png x && mv ComfyUI_00001_.png ComfyUI_00000_.png && mv x ComfyUI_00001_.png"
    made.exec("sh", "-c", f"cd {made.path('swapped')} && {swap}")
    third = pull.sync()
    stored = {"new": 1, "rewritten": 1, "restored": 1, "found": 40, "swapped": 2}
    assert third["stored"] == sum(stored.values())
    assert third["vanished"] == 1 + 40
    assert (third["scanned"], third["skipped"], third["failed"]) == (len(files) + 1, 1, 0)
    copies = pull.library()
    assert {png(9000), one, two} <= set(copies.values())
    assert set(files.values()) <= set(copies.values())
    last = pull.sync()
    assert (last["unchanged"], last["stored"], last["bytes_received"]) == (len(files), 0, 0)
    assert last["bytes_listed"] < FEW


def test_a_new_generation_a_setting_and_the_time_ask_for_all(
    cli: Program, volume: Callable[[], str], generator: MakeGenerator, python_image: str
) -> None:
    made = generator(image=python_image, volumes={volume(): "/output"})
    pull = Pull(cli, made)
    made.put(pngs(*names("day")), mtime_ns=STAMP)
    pull.sync()
    assert pull.sync()["bytes_listed"] < FEW
    made.recreate()
    after = pull.sync()
    assert (after["unchanged"], after["stored"]) == (40, 0)
    assert after["bytes_listed"] > FEW, "a row follows its file into another generation"
    assert pull.sync()["bytes_listed"] < FEW
    assert pull.sync(env={"MEDIA_SYNC_SYNC__FULL_SCAN_EVERY": "0s"})["bytes_listed"] > FEW
    without = pull.sync(env={"MEDIA_SYNC_SYNC__EXCLUDE": "*_00007_*"})
    assert (without["unchanged"], without["bytes_listed"] > FEW) == (40, True)


def test_a_growing_file_is_asked_for_until_it_is_whole(
    cli: Program, generator: MakeGenerator, python_image: str
) -> None:
    made = generator(image=python_image)
    pull = Pull(cli, made)
    whole = png(1)
    made.put({**pngs(*names("day")), b"day/late.png": whole[:-12]}, age=60)
    assert pull.sync()["unsettled"] == 1
    assert pull.sync()["bytes_listed"] > FEW
    made.write("day/late.png", whole, age=30)
    assert pull.sync()["stored"] == 1
    assert pull.sync()["bytes_listed"] < FEW
    assert pull.library()[b"day/late.png"] == whole


def test_a_purge_is_planned_over_every_file(cli: Program, generator: MakeGenerator, python_image: str) -> None:
    made = generator(image=python_image)
    pull = Pull(cli, made)
    made.put(pngs(*names("day")), age=3 * 86400)
    pull.sync()
    assert pull.sync()["bytes_listed"] < FEW
    done = pull.run("purge", "--json", env={"MEDIA_SYNC_PURGE__ENABLED": "true", "MEDIA_SYNC_PURGE__OLDER_THAN": "1h"})
    (report,) = done.ok().json["sources"]
    assert (report["purged"], report["kept"]) == (39, {"newest of its prefix": 1})
    after = pull.sync()
    assert (after["scanned"], after["unchanged"]) == (1, 1)


@asynccontextmanager
async def reached(host: str, made: Generator) -> AsyncIterator[DockerAdapter]:
    engine = await Engine.connect(ResolvedHost(host, None, "test"), 30)
    source = Source("gen", "comfyui", "docker", made.id, made.name, (made.root.encode(),), "running")
    adapter = DockerAdapter(engine, source, await engine.inspect(made.id))
    try:
        yield adapter
    finally:
        await adapter.close()
        await engine.close()


def listed(scan: Scan) -> set[bytes]:
    return {entry.path for entry in scan.entries if entry.type is not FileType.DIRECTORY}


@pytest.mark.parametrize("place", ["layer", "volume", "tmpfs"])
async def test_folders_have_shapes_where_containers_keep_their_files(
    place: str, engine_host: str, volume: Callable[[], str], generator: MakeGenerator, python_image: str
) -> None:
    """Left alone for no time at all, which a pass would not believe: minutes are too long for a test."""
    mounts: dict[str, Any] = {"volume": {"volumes": {volume(): "/output"}}, "tmpfs": {"tmpfs": ["/output"]}}
    made = generator(image=python_image, **mounts.get(place, {}))
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        made.write(name, png(1), age=60)
    root = made.root.encode()
    made.exec("sleep", "0.1")
    async with reached(engine_host, made) as adapter:
        marks = (await adapter.scan(root, Basis({}, 0))).marks
        assert {folder for folder, mark in marks.items() if mark.shape} == {b"", b"a", b"b"}
        assert listed(await adapter.scan(root, Basis(marks, 0))) == set()
        made.write("a/1.png", png(1) + b"more", age=60)
        assert listed(await adapter.scan(root, Basis(marks, 0))) == set(), "see sync/marks.py"
        looked_at = {folder: replace(mark, shape=b"") for folder, mark in marks.items()}
        assert listed(await adapter.scan(root, Basis(looked_at, 0))) == {b"a/1.png", b"a/2.png"}
        made.write("b/4.png", png(2), age=60)
        assert listed(await adapter.scan(root, Basis(marks, 0))) == {b"b/4.png"}
