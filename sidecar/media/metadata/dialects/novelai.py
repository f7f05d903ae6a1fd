"""NovelAI: PNG text `Software`, `Source` (the model), `Description` (the prompt) and JSON in `Comment`."""

from __future__ import annotations

import re
from typing import Any

from sidecar.media.metadata import values
from sidecar.media.metadata.dialects.texts import Texts, mapping
from sidecar.media.metadata.model import Draft, Pass

_SOURCE = re.compile(r"(.*?)\s+([0-9A-F]{8})")
_FIELDS = (
    ("prompt", "prompt", values.words),
    ("negative_prompt", "uc", values.words),
    ("seed", "seed", values.whole),
    ("steps", "steps", values.whole),
    ("sampler", "sampler", values.name),
    ("scheduler", "noise_schedule", values.name),
    ("cfg", "scale", values.number),
    ("width", "width", values.whole),
    ("height", "height", values.whole),
    ("denoise", "strength", values.number),
)
_PASS = ("steps", "sampler", "scheduler", "cfg", "seed", "width", "height", "model", "denoise")


def read(texts: Texts, draft: Draft) -> None:
    """The comment's object; the description where that has no prompt."""
    software, comment = texts.get("software"), texts.get("comment")
    if software is None or "novelai" not in software.value.lower():
        return
    given = mapping(texts.json(comment, draft))
    draft.put(software.place, software="NovelAI")
    source = texts.get("source")
    if source:
        match = _SOURCE.fullmatch(source.value.strip()[:200])
        name, digest = (match[1], match[2]) if match else (source.value.strip(), None)
        draft.put(source.place, model=name, model_hash=digest)
    if comment and given:
        draft.put(comment.place, raw_text=comment.value)
        for field, key, reading in _FIELDS:
            draft.put(f"{comment.place}: {key}", **{field: reading(given.get(key))})
        draft.put(f"{comment.place}: v4_negative_prompt", negative_prompt=_caption(given.get("v4_negative_prompt")))
        for key, value in given.items():
            if key not in {name for _, name, _ in _FIELDS}:
                draft.keep(key, values.shown(value))
    description = texts.get("description")
    if description:
        draft.put(description.place, prompt=description.value)
    first = Pass(**draft.values(*_PASS))
    draft.put(software.place, passes=(first,) if first != Pass() else ())


def _caption(value: Any) -> str | None:
    return values.words(mapping(mapping(value).get("caption")).get("base_caption"))
