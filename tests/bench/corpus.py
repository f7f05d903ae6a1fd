"""What the container is filled with: files with the heads and ends of real ones and noise between, old enough."""

from __future__ import annotations

import os
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

AGE = 2 * 86_400.0  # seconds: settled, and old enough to be purged
BLOCK = 1 << 24
Maker = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many files, so many bytes in them."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Named:
    """One file to make: its path relative to a root, its size in bytes, and a seed that no other has."""

    path: str
    size: int
    seed: int


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(seed: int, size: int) -> bytes:
    """A PNG of `size` bytes up to its IEND; the picture in it is noise."""
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    tail = chunk(b"IEND", b"")
    return head + chunk(b"IDAT", random.Random(seed).randbytes(size - len(head) - len(tail) - 12)) + tail


@cache
def _jpeg_head() -> bytes:
    """A real JPEG up to where its image data begins."""
    out = BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG")
    whole = out.getvalue()
    scan = whole.index(b"\xff\xda") + 2
    return whole[: scan + int.from_bytes(whole[scan : scan + 2], "big")]


def jpeg(seed: int, size: int) -> bytes:
    """A JPEG of `size` bytes up to its EOI; no byte of its noise looks like a marker."""
    head = _jpeg_head()
    return head + random.Random(seed).randbytes(size - len(head) - 2).replace(b"\xff", b"\x7f") + b"\xff\xd9"


def film(size: int) -> Iterator[bytes]:
    """An MP4 of `size` bytes in pieces: type, index, and media data up to the last byte."""
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom") + struct.pack(">I4s", 8, b"moov")
    data = size - len(head)
    yield head + struct.pack(">I4sQ", 1, b"mdat", data)
    noise = random.Random(size).randbytes(BLOCK)
    for at in range(16, data, BLOCK):
        yield noise[: min(BLOCK, data - at)]


def _age(path: Path) -> None:
    stamp = time.time() - AGE
    os.utime(path, (stamp, stamp))


def write(root: Path, files: Iterable[Named], make: Maker) -> Amount:
    """Make the files under `root`, with the folders they need."""
    done, folders = Amount(), set[Path]()
    for file in files:
        path = root / file.path
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        path.write_bytes(make(file.seed, file.size))
        _age(path)
        done += Amount(1, file.size)
    return done


def write_film(path: Path, size: int) -> Amount:
    """Make one large file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(film(size))
    _age(path)
    return Amount(1, size)


def amount(root: Path) -> Amount:
    """What lies under a folder, media-sync's own notes aside."""
    found = Amount()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".media-sync"]
        found += Amount(len(names), sum(os.lstat(os.path.join(folder, name)).st_size for name in names))
    return found


def warm(root: Path) -> None:
    """Read everything once, so that no contestant waits for the disk to give what the others find in memory."""
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while file.read(BLOCK):
                    pass
