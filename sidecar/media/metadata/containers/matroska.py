"""Matroska and WebM: tags. Clusters are jumped over; a writer that was killed left their sizes open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidecar.media.metadata.containers.source import Broken, Findings, Source, decoded

_SEGMENT, _TAGS, _TRACKS = 0x18538067, 0x1254C367, 0x1654AE6B
_TAG, _SIMPLE, _NAME, _STRING = 0x7373, 0x67C8, 0x45A3, 0x4487
_ENTRY, _VIDEO, _WIDTH, _HEIGHT = 0xAE, 0xE0, 0xB0, 0xBA
_MOST_NAME = 1024


class _Element(NamedTuple):
    ident: int
    start: int
    end: int  # -1: open

    @property
    def size(self) -> int:
        return self.end - self.start


def read(source: Source, found: Findings) -> None:
    """Tags and the size of the pictures. Raises Broken where the file ends too soon."""
    for top in _walk(source, 0, source.size):
        if top.ident != _SEGMENT:
            continue
        for part in _walk(source, top.start, top.end if top.end >= 0 else source.size):
            if part.ident == _TAGS:
                for tag in _inside(source, part, _TAG, _SIMPLE):
                    _tag(source, found, tag)
            elif part.ident == _TRACKS:
                for video in _inside(source, part, _ENTRY, _VIDEO):
                    size = {one.ident: one for one in _walk(source, video.start, video.end)}
                    if _WIDTH in size and _HEIGHT in size:
                        found.measure(_number(source, size[_WIDTH]), _number(source, size[_HEIGHT]))
        return


def _tag(source: Source, found: Findings, tag: _Element) -> None:
    parts = {one.ident: one for one in _walk(source, tag.start, tag.end)}
    if _NAME not in parts or _STRING not in parts:
        return
    name = decoded(source.exactly(parts[_NAME].start, min(parts[_NAME].size, _MOST_NAME)))
    value = parts[_STRING]
    if found.room(name, "Matroska tag", value.size):
        found.add(name, decoded(source.exactly(value.start, value.size)).rstrip("\0"), "Matroska tag")


def _number(source: Source, element: _Element) -> int:
    return int.from_bytes(source.exactly(element.start, min(element.size, 8)), "big")


def _inside(source: Source, element: _Element, *path: int) -> Iterator[_Element]:
    for child in _walk(source, element.start, element.end):
        if child.ident == path[0]:
            if len(path) == 1:
                yield child
            else:
                yield from _inside(source, child, *path[1:])


def _walk(source: Source, at: int, end: int) -> Iterator[_Element]:
    """Elements side by side. Of an open one the children follow as if they stood beside it, which is how it ends."""
    while at < end:
        head = source.upto(at, 12)
        ident, wide = _vint(head, 0)
        marked, more = _vint(head, wide)
        start, unknown = at + wide + more, (1 << 7 * more) - 1
        size = marked & unknown
        if size == unknown:
            yield _Element(ident, start, -1)
            at = start
        else:
            if start + size > end:
                raise Broken(f"the element at byte {at} does not fit into what holds it")
            yield _Element(ident, start, start + size)
            at = start + size


def _vint(head: bytes, at: int) -> tuple[int, int]:
    """A number with its length mark, and how many bytes it took."""
    first = head[at] if at < len(head) else 0
    width = 9 - first.bit_length()
    if not first or at + width > len(head):
        raise Broken("an EBML header is damaged")
    return int.from_bytes(head[at : at + width], "big"), width
