"""LoRAs as A1111's kin name them: `<lora:name:0.6>` in the prompt, and hashes in a pair of their own."""

from __future__ import annotations

import re

from sidecar.media.metadata import values
from sidecar.media.metadata.model import Lora

_TAG = re.compile(r"<(?:lora|lyco):([^:<>]{1,300})((?::[^:<>]{0,100}){0,6})>", re.IGNORECASE)


def read(prompt: str, hashes: str = "") -> tuple[Lora, ...]:
    """LoRAs in the order of the prompt, each once; then those that only have a hash (a tag that a script removed).

    >>> read("a fox <lora:grain:0.6>", "grain: 1f2e")
    (Lora(name='grain', weight=0.6, hash='1f2e'),)
    """
    known = dict(_hash(part) for part in hashes.split(",") if ":" in part)
    found: dict[str, Lora] = {}
    for name, weights in _TAG.findall(prompt):
        found.setdefault(name, Lora(name, _weight(weights), known.get(name)))
    for name, digest in known.items():
        found.setdefault(name, Lora(name, None, digest))
    return tuple(found.values())


def _hash(part: str) -> tuple[str, str]:
    name, _, digest = part.rpartition(":")
    return name.strip(), digest.strip()


def _weight(weights: str) -> float | None:
    """`:0.6`, `:0.6:0.8` (text encoder first in A1111), `:te=0.5:unet=0.6`; without any it is 1."""
    given = [one for one in weights.split(":") if one]
    if not given:
        return 1.0
    unet = next((one.partition("=")[2] for one in given if one.lower().startswith("unet=")), "")
    return values.number(unet or given[0].partition("=")[2] or given[0])
