"""Texts that hide in pixels are found, whoever hid them, and only where the chunks say nothing."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from sidecar.media.metadata.containers.source import MOST_TEXT
from sidecar.media.metadata.model import Metadata
from sidecar.media.metadata.reading import read_hidden, read_metadata

INFO = "a fox — テスト\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5, Version: f2.0.1v1.10.1"


def hidden(
    mode: str,
    text: str,
    *,
    packed: bool,
    length: int | None = None,
    size: tuple[int, int] = (96, 64),
    form: str = "PNG",
    **options: Any,
) -> bytes:
    """As sd-webui-stealth-pnginfo writes it: pixel by pixel, down the columns."""
    raw = gzip.compress(text.encode()) if packed else text.encode()
    mark = f"stealth_{'rgb' if mode == 'RGB' else 'png'}{'comp' if packed else 'info'}".encode()
    data = mark + (len(raw) * 8 if length is None else length).to_bytes(4, "big") + raw
    bits = (byte >> shift & 1 for byte in data for shift in range(7, -1, -1))
    picture = Image.frombytes("RGB", size, random.Random(4).randbytes(size[0] * size[1] * 3)).convert(mode)
    pixels: Any = picture.load()
    for across in range(size[0]):
        for down in range(size[1]):
            values = list(pixels[across, down])
            for channel in range(3) if mode == "RGB" else (3,):
                bit = next(bits, None)
                if bit is not None:
                    values[channel] = values[channel] & ~1 | bit
            pixels[across, down] = tuple(values)
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def read(raw: bytes) -> Metadata:
    return read_hidden(io.BytesIO(raw), read_metadata(io.BytesIO(raw)))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mode", ["RGBA", "RGB"])
def test_forge_hides_an_infotext(mode: str, packed: bool) -> None:
    raw = hidden(mode, INFO, packed=packed)
    assert not read_metadata(io.BytesIO(raw)).known
    found = read(raw)
    assert (found.prompt, found.seed, found.software) == ("a fox — テスト", 5, "Forge")
    assert found.origins["seed"] == f"stealth {'alpha' if mode == 'RGBA' else 'RGB'} parameters: Seed"
    assert (found.format, found.size, found.raw_text) == ("png", (96, 64), INFO)


def test_lossless_webp_keeps_it() -> None:
    assert read(hidden("RGBA", INFO, packed=True, form="WEBP", lossless=True, exact=True)).seed == 5


def test_novelai_hides_all_of_its_chunks() -> None:
    whole = {"Software": "NovelAI", "Description": "a fox", "Comment": json.dumps({"uc": "blurry", "seed": 5})}
    found = read(hidden("RGBA", json.dumps(whole), packed=True))
    assert (found.software, found.prompt, found.negative_prompt, found.seed) == ("NovelAI", "a fox", "blurry", 5)


def test_chunks_that_speak_are_believed() -> None:
    known = Metadata(prompt="x", origins={"prompt": "PNG"}, format="png")
    assert read_hidden(io.BytesIO(hidden("RGBA", INFO, packed=True)), known) is known


@pytest.mark.parametrize("length", [0, 2**32 - 1, 8 * 4000])
def test_a_length_that_cannot_be_is_a_problem(length: int) -> None:
    assert read(hidden("RGBA", INFO, packed=False, length=length)).problems[0].startswith("stealth: a hidden text of")


def test_a_bomb_is_a_problem() -> None:
    assert read(hidden("RGB", "0" * 1_000_000, packed=True)).raw_text == "0" * 1_000_000
    bomb = hidden("RGB", "0" * (MOST_TEXT + 1), packed=True, size=(300, 300))
    assert read(bomb).problems == (f"stealth: a hidden text of more than {MOST_TEXT} bytes",)


def broken() -> Iterator[bytes]:
    raw = hidden("RGBA", INFO, packed=True)
    yield raw[: len(raw) // 2]
    yield raw[:40]
    middle = len(raw) // 2
    yield raw[:middle] + bytes(64) + raw[middle + 64 :]


@pytest.mark.parametrize("raw", list(broken()), ids=["half", "head", "damaged"])
def test_broken_pictures_are_problems(raw: bytes) -> None:
    found = read(raw)
    assert not found.known
    assert [line for line in found.problems if line.startswith("stealth: ")]


def test_ordinary_pictures_hide_nothing() -> None:
    for mode in ("RGB", "RGBA", "L", "P"):
        out = io.BytesIO()
        Image.new(mode, (96, 64)).save(out, "PNG")
        assert not read(out.getvalue()).known
        assert read(out.getvalue()).problems == ()
