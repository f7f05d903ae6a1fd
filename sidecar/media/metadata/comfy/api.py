"""ComfyUI's `prompt`: the graph as its API takes it, `{id: {"class_type", "inputs"}}`, a link being `[id, slot]`.

Its page has unfolded group nodes and subgraphs by then; their nodes have ids such as "12:3".
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from sidecar.media.metadata.comfy.graph import MOST_INPUTS, MOST_NODES, Graph, Link, Node


def read(value: Any) -> Graph | None:
    """The graph; None for what is none, or has more than MOST_NODES nodes."""
    if not isinstance(value, dict) or len(value) > MOST_NODES:
        return None
    kinds = {
        str(key): (raw["class_type"], raw.get("inputs"))
        for key, raw in value.items()
        if isinstance(raw, dict) and isinstance(raw.get("class_type"), str)
    }
    if not kinds:
        return None
    nodes: dict[str, Node] = {}
    for key, (kind, inputs) in kinds.items():
        given = islice(inputs.items(), MOST_INPUTS) if isinstance(inputs, dict) else ()
        nodes[key] = Node(key, kind, {name: _linked(one, kinds) for name, one in given})
    return Graph(nodes)


def _linked(value: Any, ids: dict[str, Any]) -> Any:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int) and isinstance(value[0], str | int):
        return Link(str(value[0]), value[1]) if str(value[0]) in ids else value
    return value
