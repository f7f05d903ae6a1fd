"""A ComfyUI graph, whichever notation it came in: nodes whose inputs are plain values or links to other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, NamedTuple

from sidecar.values import dataclass

MOST_NODES = 20_000
"""Nodes of one graph, subgraphs unfolded; large ones have a thousand."""

MOST_INPUTS = 200
"""Inputs of one node that are looked at; the largest have some dozens."""


class Link(NamedTuple):
    """What an input takes: output number `slot` of another node."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `kind` is its class; `inputs` by name, each a Link or a value as in the JSON."""

    id: str
    kind: str
    inputs: Mapping[str, Any] = field(repr=False)

    def links(self) -> Iterator[Link]:
        """The inputs that come from other nodes."""
        return (value for value in self.inputs.values() if isinstance(value, Link))


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by id. A link may lead nowhere, and round in circles."""

    nodes: Mapping[str, Node]

    def upstream(self, starts: Iterable[str]) -> list[Node]:
        """The nodes and all that they depend on, each once, what comes earlier first."""
        order: list[Node] = []
        seen: set[str] = set()
        stack = [(start, False) for start in starts]
        stack.reverse()
        while stack:
            name, done = stack.pop()
            node = self.nodes.get(name)
            if node is None:
                continue
            if done:
                order.append(node)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((link.node, False) for link in reversed(list(node.links())))
        return order
