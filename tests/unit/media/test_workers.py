"""Real files, read in real processes; what breaks one costs that file's values and nothing else."""

from __future__ import annotations

import asyncio
import io
import os
import random
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio
from PIL import Image, PngImagePlugin

from sidecar.media.piece import Bounds
from sidecar.media.workers import Workers
from tests.unit.metadata.test_hostile import deflated, png

STEPS = ("type", "integrity", "metadata", "thumbnail")
INFO = "a red fox\nNegative prompt: dull\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 640x320"
SMALL = Bounds(pixels=10_000_000, seconds=3, memory=700 << 20)


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[Workers]:
    some = Workers(2, SMALL)
    yield some
    await some.close()


def picture(path: Path, size: tuple[int, int] = (640, 320), text: str = INFO) -> Path:
    """A picture as Forge writes it, by the suffix of its path."""
    image = Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))
    if path.suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", text)
        image.save(path, pnginfo=info)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        image.save(path, exif=exif)
    return path


def colours() -> list[Image.Image]:
    """Two frames, the first one red."""
    return [Image.new("RGB", (64, 32), colour) for colour in ("red", "blue")]


def film(path: Path) -> Path:
    """Both as a film."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream("mpeg4", rate=8)
        stream.width, stream.height = 64, 32
        for image in colours():
            made.mux(stream.encode(av.VideoFrame.from_image(image)))  # type: ignore[no-untyped-call]
        made.mux(stream.encode())
    return path


async def read(workers: Workers, path: Path) -> tuple[dict[str, object], tuple[str, ...], bytes]:
    found = await workers.examine(os.fsencode(path), STEPS)
    return dict(found.values), found.problems, found.thumbnail


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
async def test_a_picture_is_known_whole_and_has_a_small_one(suffix: str, workers: Workers, tmp_path: Path) -> None:
    path = picture(tmp_path / f"a.{suffix}")
    values, problems, thumbnail = await read(workers, path)
    assert problems == ()
    mime = {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")
    assert values["type"] == {"format": mime[6:], "mime": mime, "size": [640, 320]}
    assert values["integrity"] == {"ends": True, "decodes": True}
    told = values["metadata"]
    assert isinstance(told, dict)
    assert (told["prompt"], told["negative_prompt"], told["seed"], told["sampler"]) == (
        "a red fox",
        "dull",
        5,
        "Euler a",
    )
    with Image.open(io.BytesIO(thumbnail)) as small:
        assert (small.format, small.size) == ("WEBP", (512, 256))


async def test_what_a_name_says_does_not_matter(workers: Workers, tmp_path: Path) -> None:
    values, _, _ = await read(workers, picture(tmp_path / "a.jpg").rename(tmp_path / "a.png"))
    assert values["type"] == {"format": "jpeg", "mime": "image/jpeg", "size": [640, 320]}


async def test_what_is_no_picture_by_its_name_is_none_and_nothing_is_wrong_with_it(
    workers: Workers, tmp_path: Path
) -> None:
    for name, wrong in (("a.txt", False), ("a.png", True), ("a.mp4", True)):
        (tmp_path / name).write_bytes(b"a red fox\nSteps: 20")
        values, problems, thumbnail = await read(workers, tmp_path / name)
        assert (bool(problems), thumbnail, "metadata" in values) == (wrong, b"", False), name


async def test_an_animation_has_its_first_frame_and_a_film_too(workers: Workers, tmp_path: Path) -> None:
    frames = colours()
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    film(tmp_path / "a.mp4")
    for name in ("a.webp", "a.gif", "a.mp4"):
        values, problems, thumbnail = await read(workers, tmp_path / name)
        assert problems == (), name
        with Image.open(io.BytesIO(thumbnail)) as small:
            red, green, blue = small.convert("RGB").getpixel((20, 16))  # type: ignore[misc]
        assert red > 200 > 60 > green + blue, name
        assert values["integrity"] == {"ends": True, "decodes": None if name == "a.mp4" else True}


async def test_bombs_and_broken_files_cost_their_own_part(workers: Workers, tmp_path: Path) -> None:
    whole = picture(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "wide.png").write_bytes(png(size=(60_000, 60_000)))
    (tmp_path / "bomb.png").write_bytes(png(b"".join([deflated_text(300)])))
    (tmp_path / "noise.png").write_bytes(random.Random(2).randbytes(5000))
    (tmp_path / "empty.png").write_bytes(b"")
    told = {name: await read(workers, tmp_path / name)
            for name in ("cut.jpg", "wide.png", "bomb.png", "noise.png", "empty.png")}  # fmt: skip
    assert all(problems for _, problems, _ in told.values()), {
        name: problems for name, (_, problems, _) in told.items()
    }
    values, problems, _ = told["cut.jpg"]
    assert values["metadata"]["prompt"] == "a red fox"  # type: ignore[index]
    assert any(line.startswith("integrity:") for line in problems)
    values, problems, thumbnail = told["wide.png"]
    assert values["type"]["size"] == [60_000, 60_000]  # type: ignore[index]
    assert (thumbnail, sum("60000 x 60000 pixels" in line for line in problems)) == (b"", 2)
    assert (await read(workers, picture(tmp_path / "next.png")))[1] == (), "and the next one is read as ever"


def deflated_text(megabytes: int) -> bytes:
    from tests.unit.metadata.test_hostile import chunk

    return chunk(b"zTXt", b"parameters\0\0" + deflated(megabytes))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed beside this program: steps, none of which a service should have to trust."""
    home = tmp_path / "site"
    info = home / "rude-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rude\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[media_sync.steps]\nwords = rude:words\nspins = rude:spins\ncrashes = rude:crashes\nfills = rude:fills\n"
        "strange = rude:strange\nother = rude:other\nasks = rude:asks\n"
    )
    (home / "rude.py").write_text(
        textwrap.dedent("""
        import os
        from sidecar.media.piece import Found

        def words(piece):
            return Found({"count": len((piece.recipe.prompt or "").split())})

        def spins(piece):
            while True:
                pass

        def crashes(piece):
            os.kill(os.getpid(), 11)

        def fills(piece):
            return Found({"much": len(bytearray(1 << 31))})

        def strange(piece):
            return Found({"much": float("nan")})

        def asks(piece):
            return Found({"environment": sorted(os.environ), "folder": os.getcwd()})

        def other(piece):
            return Found({"what": object()})
    """)
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.usefixtures("plugin")
async def test_a_package_adds_a_step_and_one_that_misbehaves_costs_its_file(tmp_path: Path, workers: Workers) -> None:
    path = os.fsencode(picture(tmp_path / "a.png"))
    assert (await workers.examine(path, ["words"])).values == {"words": {"count": 3}}
    assert (await workers.examine(path, ["spins"])).problems == ("reading it took over 3 s of CPU time",)
    assert (await workers.examine(path, ["crashes"])).problems == ("the process that read it ended (SIGSEGV)",)
    full = await workers.examine(path, ["fills", "words"])
    assert (full.problems, full.values) == (("fills: it takes more memory than it may",), {"words": {"count": 3}})
    odd = await workers.examine(path, ["strange", "other", "words"])
    assert odd.values == {"words": {"count": 3}}, "what is no JSON is nobody's"
    assert [line.split(":")[0] for line in odd.problems] == ["strange", "other"]


@pytest.mark.usefixtures("plugin")
async def test_no_secret_is_within_reach_of_what_reads_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_SYNC_API__TOKEN", "secret")
    workers = Workers(1, SMALL)
    told = (await workers.examine(os.fsencode(picture(tmp_path / "a.png")), ["asks"])).values["asks"]
    await workers.close()
    assert not [name for name in told["environment"] if name.startswith(("MEDIA_SYNC", "DOCKER", "PG"))]
    assert told["folder"] == "/"


async def test_a_process_that_does_not_start_says_nothing_of_a_file(tmp_path: Path) -> None:
    workers = Workers(1, Bounds(memory=1 << 20))
    with pytest.raises(OSError, match="does not start"):
        await workers.examine(os.fsencode(picture(tmp_path / "a.png")), STEPS)
    await workers.close()
    assert workers_of(os.getpid()) == []


async def test_long_texts_are_cut_short_and_that_is_said(workers: Workers, tmp_path: Path) -> None:
    text = "a fox " * 200_000 + "\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 640x320"
    values, problems, _ = await read(workers, picture(tmp_path / "a.png", text=text))
    told: Any = values["metadata"]
    assert (len(told["prompt"]), told["seed"], "raw_text" in told) == (1 << 16, 5, False)
    assert [line.split(":")[1] for line in problems] == [" prompt", " raw_text"]


async def test_many_at_once_are_all_read_and_none_is_left_running(tmp_path: Path) -> None:
    texts = [f"fox {number}\nSteps: 1, Seed: {number}, Size: 32x32" for number in range(40)]
    paths = [os.fsencode(picture(tmp_path / f"{at}.png", (32, 32), text)) for at, text in enumerate(texts)]
    workers = Workers(2, SMALL)
    found = await asyncio.gather(*(workers.examine(path, STEPS) for path in paths))
    assert [one.values["metadata"]["seed"] for one in found] == list(range(40))
    busy = asyncio.create_task(workers.examine(paths[0], STEPS))
    await asyncio.sleep(0)
    busy.cancel()
    await workers.close()
    with pytest.raises(asyncio.CancelledError):
        await busy
    assert workers_of(os.getpid()) == []


def workers_of(process: int) -> list[str]:
    """The IDs of its workers that run."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [child for child in children if b"media.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
