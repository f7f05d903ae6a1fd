"""A recipe in JSON's types and within bounds, as `list --json`, the API and sinks tell it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sidecar.media.metadata.model import Lora, Metadata, Pass

RAW = ("raw_text", "raw_graph", "raw_workflow")
MOST_TEXT = 1 << 16  # characters of one text; the file has the rest
MOST_RAW = 1 << 20  # of a text as it was written; a longer one is in the file alone
MOST_PARTS = 1000  # LoRAs, passes, further pairs
_ELSEWHERE = frozenset(("texts", "origins", "problems", "format", "size"))  # or only of use to a person


def as_json(recipe: Metadata) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Every field that the file says something of, and what was cut short; {} of a file that says nothing."""
    if not recipe.known and not recipe.other:
        return {}, ()
    cut: list[str] = []
    told: dict[str, Any] = {}
    for name in (one.name for one in fields(recipe) if one.name not in _ELSEWHERE):
        value = getattr(recipe, name)
        if name in RAW and value is not None and len(value) > MOST_RAW:
            cut.append(f"{name}: {len(value)} characters are in the file alone")
        elif (plain := _plain(value, name, cut)) not in (None, [], {}):
            told[name] = plain
    return told, tuple(dict.fromkeys(cut))


def _plain(value: Any, name: str, cut: list[str]) -> Any:
    if isinstance(value, str):
        most = MOST_RAW if name in RAW else MOST_TEXT
        if len(value) > most:
            cut.append(f"{name}: the first {most} of {len(value)} characters are kept")
        return value[:most]
    if isinstance(value, Lora | Pass):
        parts = {one.name: _plain(getattr(value, one.name), name, cut) for one in fields(value)}
        return {key: part for key, part in parts.items() if part is not None}
    if isinstance(value, tuple):
        return [_plain(part, name, cut) for part in _first(value, name, cut)]
    if hasattr(value, "items"):
        return {key[:MOST_TEXT]: _plain(part, name, cut) for key, part in _first(list(value.items()), name, cut)}
    return value


def _first(parts: Any, name: str, cut: list[str]) -> Any:
    if len(parts) > MOST_PARTS:
        cut.append(f"{name}: the first {MOST_PARTS} of {len(parts)} are kept")
    return parts[:MOST_PARTS]
