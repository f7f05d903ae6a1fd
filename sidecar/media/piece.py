"""One stored file as the steps see it, and what a step says of it. Opened and decoded once, by whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sidecar.media.metadata import reading
from sidecar.media.metadata.model import Metadata

if TYPE_CHECKING:
    from PIL.Image import Image

STILLS = frozenset(("png", "jpeg", "webp", "gif", "bmp", "tiff", "heif"))
FILMS = frozenset(("mp4", "mov", "matroska", "avi"))


@dataclass(frozen=True)
class Bounds:
    """What one file may cost. `pixels` of one picture or frame, `seconds` of CPU time, `memory` in bytes."""

    pixels: int = 100_000_000
    seconds: int = 30
    memory: int = 1 << 30


@dataclass(frozen=True)
class Found:
    """What one step says of one file: values for the record, in JSON's types, and what went wrong, in a line each.

    `thumbnail` is a finished WebP, or empty.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    thumbnail: bytes = b""


Step = Callable[["Piece"], Found]
"""A plain function. What it raises as MediaSyncError becomes a problem of that file; anything else is its own fault."""


class Piece:
    """A file in the library. `path` is absolute; the bytes are whatever a container made."""

    def __init__(self, path: bytes, bounds: Bounds) -> None:
        self.path = path
        self.bounds = bounds

    @cached_property
    def recipe(self) -> Metadata:
        """What its chunks and tags say."""
        return reading.read_metadata(self.path)

    @property
    def format(self) -> str:
        """What it is by its content, "" when that is unknown."""
        return self.recipe.format

    @cached_property
    def image(self) -> Image:
        """The first frame, whole. Raises Undecodable."""
        from sidecar.media import decoding

        if self.format in FILMS:
            return decoding.first_frame(self.path, self.bounds.pixels)
        return decoding.still(self.path, self.bounds.pixels)

    @contextmanager
    def closing(self) -> Iterator[Piece]:
        """Give back what the decoded picture holds."""
        try:
            yield self
        finally:
            if "image" in self.__dict__:
                self.image.close()
