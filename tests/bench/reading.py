"""How fast files are looked into: `python -m tests.bench.reading [COUNT]`, PNGs of 1024 x 1024 as Forge writes them.

Figures are files a second and core: of processor time, in one process, median of five. Metadata is of chunks alone;
`all` is what a worker does for a file, thumbnail included.
"""

from __future__ import annotations

import io
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageFilter

from sidecar.media.piece import Bounds, Piece, Step
from sidecar.media.steps import steps
from tests.bench.corpus import chunk

ROUNDS = 5
MOST_DECODED = 100  # files of each round whose pixels are decoded
SIDE = 1024
HEAD = 33  # bytes of a PNG's signature and IHDR


def make(folder: Path, count: int) -> list[bytes]:
    """Pictures with some detail, each with a text of its own; the pixels of a few are used again and again."""
    few = [_encoded(_picture(number)) for number in range(min(count, 8))]
    paths = []
    for number in range(count):
        text = (f"a red fox, {number}\nNegative prompt: dull\nSteps: 20, Sampler: Euler a, CFG scale: 7, "
                f"Seed: {number}, Size: {SIDE}x{SIDE}, Model: flux1-dev")  # fmt: skip
        head, pixels = few[number % len(few)]
        path = folder / f"{number:05}-{number}.png"
        path.write_bytes(head + chunk(b"tEXt", b"parameters\0" + text.encode()) + pixels)
        paths.append(bytes(path))
    return paths


def _encoded(picture: Image.Image) -> tuple[bytes, bytes]:
    """A PNG as ComfyUI compresses it, in two parts: its head, and what comes behind the texts."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()[:HEAD], out.getvalue()[HEAD:]


def _picture(number: int) -> Image.Image:
    """About as much detail as a photograph has: 1.5 MB as a PNG."""
    rough = Image.frombytes("RGB", (SIDE // 8, SIDE // 8), random.Random(number).randbytes(SIDE * SIDE * 3 // 64))
    smooth = rough.resize((SIDE, SIDE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4))
    return Image.blend(smooth, Image.effect_noise((SIDE, SIDE), 20).convert("RGB"), 0.07)


def a_second(paths: Sequence[bytes], chosen: Sequence[Step]) -> float:
    """Files a second of processor time."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for path in paths:
            with Piece(path, Bounds()).closing() as piece:
                for step in chosen:
                    step(piece)
        rounds.append(len(paths) / (time.process_time() - begun))
    return statistics.median(rounds)


def main(count: int, say: Callable[[str], None]) -> None:
    """Measure, and say it."""
    known = steps()
    with tempfile.TemporaryDirectory() as folder:
        paths = make(Path(folder), count)
        size = sum(Path(path.decode()).stat().st_size for path in paths) / count
        say(f"{count} PNGs of {SIDE} x {SIDE}, {size / 1e6:.1f} MB each, {ROUNDS} rounds, files a second and core:")
        few = paths[:MOST_DECODED]
        say(f"metadata  {a_second(paths, [known['metadata']]):8.0f}")
        say(f"thumbnail {a_second(few, [known['thumbnail']]):8.1f}")
        say(f"all       {a_second(few, list(known.values())):8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, print)
