"""FLAC and Ogg (Opus, Vorbis): both keep Vorbis comments, in a block of their own or in the second packet."""

from __future__ import annotations

from sidecar.media.metadata.containers.source import MOST_TEXT, Broken, Findings, Source, decoded

_COMMENT_BLOCK = 4
_PACKETS = (b"OpusTags", b"\x03vorbis", b"\x84")  # what a packet of comments starts with; the last is FLAC's in Ogg


def flac(source: Source, found: Findings, at: int = 0) -> None:
    """Metadata blocks up to the sound. `at` is where "fLaC" stands, behind an ID3 tag perhaps."""
    at += 4
    last = False
    while not last:
        head = source.exactly(at, 4)
        last, kind, length = head[0] >= 128, head[0] & 127, int.from_bytes(head[1:], "big")
        if kind == _COMMENT_BLOCK and found.room("comments", "FLAC", length):
            _comments(source.exactly(at + 4, length), found, "FLAC")
        at += 4 + length


def ogg(source: Source, found: Findings) -> None:
    """The second packet of the first stream. Raises Broken where it does not end."""
    packets, packet, at = 0, bytearray(), 0
    while packets < 2:
        head = source.exactly(at, 27)
        if head[:4] != b"OggS":
            raise Broken(f"no Ogg page at byte {at}")
        lacing = source.exactly(at + 27, head[26])
        body = source.exactly(at + 27 + len(lacing), sum(lacing))
        at += 27 + len(lacing) + len(body)
        offset = 0
        for length in lacing:
            packet += body[offset : offset + length]
            offset += length
            if length < 255:
                packets += 1
                if packets == 2:
                    break
                packet.clear()
        if len(packet) > MOST_TEXT:
            found.room("comments", "Ogg", len(packet))
            return
    for start in _PACKETS:
        if packet.startswith(start):
            skip = 4 if start == b"\x84" else len(start)
            _comments(bytes(packet[skip:]), found, "Ogg")


def _comments(data: bytes, found: Findings, origin: str) -> None:
    """Who wrote it, then `KEY=value` each with its length, little-endian."""
    at = 4 + int.from_bytes(data[:4], "little")
    count = int.from_bytes(data[at : at + 4], "little")
    at += 4
    for _ in range(count):
        if at + 4 > len(data):
            raise Broken("the comments end too soon")
        length = int.from_bytes(data[at : at + 4], "little")
        key, equals, value = data[at + 4 : at + 4 + length].partition(b"=")
        if equals:
            found.add(decoded(key), decoded(value), f"{origin} comment")
        at += 4 + length
