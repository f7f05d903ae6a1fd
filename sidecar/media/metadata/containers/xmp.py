"""XMP: the two properties that generators and editors put recipes in. No XML parser: entities could be a bomb."""

from __future__ import annotations

import html

from sidecar.media.metadata.containers.source import Findings, decoded

_PROPERTIES = ("exif:UserComment", "dc:description")


def read(data: bytes, found: Findings) -> None:
    """The first value of each property, as an element or as an attribute."""
    packet = decoded(data)
    for name in _PROPERTIES:
        text = _element(packet, name) or _attribute(packet, name)
        if text:
            found.add(name.partition(":")[2], html.unescape(text), "XMP")


def _element(packet: str, name: str) -> str:
    start = packet.find(f"<{name}")
    stop = packet.find(f"</{name}>", start)
    if start < 0 or stop < 0:
        return ""
    inner = packet[packet.find(">", start) + 1 : stop]
    item = inner.find("<rdf:li")
    if item >= 0:
        inner = inner[inner.find(">", item) + 1 : inner.find("</rdf:li>", item)]
    return inner.strip()


def _attribute(packet: str, name: str) -> str:
    start = packet.find(f'{name}="')
    if start < 0:
        return ""
    start += len(name) + 2
    return packet[start : max(start, packet.find('"', start))]
