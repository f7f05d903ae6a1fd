"""Looking things up in a graph by following links: a value, a text, the chain of models, a size.

Nodes are known by the names of their inputs, hardly by their class: there are thousands of classes, and few names. All
ways end: each node is visited once, and links lead through at most _DEEPEST nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy.graph import Graph, Link, Node
from sidecar.media.metadata.model import Lora

_DEEPEST = 150
_MOST_ALONG = 500  # nodes of one look-up
_PLAIN = ("value", "int", "float", "number", "string", "text", "seed", "widget_0")  # what primitive nodes call it
PIPES = ("guider", "basic_pipe", "pipe", "context", "base_ctx", "sdxl_tuple", "model_pipe")
"""Inputs that carry model, prompts and more in one."""
_MODELS = ("ckpt_name", "unet_name", "model_name", "gguf_name", "base_ckpt_name", "checkpoint", "model_path", "model")


class Found(NamedTuple):
    """A value, and the input of the node that held it: "6 CLIPTextEncode.text"."""

    value: Any
    place: str


def found(node: Node, name: str, value: Any) -> Found:
    """A value of a node's input."""
    return Found(values.words(value) if isinstance(value, str) else value, f"node {node.id} {node.kind}.{name}")


def literal(graph: Graph, node: Node, name: str) -> Found | None:
    """The plain value of an input, through primitive and reroute nodes."""
    seen = {node.id}
    at, here = name, node
    while isinstance(value := here.inputs.get(at), Link):
        following = graph.nodes.get(value.node)
        if following is None or following.id in seen:
            return None
        here = following
        seen.add(here.id)
        lower = {key.lower(): key for key in here.inputs}
        at = next((lower[one] for one in (name, *_PLAIN) if one in lower), "")
        if not at and len(here.inputs) == 1:  # a reroute has one input, with any name
            (at,) = here.inputs
    return None if value is None else found(here, at, value)


def nearest(graph: Graph, node: Node, names: tuple[str, ...], through: tuple[str, ...]) -> Found | None:
    """The first plain value under one of the names, in the node or behind its inputs `through`."""
    for here in _along(graph, node, through):
        for name in names:
            if name in here.inputs and (hit := literal(graph, here, name)) and not isinstance(hit.value, list | dict):
                return hit
    return None


def _along(graph: Graph, node: Node, through: Iterable[str]) -> Iterator[Node]:
    """The node and those behind some of its inputs, breadth first; a reroute's only input counts as any."""
    through = frozenset(through)
    queue, seen = [node], {node.id}
    for here in queue:  # which grows as it is gone through
        yield here
        for name, value in here.inputs.items():
            wanted = name in through or (len(here.inputs) == 1 and here is not node)
            if (
                isinstance(value, Link)
                and wanted
                and value.node not in seen
                and value.node in graph.nodes
                and len(queue) < _MOST_ALONG
            ):
                seen.add(value.node)
                queue.append(graph.nodes[value.node])


# -- texts --------------------------------------------------------------------------------------------------------

_TEXTS = ("text", "prompt", "text_g", "text_l", "clip_l", "t5xxl", "populated_text", "wildcard_text", "string", "value")
_NUMBERED = re.compile(r"(?:text|string|prompt)_?(?:[a-h]|\d{1,2})")
_NO_TEXT = re.compile(
    r"model|clip|vae|.*control_?net.*|images?|mask|pixels|latent.*|samples|noise|sigmas|sampler|style_model|hooks?"
)


def prompt(graph: Graph, node: Node, *, negative: bool) -> Found | None:
    """The text behind a sampler's `positive` or `negative`; of conditionings that were combined, all texts."""
    own, names = ("negative", ("negative",)) if negative else ("positive", ("positive", "conditioning", "text_embeds"))
    reader = _Texts(graph, own)
    for here in _along(graph, node, PIPES):
        for name in names:
            if name in here.inputs:
                reader.read(here, name, 0)
                return reader.all()
    return None


class _Texts:
    """Gathers texts in the order of the inputs they come through."""

    def __init__(self, graph: Graph, polarity: str) -> None:
        self._graph = graph
        self._polarity = polarity
        self._seen: set[str] = set()
        self._found: list[Found] = []

    def all(self) -> Found | None:
        texts = list(dict.fromkeys(one.value for one in self._found if one.value.strip()))
        if not texts:
            return self._found[0] if self._found else None
        return Found("\n".join(texts), self._found[0].place)

    def read(self, node: Node, name: str, depth: int) -> None:
        value = node.inputs.get(name)
        if isinstance(value, str):
            self._found.append(found(node, name, value))
        elif isinstance(value, Link) and depth < _DEEPEST and value.node not in self._seen:
            self._seen.add(value.node)
            behind = self._graph.nodes.get(value.node)
            if behind is not None and "ZeroOut" not in behind.kind:  # a prompt made to say nothing
                self._node(behind, depth + 1)

    def _node(self, node: Node, depth: int) -> None:
        before = len(self._found)
        for name in self._names(node):
            self.read(node, name, depth)
        joint = self._found[before:]
        if len(joint) > 1 and ("oncat" in node.kind or "Join" in node.kind) and "onditioning" not in node.kind:
            between = node.inputs.get("delimiter", node.inputs.get("separator", " "))
            text = (between if isinstance(between, str) else " ").join(one.value for one in joint)
            self._found[before:] = [Found(text, joint[0].place)]

    def _names(self, node: Node) -> list[str]:
        """The inputs worth following: those of the right polarity, or texts, or whatever may lead to one."""
        polar = [name for name in node.inputs if self._polarity in name.lower()]
        if polar:
            return polar
        texts = [name for name in node.inputs if name.lower() in _TEXTS or _NUMBERED.fullmatch(name.lower())]
        said = [name for name in texts if isinstance(node.inputs[name], Link) or _said(node.inputs[name])]
        if said:
            return said
        links = [name for name, value in node.inputs.items() if isinstance(value, Link)]
        further = [name for name in links if not _NO_TEXT.fullmatch(name.lower())]
        return further or texts or [name for name in node.inputs if name == "widget_0"]


def _said(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


# -- models -------------------------------------------------------------------------------------------------------


class Models(NamedTuple):
    """The end of a chain of models, and the LoRAs in it, first applied first."""

    model: Found | None
    loras: tuple[Lora, ...]
    place: str


def models(graph: Graph, node: Node) -> Models:
    """Follow `model` from a sampler through LoRA nodes and patches to the loader."""
    loras: list[Lora] = []
    place = ""
    end: Found | None = None
    for here in _along(graph, node, ("model", "model1", "model_a", "lora_stack", "optional_lora_stack", *PIPES)):
        mine = list(_loras(graph, here))
        place = place or (f"node {here.id} {here.kind}" if mine else "")
        loras[:0] = mine
        end = end or _loaded(graph, here)
    return Models(end, tuple(loras), place)


def _loaded(graph: Graph, node: Node) -> Found | None:
    """What a loader loads."""
    for name in _MODELS:
        if name in node.inputs and not (name == "model" and isinstance(node.inputs[name], Link)):
            hit = literal(graph, node, name)
            if hit and (short := values.model_name(hit.value)):
                return Found(short, hit.place)
    return None


_STRENGTHS = ("strength_model", "lora_model_strength", "model_strength", "strength")
_STACKED = ("strength", "lora_wt", "model_weight", "model_str", "strength_model", "lora_strength")
_LORA = re.compile(r"lora(?:_name)?_?(\d{1,3})")


def _loras(graph: Graph, node: Node) -> Iterator[Lora]:
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


# -- sizes --------------------------------------------------------------------------------------------------------

_WIDTHS = (("width", "height"), ("empty_latent_width", "empty_latent_height"))
_LATENTS = ("latent_image", "samples", "latent", "pixels", "image", "images", "optional_latent", "image_embeds", *PIPES)


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int
    place: str


def size(graph: Graph, node: Node) -> Size | None:
    """What a sampler starts from: an empty latent, or one that was scaled up."""
    factor = 1.0
    for here in _along(graph, node, _LATENTS):
        if here is node:
            continue
        for wide, high in _WIDTHS:
            if wide in here.inputs and high in here.inputs:
                return _size(literal(graph, here, wide), literal(graph, here, high), factor)
        if "upscale_model" in here.inputs:
            return None  # its factor is the model's own
        scale = literal(graph, here, "scale_by") if "scale_by" in here.inputs else None
        factor *= (values.number(scale.value) if scale else None) or 1.0
    return None


def _size(width: Found | None, height: Found | None, factor: float) -> Size | None:
    if width is None or height is None:
        return None
    wide, high = values.whole(width.value), values.whole(height.value)
    if not wide or not high or abs(factor) > 100:
        return None
    return Size(round(wide * factor), round(high * factor), width.place)
