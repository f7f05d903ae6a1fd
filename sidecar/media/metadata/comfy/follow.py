"""Looking things up in a graph by following links; `prompts`, `models`, `loras` and `sizes` know which.

Nodes are known by the names of their inputs, hardly by their class: there are thousands of classes, and few names. All
ways end: each node is visited once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy.graph import Graph, Link, Node

DEEPEST = 150
"""Nodes that links lead through at most."""
_MOST_ALONG = 500  # nodes of one look-up
_PLAIN = ("value", "int", "float", "number", "string", "text", "seed", "widget_0")  # what primitive nodes call it
PIPES = ("guider", "basic_pipe", "pipe", "context", "base_ctx", "sdxl_tuple", "model_pipe")
"""Inputs that carry model, prompts and more in one."""


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
    for here in along(graph, node, through):
        for name in names:
            if name in here.inputs and (hit := literal(graph, here, name)) and not isinstance(hit.value, list | dict):
                return hit
    return None


def along(graph: Graph, node: Node, through: Iterable[str]) -> Iterator[Node]:
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
