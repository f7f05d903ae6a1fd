"""ComfyUI: `prompt` and `workflow`, under keys of their own or within a comment, as save nodes and video nodes do."""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy import api, workflow
from sidecar.media.metadata.comfy.graph import Graph
from sidecar.media.metadata.comfy.walk import Recipe, walk
from sidecar.media.metadata.dialects.texts import Texts, mapping, sequence
from sidecar.media.metadata.model import Draft, Text

_NO_FIELD = frozenset(("guidance",))  # of distilled models; cfg is something else


class _Pair(NamedTuple):
    """The two notations of one graph, each with the text it came in."""

    graph: Graph | None
    graph_text: Text | None
    drawing: Any
    drawing_text: Text | None


def read(texts: Texts, draft: Draft) -> None:
    """The API's graph, for it is what ran; the drawing where that is missing or broken."""
    pair = _find(texts, draft)
    if pair.graph_text:
        draft.put(pair.graph_text.place, raw_graph=pair.graph_text.value)
    if pair.drawing_text:
        draft.put(pair.drawing_text.place, raw_workflow=pair.drawing_text.value)
    graph, text = pair.graph, pair.graph_text
    if graph is None and pair.drawing is not None:
        graph, text = workflow.read(pair.drawing), pair.drawing_text
    if graph is None or text is None:
        return
    if draft.has("software"):
        draft.put(text.place, software="ComfyUI")
    else:
        draft.put(text.place, software="ComfyUI", version=_version(pair.drawing))
    _put(draft, text, walk(graph))


def _put(draft: Draft, text: Text, recipe: Recipe) -> None:
    """What the graph says; passes and the last one's denoise also where another text knows of fewer."""
    for name, found in recipe.said.items():
        if name in _NO_FIELD:
            draft.keep(name, values.shown(found.value))
        else:
            draft.put(f"{text.place}: {found.place}", **{name: found.value})
    if len(recipe.passes) > len(draft.values("passes").get("passes", ())):
        draft.replace(text.place, passes=recipe.passes)
        if denoise := recipe.said.get("denoise"):
            draft.replace(f"{text.place}: {denoise.place}", denoise=denoise.value)


def _find(texts: Texts, draft: Draft) -> _Pair:
    prompt, drawing = texts.get("prompt"), texts.get("workflow")
    graph_value, drawing_value = texts.json(prompt, draft), texts.json(drawing, draft)
    if graph_value is None and drawing_value is None:
        for text in (*texts.comments(), *texts.all("parameters")):
            value = mapping(texts.json(text, draft, expected=False))
            inner, shape = _unwrapped(value.get("prompt")), _unwrapped(value.get("workflow"))
            graph = api.read(inner) or api.read(value)
            if graph or isinstance(shape, dict) or "nodes" in value:
                shape = shape if isinstance(shape, dict) else value
                shape = shape if "nodes" in shape else None
                return _Pair(graph, text if graph else None, shape, text if shape else None)
        return _Pair(None, prompt if _looks(prompt) else None, None, drawing if _looks(drawing) else None)
    graph = api.read(graph_value)
    if graph_value is not None and graph is None and prompt:
        draft.problems.append(f"{prompt.place}: no graph, or too large a one")
    return _Pair(
        graph,
        prompt if graph_value is not None else None,
        drawing_value if isinstance(drawing_value, dict) else None,
        drawing if _looks(drawing) else None,
    )


def _looks(text: Text | None) -> bool:
    """Whether it was meant as JSON, broken or not."""
    return text is not None and text.value.lstrip()[:1] in ("{", '"')


def _unwrapped(value: Any) -> Any:
    try:
        return values.unwrapped(value)
    except values.NotJson:
        return None


def _version(drawing: Any) -> str | None:
    """The version of ComfyUI that its own nodes carry in the drawing."""
    for node in sequence(mapping(drawing).get("nodes")):
        properties = mapping(mapping(node).get("properties"))
        if properties.get("cnr_id") == "comfy-core" and (version := values.name(properties.get("ver"))):
            return version
    return None
