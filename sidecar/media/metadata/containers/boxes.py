"""Boxes of the ISO base media file format, which MP4, MOV, AVIF and HEIF are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidecar.media.metadata.containers.source import Broken, Source


class Box(NamedTuple):
    """One box: where its payload starts, and where it ends."""

    kind: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of payload."""
        return self.end - self.start


def walk(source: Source, at: int, end: int) -> Iterator[Box]:
    """The boxes between two places, by their headers alone. Raises Broken where one does not fit in."""
    while at + 8 <= end:
        head = source.exactly(at, 8)
        size, start = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(source.exactly(at + 8, 8), "big"), at + 16
        elif size == 0:
            size = end - at
        if at + size < start or at + size > end:
            if size == 0 or not any(head):
                return  # four zero bytes may end a list of boxes
            raise Broken(f"the box at byte {at} does not fit into what holds it")
        yield Box(head[4:], start, at + size)
        at += size


def inside(source: Source, box: Box, *path: bytes, skip: int = 0) -> Iterator[Box]:
    """All boxes at the end of a path of kinds below `box`, whose own boxes start `skip` bytes into it."""
    for child in walk(source, box.start + skip, box.end):
        if child.kind == path[0]:
            if len(path) == 1:
                yield child
            else:
                yield from inside(source, child, *path[1:])
