"""ComfyUI's `workflow`: the graph as its page draws it. Subgraphs and groups are unfolded, bypassed nodes bridged."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from sidecar.media.metadata.comfy import widgets
from sidecar.media.metadata.comfy.graph import MOST_INPUTS, MOST_NODES, Graph, Link, Node

_MUTED, _BYPASSED = 2, 4
_OUTSIDE, _RESULTS = -10, -20  # what a subgraph's own inputs and outputs are called within it
_DEEPEST = 8
_SETS = ("SetNode", "easy setNode")
_GETS = ("GetNode", "easy getNode")  # give out what the one of the same name takes


class _Wire(NamedTuple):
    """One link of the drawing."""

    origin: Any
    slot: int
    target: Any
    target_slot: int


class _Scope(NamedTuple):
    """A drawing, or one within a node of another: `feeds` are the values that its inputs have there.

    `names` are the values that have one, there and around it.
    """

    prefix: str
    nodes: list[Any]
    wires: dict[Any, _Wire]
    feeds: list[Any]
    depth: int
    names: ChainMap[str, Any]


def read(value: Any) -> Graph | None:
    """The graph; None for what is none, or has more than MOST_NODES nodes."""
    if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
        return None
    unfolding = _Unfolding(value)
    unfolding.place(_Scope("", value["nodes"], _wires(value.get("links")), [], 0, ChainMap()))
    return unfolding.graph() if unfolding.nodes and len(unfolding.nodes) <= MOST_NODES else None


class _Unfolding:
    """Nodes of all levels, gathered under ids such as "12:3", and which output stands for which."""

    def __init__(self, workflow: dict[str, Any]) -> None:
        self.nodes: dict[str, Node] = {}
        self._stands_for: dict[Link, Any] = {}
        self._inner = _subgraphs(workflow) | _groups(workflow)

    def graph(self) -> Graph:
        return Graph(
            {
                key: Node(key, node.kind, {name: self._behind(value) for name, value in node.inputs.items()})
                for key, node in self.nodes.items()
            }
        )

    def _behind(self, value: Any) -> Any:
        for _ in range(100):
            if not isinstance(value, Link) or value not in self._stands_for:
                return value
            value = self._stands_for[value]
        return None  # a circle of nodes that stand for each other

    def place(self, scope: _Scope) -> None:
        scope = scope._replace(names=scope.names.new_child(dict(_named(scope))))
        for raw in scope.nodes:
            if len(self.nodes) > MOST_NODES:
                return
            if isinstance(raw, dict) and isinstance(raw.get("type"), str) and raw.get("mode") != _MUTED:
                self._node(scope, raw)

    def _node(self, scope: _Scope, raw: dict[str, Any]) -> None:
        key = f"{scope.prefix}{raw.get('id')}"
        sockets = [one for one in _list(raw.get("inputs")) if isinstance(one, dict)]
        taken = [_taken(scope, socket) for socket in sockets]
        if raw.get("mode") == _BYPASSED:
            for slot, socket in enumerate(_bridges(sockets, taken, _list(raw.get("outputs")))):
                self._stands_for[Link(key, slot)] = socket
            return
        if raw["type"] in _GETS:
            self._stands_for[Link(key, 0)] = scope.names.get(_name(raw))
            return
        shown = widgets.named(raw["type"], sockets, raw.get("widgets_values"))
        inner = self._inner.get(raw["type"])
        if inner is not None and scope.depth < _DEEPEST:
            names = [_widget(socket) for socket in sockets]
            feeds = [shown.get(name) if one is None else one for name, one in zip(names, taken, strict=True)]
            wires = _wires(inner.get("links"))
            self._unfold(key, _Scope(f"{key}:", _with_values(inner, raw), wires, feeds, scope.depth + 1, scope.names))
            return
        links = {str(socket.get("name")): one for socket, one in zip(sockets, taken, strict=True) if one is not None}
        self.nodes[key] = Node(key, raw["type"], dict(islice((shown | links).items(), MOST_INPUTS)))

    def _unfold(self, key: str, scope: _Scope) -> None:
        self.place(scope)
        for wire in scope.wires.values():
            if wire.target == _RESULTS:
                outer = wire.origin == _OUTSIDE
                result = _list_at(scope.feeds, wire.slot) if outer else Link(f"{scope.prefix}{wire.origin}", wire.slot)
                self._stands_for[Link(key, wire.target_slot)] = result


def _taken(scope: _Scope, socket: dict[str, Any]) -> Any:
    """What an input socket is linked to: a Link, a value from outside of a subgraph, or None."""
    link = _key(socket.get("link"))
    wire = None if link is None else scope.wires.get(link)
    if wire is None:
        return None
    if wire.origin == _OUTSIDE:
        return _list_at(scope.feeds, wire.slot)
    return Link(f"{scope.prefix}{wire.origin}", wire.slot)


def _named(scope: _Scope) -> Iterator[tuple[str, Any]]:
    """The names that nodes of a drawing give to what they take."""
    for raw in scope.nodes:
        if isinstance(raw, dict) and raw.get("type") in _SETS and raw.get("mode") != _MUTED:
            socket = _list_at(_list(raw.get("inputs")), 0)
            if (name := _name(raw)) and isinstance(socket, dict):
                yield name, _taken(scope, socket)


def _name(raw: dict[str, Any]) -> str:
    first = _list_at(_list(raw.get("widgets_values")), 0)
    return first if isinstance(first, str) else ""


def _bridges(sockets: list[dict[str, Any]], taken: list[Any], outputs: list[Any]) -> Iterator[Any]:
    """For each output of a bypassed node the first input of its type."""
    for output in outputs:
        kind = output.get("type") if isinstance(output, dict) else None
        same = (one for socket, one in zip(sockets, taken, strict=True) if socket.get("type") == kind)
        yield next((one for one in same if one is not None), None)


def _widget(socket: dict[str, Any]) -> str:
    widget = socket.get("widget")
    return str(widget.get("name")) if isinstance(widget, dict) else str(socket.get("name"))


def _wires(links: Any) -> dict[Any, _Wire]:
    """Links by number: `[number, origin, slot, target, slot, type]`, or an object within subgraphs."""
    wires: dict[Any, _Wire] = {}
    for link in _list(links):
        if isinstance(link, dict):
            raw = [link.get(name) for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
        elif isinstance(link, list) and len(link) >= 5:
            raw = link[:5]
        else:
            continue
        if isinstance(raw[2], int) and isinstance(raw[4], int):
            wires[_key(raw[0])] = _Wire(_key(raw[1]), raw[2], _key(raw[3]), raw[4])
    return wires


def _subgraphs(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    definitions = workflow.get("definitions")
    graphs = _list(definitions.get("subgraphs")) if isinstance(definitions, dict) else []
    return {one["id"]: one for one in graphs if isinstance(one, dict) and isinstance(one.get("id"), str)}


def _groups(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Group nodes, which came before subgraphs, in the shape of subgraphs.

    Their links are `[origin, slot, target, slot, type]` by place in the list; what is linked to nothing inside is an
    input or output of the group, in the order of the nodes.
    """
    extra = workflow.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, dict) else None
    made: dict[str, dict[str, Any]] = {}
    for name, group in (groups if isinstance(groups, dict) else {}).items():
        if isinstance(group, dict):
            shape = _group(group)
            made |= {f"workflow/{name}": shape, f"workflow>{name}": shape}
    return made


def _group(group: dict[str, Any]) -> dict[str, Any]:
    links = [one[:4] for one in _list(group.get("links")) if isinstance(one, list) and len(one) >= 4]
    links = [one for one in links if all(isinstance(number, int) for number in one)]
    outside = {(one[0], one[1]) for one in _list(group.get("external")) if isinstance(one, list) and len(one) > 1}
    into = {(link[2], link[3]): number for number, link in enumerate(links)}
    out_of = {(link[0], link[1]) for link in links}
    wires = [[number, *link] for number, link in enumerate(links)]
    nodes: list[Any] = []
    feeds = results = 0
    for place, raw in enumerate(one for one in _list(group.get("nodes")) if isinstance(one, dict)):
        sockets = [dict(one) for one in _list(raw.get("inputs")) if isinstance(one, dict)]
        for slot, socket in enumerate(sockets):
            socket["link"] = into.get((place, slot))
            if socket["link"] is None and not socket.get("widget"):
                socket["link"] = len(wires)
                wires.append([len(wires), _OUTSIDE, feeds, place, slot])
                feeds += 1
        for slot in range(len(_list(raw.get("outputs")))):
            if (place, slot) not in out_of or (place, slot) in outside:
                wires.append([len(wires), place, slot, _RESULTS, results])
                results += 1
        nodes.append({**raw, "id": place, "inputs": sockets})
    return {"nodes": nodes, "links": wires, "group": True}


def _with_values(inner: dict[str, Any], raw: dict[str, Any]) -> list[Any]:
    """The nodes within a node. A group node shows the values of all of its nodes in a row, and they are what counts."""
    nodes, values = _list(inner.get("nodes")), _list(raw.get("widgets_values"))
    counts = [len(_list(node.get("widgets_values"))) if isinstance(node, dict) else 0 for node in nodes]
    if not inner.get("group") or sum(counts) != len(values):
        return nodes
    given = iter(values)
    return [{**node, "widgets_values": list(islice(given, count))} for node, count in zip(nodes, counts, strict=True)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _list_at(values: list[Any], at: int) -> Any:
    return values[at] if 0 <= at < len(values) else None


def _key(value: Any) -> Any:
    """Ids are numbers or texts; anything else is no id, and might not be hashable."""
    return value if isinstance(value, int | str) else None
