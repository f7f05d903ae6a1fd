"""The LoRAs of one node, as the many loaders and stacks name them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy.follow import literal, nearest
from sidecar.media.metadata.comfy.graph import Graph, Node
from sidecar.media.metadata.model import Lora

_STRENGTHS = ("strength_model", "lora_model_strength", "model_strength", "strength")
_STACKED = ("strength", "lora_wt", "model_weight", "model_str", "strength_model", "lora_strength")
_LORA = re.compile(r"lora(?:_name)?_?(\d{1,3})")


def read(graph: Graph, node: Node) -> Iterator[Lora]:
    """One of `lora_name`, or several of a stack, in the notations of rgthree, Efficiency and Comfyroll."""
    if "lora_name" in node.inputs:
        chosen, weight = literal(graph, node, "lora_name"), nearest(graph, node, _STRENGTHS, ())
        if chosen and (name := values.model_name(chosen.value)):
            yield Lora(name, values.number(weight.value) if weight else None)
    for key, value in node.inputs.items():
        match = _LORA.fullmatch(key.lower())
        if not match:
            continue
        number = match[1]
        if isinstance(value, dict):
            name, strength = values.model_name(value.get("lora")), value.get("strength")
            on = value.get("on") is not False
        else:
            name = values.model_name(value)
            keys = (f"{kind}_{number}" for kind in _STACKED)
            given = next((literal(graph, node, key) for key in keys if key in node.inputs), None)
            strength = given.value if given else None
            on = node.inputs.get(f"switch_{number}") != "Off"
        if name and on:
            yield Lora(name, values.number(strength))
