"""Formats whose only news is their size: no generator writes a recipe into them."""

from __future__ import annotations

import struct

from sidecar.media.metadata.containers.source import Findings, Source


def gif(source: Source, found: Findings) -> None:
    """The logical screen."""
    found.measure(*struct.unpack("<HH", source.exactly(6, 4)))


def bmp(source: Source, found: Findings) -> None:
    """The bitmap's header; a height below zero says that its first line is at the top."""
    wide, high = struct.unpack("<ii", source.exactly(18, 8))
    if source.exactly(14, 1)[0] >= 40:
        found.measure(wide, abs(high))


def nothing(source: Source, found: Findings) -> None:
    """What it is, and no more."""
