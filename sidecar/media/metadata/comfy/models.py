"""The chain of models behind a sampler: the loader at its end, and the LoRAs on the way."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy import loras
from sidecar.media.metadata.comfy.follow import PIPES, Found, along, literal
from sidecar.media.metadata.comfy.graph import Graph, Link, Node
from sidecar.media.metadata.model import Lora

_MODELS = ("ckpt_name", "unet_name", "model_name", "gguf_name", "base_ckpt_name", "checkpoint", "model_path", "model")
_WAYS = ("model", "model1", "model_a", "lora", "prev_lora", "lora_stack", "optional_lora_stack", *PIPES)


class Models(NamedTuple):
    """The end of a chain of models, and the LoRAs in it, first applied first."""

    model: Found | None
    loras: tuple[Lora, ...]
    place: str


def chain(graph: Graph, node: Node) -> Models:
    """Follow `model` from a sampler through LoRA nodes and patches to the loader."""
    applied: list[Lora] = []
    place = ""
    end: Found | None = None
    for here in along(graph, node, _WAYS):
        mine = list(loras.read(graph, here))
        place = place or (f"node {here.id} {here.kind}" if mine else "")
        applied[:0] = mine
        end = end or _loaded(graph, here)
    return Models(end, tuple(applied), place)


def _loaded(graph: Graph, node: Node) -> Found | None:
    """What a loader loads."""
    for name in _MODELS:
        if name in node.inputs and not (name == "model" and isinstance(node.inputs[name], Link)):
            hit = literal(graph, node, name)
            if hit and (short := values.model_name(hit.value)):
                return Found(short, hit.place)
    return None
