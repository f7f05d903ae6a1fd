"""The texts in a file: which container it is, by its first bytes, and the reader for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from sidecar.media.metadata.containers import heif, id3, jpeg, matroska, movie, plain, png, vorbis, webp
from sidecar.media.metadata.containers.source import Broken, Findings, Source
from sidecar.media.metadata.model import Contents

Reader = Callable[[Source, Findings], None]

_HEAD = 64
_MAGIC: tuple[tuple[bytes, str, Reader], ...] = (
    (png.SIGNATURE, "png", png.read),
    (b"\xff\xd8\xff", "jpeg", jpeg.read),
    (b"\x1a\x45\xdf\xa3", "matroska", matroska.read),
    (b"fLaC", "flac", vorbis.flac),
    (b"OggS", "ogg", vorbis.ogg),
    (b"GIF87a", "gif", plain.gif),
    (b"GIF89a", "gif", plain.gif),
    (b"II*\0", "tiff", plain.nothing),
    (b"MM\0*", "tiff", plain.nothing),
)
_RIFF: dict[bytes, tuple[str, Reader]] = {
    b"WEBP": ("webp", webp.read),
    b"AVI ": ("avi", plain.nothing),
    b"WAVE": ("wav", plain.nothing),
}
_STILL_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))
_MOVIE_FIRST = (b"moov", b"mdat", b"wide", b"free", b"skip")  # QuickTime files of old have no ftyp


def contents(file: BinaryIO | io.RawIOBase) -> Contents:
    """Read all texts of a seekable file. Damage becomes `problems`; only errors of the disk are raised (OSError)."""
    source = Source(file)
    form, reader = _recognise(source)
    found = Findings(form)
    if reader is None:
        found.problem("empty" if not source.size else "no known image, video or sound")
        return found.done()
    try:
        reader(source, found)
    except (Broken, ValueError, IndexError, OverflowError) as error:
        found.problem(f"{form}: {error}")
    return found.done()


def _recognise(source: Source) -> tuple[str, Reader | None]:
    head = source.upto(0, _HEAD)
    for magic, form, reader in _MAGIC:
        if head.startswith(magic):
            return form, reader
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp", plain.bmp
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), _HEAD)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
        return ("heif", heif.read) if brands & _STILL_BRANDS else ("mp4", movie.read)
    if head[4:8] in _MOVIE_FIRST:
        return "mov", movie.read
    if head[:3] == b"ID3":
        behind = id3.end_of_tag(head)
        if source.upto(behind, 4) == b"fLaC":
            return "flac", lambda source, found: vorbis.flac(source, found, behind)
        return "mp3", id3.read
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3", id3.read
    return "", None
