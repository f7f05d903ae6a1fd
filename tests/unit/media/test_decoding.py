"""Thumbnails of every mode that a picture can have: small, upright, in its colours."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sidecar.media.decoding import LONGEST, still, thumbnail

RED = (220, 30, 40)


def small(picture: Image.Image, path: Path, **options: Any) -> Image.Image:
    picture.save(path, **options)
    made = Image.open(BytesIO(thumbnail(still(bytes(path), 10**9))))
    made.load()
    assert made.format == "WEBP"
    return made


def colour(picture: Image.Image) -> tuple[int, ...]:
    found = picture.convert("RGBA").getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) < 12 for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((1024, 1024), (512, 512)), ((1536, 640), (512, 214)), ((1537, 1025), (512, 341)), ((10_000, 3), (512, 1)),
     ((512, 300), (512, 300)), ((600, 512), (512, 437)), ((7, 5), (7, 5))],
)  # fmt: skip
def test_it_keeps_its_shape(size: tuple[int, int], wanted: tuple[int, int], tmp_path: Path) -> None:
    made = small(Image.new("RGB", size, RED), tmp_path / "a.png")
    assert made.size == wanted
    assert max(made.size) <= LONGEST
    assert near(colour(made), (*RED, 255))


@pytest.mark.parametrize(
    ("mode", "name"),
    [("RGB", "a.png"), ("RGB", "a.jpg"), ("CMYK", "a.jpg"), ("P", "a.png"), ("P", "a.gif"), ("RGBA", "a.png"),
     ("RGB", "a.webp"), ("RGB", "a.avif"), ("RGB", "a.tiff"), ("RGB", "a.bmp")],
)  # fmt: skip
def test_it_has_the_colours_of_every_mode(mode: str, name: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (1100, 700), RED)
    made = small(picture.quantize(16) if mode == "P" else picture.convert(mode), tmp_path / name)
    assert made.mode == "RGB"
    assert near(colour(made), (*RED, 255))


def test_grey_black_and_white_and_sixteen_bits(tmp_path: Path) -> None:
    assert near(colour(small(Image.new("L", (900, 900), 90), tmp_path / "l.png")), (90, 90, 90, 255))
    assert near(colour(small(Image.new("1", (900, 900), 1), tmp_path / "1.png")), (255, 255, 255, 255))
    assert near(colour(small(Image.new("I;16", (900, 900), 90 * 257), tmp_path / "16.png")), (90, 90, 90, 255))


def test_what_shows_through_still_does(tmp_path: Path) -> None:
    half = Image.new("RGBA", (1024, 1024), (*RED, 128))
    assert near(colour(small(half, tmp_path / "a.png")), (*RED, 128))
    edge = Image.new("RGBA", (1024, 1024), (0, 255, 0, 0))
    edge.paste((*RED, 255), (0, 0, 1024, 512))
    made = small(edge, tmp_path / "b.png")
    shown = made.convert("RGBA").crop((0, 0, 512, 250)).resize((1, 1))
    assert near(colour(shown), (*RED, 255)), "no green bleeds in"
    clear = Image.new("P", (1024, 1024), 1)
    clear.putpalette([0, 0, 0, *RED])
    assert colour(small(clear, tmp_path / "c.png", transparency=1))[3] == 0


def test_alpha_that_only_carries_bits_is_left_out(tmp_path: Path) -> None:
    """As stealth metadata does; encoding it would take half as long again, and show nothing."""
    picture = Image.new("RGBA", (1024, 1024), (*RED, 254))
    assert small(picture, tmp_path / "a.png").mode == "RGB"


def test_it_is_upright(tmp_path: Path) -> None:
    turned = Image.new("RGB", (1200, 600), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert small(turned, tmp_path / "a.jpg", exif=exif).size == (256, 512)
