"""ID3v2 tags of MP3 files: TXXX and COMM, which hold a name and a text. (The known library for it is under the GPL.)"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.media.metadata.containers.source import Broken, Findings, Source, decoded

_CODECS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
_NAMED = {b"TXXX": 0, b"TXX": 0, b"COMM": 3, b"COM": 3}  # bytes of language before the name
_TITLES = {b"TIT2": "title", b"TT2": "title", b"TSSE": "encoder"}
_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40
_COMPRESSED_OR_ENCRYPTED = 0x0C


def read(source: Source, found: Findings) -> None:
    """The tag at the start; without one there is nothing to read."""
    head = source.upto(0, 10)
    if head[:3] != b"ID3":
        return
    length = end_of_tag(head) - 10
    if not found.room("tag", "ID3", length):
        return
    tag = source.exactly(10, length)
    version, flags = head[3], head[5]
    if flags & _UNSYNCHRONISED and version < 4:
        tag = tag.replace(b"\xff\0", b"\xff")
    if flags & _EXTENDED and version > 2:
        tag = tag[_synchsafe(tag[:4]) if version > 3 else 4 + int.from_bytes(tag[:4], "big") :]
    for kind, body in _frames(tag, version):
        _frame(found, kind, body)


def end_of_tag(head: bytes) -> int:
    """Where what follows the tag starts, by the tag's first ten bytes."""
    return 10 + _synchsafe(head[6:10])


def _synchsafe(raw: bytes) -> int:
    value = 0
    for byte in raw:
        value = value << 7 | byte & 127
    return value


def _frames(tag: bytes, version: int) -> Iterator[tuple[bytes, bytes]]:
    name, header = (3, 6) if version == 2 else (4, 10)
    at = 0
    while at + header <= len(tag) and tag[at]:
        kind, raw = tag[at : at + name], tag[at + name : at + 2 * name]
        length = _synchsafe(raw) if version == 4 else int.from_bytes(raw, "big")
        body = tag[at + header : at + header + length]
        if len(body) < length:
            raise Broken("an ID3 frame is longer than its tag")
        at += header + length
        flags = tag[at - length - 1] if version == 4 else 0
        if flags & _COMPRESSED_OR_ENCRYPTED:
            continue
        if flags & 1:  # its length once more
            body = body[4:]
        yield kind, body.replace(b"\xff\0", b"\xff") if flags & 2 else body


def _frame(found: Findings, kind: bytes, body: bytes) -> None:
    if not body or body[0] not in _CODECS or (kind not in _NAMED and kind not in _TITLES):
        return
    codec, text = body[0], body[1 + _NAMED.get(kind, 0) :]
    if kind in _TITLES:
        found.add(_TITLES[kind], _decode(text, codec), "ID3")
        return
    name, value = _split(text, wide=codec in (1, 2))
    key = _decode(name, codec) or "comment"
    found.add(key, _decode(value, codec), f"ID3 {kind.decode()}")


def _split(text: bytes, *, wide: bool) -> tuple[bytes, bytes]:
    if not wide:
        name, _, value = text.partition(b"\0")
        return name, value
    at = next((at for at in range(0, min(len(text), 4096), 2) if text[at : at + 2] == b"\0\0"), len(text))
    return text[:at], text[at + 2 :]


def _decode(raw: bytes, codec: int) -> str:
    text = decoded(raw) if codec in (0, 3) else raw.decode(_CODECS[codec], "replace")
    return text.rstrip("\0")
