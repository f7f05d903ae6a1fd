"""Bombs and broken files cost a line in `problems` and nothing else. Memory is held down by the kernel, in a process
of its own: what takes more than its bound, or more processor time, dies there and fails the test."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from generators import media
from PIL import Image

from sidecar.media.metadata import dialects
from sidecar.media.metadata.containers.png import SIGNATURE
from sidecar.media.metadata.containers.source import MOST_TEXT
from sidecar.media.metadata.dialects.texts import Texts
from sidecar.media.metadata.model import Draft
from sidecar.media.metadata.reading import read_metadata
from tests.unit import mediamade

MEGABYTE = 1 << 20
# A Python with Pillow and all of this imported takes about 60 MB of addresses; the largest text that is read may become
# ten times its size as JSON objects.
BOUND = 400 * MEGABYTE
SECONDS = 60  # of processor time
PROGRAM = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
from sidecar.media.metadata.dialects.texts import Texts
from sidecar.media.metadata.model import Draft
from sidecar.media.metadata.reading import read_hidden, read_metadata
found = read_hidden(sys.argv[3], read_metadata(sys.argv[3]))
print(json.dumps({"problems": found.problems, "seed": found.seed, "prompt": (found.prompt or "")[:50],
                  "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""
INFO = b"a fox\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 8x8"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(25 * 8)))
    return SIGNATURE + head + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def deflated(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(megabytes)) + packer.flush()


GOOD = chunk(b"tEXt", b"parameters\0" + INFO)
DEEP = b"[" * 1_000_000 + b"]" * 1_000_000
LONG = b": " + b"5" * 9999 + b","
GRAPH = b'{"3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "cfg": NaN, "sampler_name": "euler"}}}'


def bomb() -> bytes:
    return png(chunk(b"zTXt", b"workflow\0\0" + deflated(100)), GOOD)


def many_bombs() -> bytes:
    return png(*[chunk(b"zTXt", b"workflow\0\0" + deflated(16))] * 500, GOOD)


def international_bomb() -> bytes:
    return png(chunk(b"iTXt", b"workflow\0\1\0\0\0" + deflated(40)), GOOD)


def large_workflow() -> bytes:
    node = json.dumps({"id": 1, "type": "KSampler", "widgets_values": [5, "fixed"] * 50}).encode()
    drawing = b'{"nodes": [' + b", ".join([node] * (50 * MEGABYTE // len(node))) + b"]}"
    return png(chunk(b"tEXt", b"workflow\0" + drawing), chunk(b"tEXt", b"prompt\0" + GRAPH.replace(b"NaN", b"7")))


def largest_that_is_read() -> bytes:
    """Eight megabytes of the smallest JSON values are the most objects."""
    return png(chunk(b"tEXt", b'workflow\0{"nodes": [' + b"[]," * (MOST_TEXT // 3 - 20) + b"1]}"), GOOD)


def large_comment() -> bytes:
    raw = b"UNICODE\0" + ("x" * 30_000_000).encode("utf-16-be")
    tiff = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x9286, 7, len(raw), 26, 0) + raw
    return b"RIFF" + struct.pack("<I", len(tiff) + 12) + b"WEBPEXIF" + struct.pack("<I", len(tiff)) + tiff


def overlapping_tags() -> bytes:
    """Ten thousand tags that all lie over the same seven megabytes."""
    count = 10_000
    tags = b"".join(struct.pack(">HHII", 0x8000 + n, 7, 7 * MEGABYTE, 10) for n in range(count))
    tiff = b"MM\0*" + struct.pack(">IH", 8, count) + tags
    tiff += bytes(7 * MEGABYTE + 20 - len(tiff))
    return png(chunk(b"eXIf", tiff), GOOD)


def large_key() -> bytes:
    """An MP4 whose tags have a name of 60 MB."""
    box = mediamade.box
    name = box(b"mdta", bytes(60 * MEGABYTE))
    meta = box(b"hdlr", bytes(24)) + box(b"keys", struct.pack(">II", 0, 1) + name)
    return box(b"ftyp", b"isom" + bytes(4)) + box(b"moov", box(b"meta", meta))


def wide_graph() -> bytes:
    """As many samplers as are looked at, behind a chain of pipes with a million inputs."""
    inputs = {f"x{n}": 0 for n in range(400)}
    graph = {str(n): {"class_type": "Pipe", "inputs": {**inputs, "pipe": [str(n + 1), 0]}} for n in range(1000, 2900)}
    for n in range(40):
        given = {"steps": ["x", 0], "cfg": 1, "sampler_name": "euler", "pipe": ["1000", 0]}
        graph[str(n)] = {"class_type": "KSampler", "inputs": {**given, "images": [str(n - 1), 0]}}
    graph["2900"] = {"class_type": "Save", "inputs": {"images": ["39", 0]}}
    return png(chunk(b"tEXt", b"prompt\0" + json.dumps(graph).encode()), GOOD)


HOSTILE: dict[str, tuple[Callable[[], bytes], str, int | None]] = {
    "zTXt bomb": (bomb, "unpacks to more than", 5),
    "500 zTXt bombs": (many_bombs, "more text than", None),
    "iTXt bomb": (international_bomb, "unpacks to more than", 5),
    "60,000x60,000": (lambda: png(GOOD, size=(60_000, 60_000)), "", 5),
    "10,000x10,000, hiding": (lambda: png(size=(10_000, 10_000)), "10000x10000 pixels are more", None),
    "60,000x60,000, hiding": (lambda: png(size=(60_000, 60_000)), "Image size (3600000000 pixels) exceeds limit", None),
    "50 MB workflow": (large_workflow, "bytes are more than the", 5),
    "8 MB of JSON": (largest_that_is_read, "", 5),
    "deep JSON": (lambda: png(chunk(b"tEXt", b"workflow\0" + DEEP), GOOD), "nested deeper", 5),
    "deep and open JSON": (lambda: png(chunk(b"tEXt", b"prompt\0" + b'{"a":' * 10**6), GOOD), "nested deeper", 5),
    "NaN": (lambda: png(chunk(b"tEXt", b"prompt\0" + GRAPH)), "NaN is no JSON", 5),
    "60 MB comment": (large_comment, "are more than the", None),
    "60 MB key": (large_key, "a part of 62914560 bytes", None),
    "wide graph": (wide_graph, "", 5),
    "overlapping tags": (overlapping_tags, "", 5),
    "a chunk of 4 GB": (lambda: SIGNATURE + b"\xff\xff\xff\xfftEXtworkflow\0" + bytes(99), "are more than the", None),
    "empty chunks": (lambda: png(*[chunk(b"abCd", b"")] * 100_000), "parts", None),
    "long digits": (lambda: png(chunk(b"tEXt", b"prompt\0" + GRAPH.replace(b": 5,", LONG))), "no JSON", None),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_bounds_hold(name: str, tmp_path: Path) -> None:
    make, problem, seed = HOSTILE[name]
    file = tmp_path / "hostile"
    file.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(BOUND), str(SECONDS), str(file)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["seed"] == seed
    assert problem in " ".join(told["problems"]), told
    assert bool(told["problems"]) == bool(problem), told
    assert "Error" not in " ".join(told["problems"])


def test_the_bound_is_one(tmp_path: Path) -> None:
    """A process under this bound does die of what the readers refuse."""
    code = PROGRAM.replace("from sidecar", "bytes(int(sys.argv[1]))\nfrom sidecar")
    done = subprocess.run(
        [sys.executable, "-c", code, str(BOUND), "60", "x"], capture_output=True, text=True, check=False
    )
    assert "MemoryError" in done.stderr


def wholes() -> dict[str, bytes]:
    made = {
        name: mediamade.finished(name) for name in ("a.mp4", "tagged.mp4", "a.webm", "a.flac", "tagged.mp3", "a.ogg")
    }
    made |= {name: mediamade.finished(name) for name in ("a.webp", "a.avif", "a.mov")}
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + INFO.decode().encode("utf-16-be")
    for form in ("JPEG", "PNG"):
        out = io.BytesIO()
        mediamade.noise().save(out, form, exif=exif, comment=INFO, xmp=b"<dc:description>x</dc:description>")
        made[form] = out.getvalue()
    return made


@pytest.mark.parametrize("name", ["a.mp4", "tagged.mp4", "a.webm", "a.flac", "tagged.mp3", "a.ogg", "a.webp", "a.avif",
                                  "a.mov", "JPEG", "PNG"])  # fmt: skip
def test_cut_and_damaged_files_are_values(name: str) -> None:
    raw = wholes()[name]
    dice = random.Random(name)
    for _ in range(60):
        cut = read_metadata(io.BytesIO(raw[: dice.randrange(len(raw))]))
        damaged = bytearray(raw)
        for _ in range(dice.randrange(1, 30)):
            damaged[dice.randrange(min(len(raw), 2000) if dice.random() < 0.7 else len(raw))] = dice.randrange(256)
        bent = read_metadata(io.BytesIO(damaged))
        assert not [line for line in (*cut.problems, *bent.problems) if "Error" in line]


def test_a_truncated_jpeg_keeps_what_came_before_the_cut() -> None:
    raw = wholes()["JPEG"]
    end = raw.index(b"\xff\xda")
    found = read_metadata(io.BytesIO(raw[: end - 3]))
    assert found.seed == 5
    assert found.problems == (f"jpeg: the file ends at byte {end - 3}, within a part",)


def test_a_file_that_is_not_there_is_a_value(tmp_path: Path) -> None:
    assert read_metadata(tmp_path / "gone.png").problems == ("cannot be read: No such file or directory",)
    assert read_metadata(tmp_path).problems == ("cannot be read: Is a directory",)


def test_a_dialect_that_trips_costs_its_own_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def trips(texts: Texts, draft: Draft) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(dialects, "DIALECTS", (("New", trips), *dialects.DIALECTS))
    found = read_metadata(io.BytesIO(png(GOOD)))
    assert found.seed == 5
    assert found.problems == ("New: KeyError: 'surprise'",)


@pytest.mark.alone
def test_500_pictures_a_second_and_core() -> None:
    """The issue's bound, with the pictures of two tools, in seconds of processor time."""
    recipe = media.Recipe(seed=41, size=(1024, 1024))
    files = [io.BytesIO(make(recipe)) for make in (media.comfyui_png, media.forge_png)]
    begun = time.process_time()
    for _ in range(250):
        for file in files:
            assert read_metadata(file).seed == 41
    assert time.process_time() - begun < 1.0
