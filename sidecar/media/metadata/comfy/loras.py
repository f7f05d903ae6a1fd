"""The LoRAs of one node, as the many loaders and stacks name them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sidecar.media.metadata import lora_tags, values
from sidecar.media.metadata.comfy.follow import literal, nearest
from sidecar.media.metadata.comfy.graph import Graph, Link, Node
from sidecar.media.metadata.model import Lora

_STRENGTHS = ("strength_model", "lora_model_strength", "model_strength", "lora_strength", "strength")
_SLOT = re.compile(r"lora(?:_name)?_?(\d{1,3})(?:_name)?")
_COUNTS = ("lora_count", "num_loras")
_MODES = ("input_mode", "mode")
_OF_BOTH = ("lora_wt_{}", "lora_{}_strength", "strength_{}", "lora_strength_{}")
_OF_THE_MODEL = ("model_str_{}", "lora_{}_model_strength", "model_weight_{}", "strength_model_{}")
_OFF = (False, "Off")
_TEXTS = ("populated_text", "text")


def read(graph: Graph, node: Node) -> Iterator[Lora]:
    """One LoRA, those of a stack, or those that a text or a list names."""
    if node.inputs.get("toggle") not in _OFF:
        yield from _single(graph, node)
        yield from _stacked(graph, node)
        yield from _listed(graph, node)


def _single(graph: Graph, node: Node) -> Iterator[Lora]:
    """`lora_name`, or WanVideoWrapper's `lora` beside `strength`; linked, that is a chain of others."""
    plain = "strength" in node.inputs and not isinstance(node.inputs.get("lora"), Link)
    chosen = literal(graph, node, "lora_name") or (literal(graph, node, "lora") if plain else None)
    if chosen and (name := values.model_name(chosen.value)):
        weight = nearest(graph, node, _STRENGTHS, ())
        yield Lora(name, values.number(weight.value) if weight else None)


def _stacked(graph: Graph, node: Node) -> Iterator[Lora]:
    """The slots that count, in the notations of rgthree, Efficiency, Comfyroll and easy-use; others hold leftovers."""
    count = nearest(graph, node, _COUNTS, ())
    most = values.whole(count.value) if count else None
    for key, value in node.inputs.items():
        match = _SLOT.fullmatch(key.lower())
        if not match or (most is not None and int(match[1]) > most):
            continue
        if isinstance(value, dict):
            yield from _entry(value)
        elif (name := values.model_name(value)) and node.inputs.get(f"switch_{match[1]}") not in _OFF:
            yield Lora(name, _weight(graph, node, match[1]))


def _weight(graph: Graph, node: Node, number: str) -> float | None:
    """That of a slot. With two sets of weights the mode tells which one counts."""
    advanced = any(node.inputs.get(mode) == "advanced" for mode in _MODES)
    kinds = (*_OF_THE_MODEL, *_OF_BOTH) if advanced else (*_OF_BOTH, *_OF_THE_MODEL)
    given = nearest(graph, node, tuple(kind.format(number) for kind in kinds), ())
    return values.number(given.value) if given else None


def _listed(graph: Graph, node: Node) -> Iterator[Lora]:
    """LoraManager's list, which knows what is switched off; without it the tags in a text."""
    listed = node.inputs.get("loras")
    listed = listed.get("__value__") if isinstance(listed, dict) else listed
    if isinstance(listed, list):
        for raw in listed:
            yield from _entry(raw) if isinstance(raw, dict) else ()
    elif (text := nearest(graph, node, _TEXTS, ())) and isinstance(text.value, str):
        for one in lora_tags.read(text.value):
            yield Lora(values.model_name(one.name) or one.name, one.weight)


def _entry(raw: dict[str, Any]) -> Iterator[Lora]:
    """rgthree's `{"on", "lora", "strength"}`, or LoraManager's `{"active", "name", "strength"}`."""
    name = values.model_name(raw.get("lora", raw.get("name")))
    if name and raw.get("on") not in _OFF and raw.get("active") not in _OFF:
        yield Lora(name, values.number(raw.get("strength")))
