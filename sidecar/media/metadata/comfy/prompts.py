"""The texts behind a sampler, through whatever joins, patches or writes them."""

from __future__ import annotations

import re
from typing import Any

from sidecar.media.metadata.comfy.follow import DEEPEST, PIPES, Found, along, found
from sidecar.media.metadata.comfy.graph import Graph, Link, Node

_TEXTS = ("text", "prompt", "text_g", "text_l", "clip_l", "t5xxl", "populated_text", "wildcard_text", "string", "value")
_NUMBERED = re.compile(r"(?:text|string|prompt)_?(?:[a-h]|\d{1,2})")
_NO_TEXT = re.compile(
    r"model|clip|vae|.*control_?net.*|images?|mask|pixels|latent.*|samples|noise|sigmas|sampler|style_model|hooks?"
)
_POSITIVE = ("positive", ("positive", "conditioning", "text_embeds"))
_NEGATIVE = ("negative", ("negative", "negative_prompt"))
_WAYS = ("text_embeds", *PIPES)


def prompt(graph: Graph, node: Node, *, negative: bool) -> Found | None:
    """The text behind a sampler's `positive` or `negative`; of conditionings that were combined, all texts."""
    own, names = _NEGATIVE if negative else _POSITIVE
    reader = _Texts(graph, own)
    for here in along(graph, node, _WAYS):
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
        elif isinstance(value, Link) and depth < DEEPEST and value.node not in self._seen:
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
            return _fresh(node, said)
        links = [name for name, value in node.inputs.items() if isinstance(value, Link)]
        further = [name for name in links if not _NO_TEXT.fullmatch(name.lower())]
        return further or texts or [name for name in node.inputs if name == "widget_0"]


def _fresh(node: Node, names: list[str]) -> list[str]:
    """Without the template that a text was made of, and without what a node showed when its text was another."""
    if "populated_text" in names:
        return ["populated_text"]
    if any(isinstance(node.inputs.get(name), Link) for name in ("text", "string")):
        return [name for name in names if isinstance(node.inputs[name], Link) or not _NUMBERED.fullmatch(name.lower())]
    return names


def _said(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
