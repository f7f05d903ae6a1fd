"""From a graph to a recipe: which samplers made the picture, in which order, and what each was told."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy import follow, models, prompts, sizes
from sidecar.media.metadata.comfy.follow import Found
from sidecar.media.metadata.comfy.graph import Graph, Link, Node
from sidecar.media.metadata.model import Lora, Pass

_SAVES = re.compile(r"save|combine|preview|output|export|send", re.IGNORECASE)
_PREVIEW = re.compile(r"preview", re.IGNORECASE)
_MOST_PASSES = 32
_MOST_SAVERS = 20
_MODELS = ("model", *follow.PIPES)
_SETTINGS = ("sampler", "sigmas", "noise", "scheduler", "settings", *follow.PIPES)


class Recipe(NamedTuple):
    """What a graph says: passes, first one first, and the other fields, each with the input that said it."""

    passes: tuple[Pass, ...]
    said: dict[str, Found]


def walk(graph: Graph) -> Recipe:
    """Read a graph. Fields that it does not tell are missing from `said`."""
    used = _used(graph)
    samplers = [node for node in used if _is_sampler(node)][:_MOST_PASSES]
    said: dict[str, Found] = {}
    if not samplers:
        _without_sampler(graph, used, said)
    passes = []
    for number, node in enumerate(samplers):
        own = _settings(graph, node)
        if number == 0:
            said |= {name: one for name, one in own.items() if name != "denoise"}
        passes.append(Pass(**{name: one.value for name, one in own.items()}))
        if number == len(samplers) - 1 and "denoise" in own:
            said["denoise"] = own["denoise"]
    for node in samplers:
        for name, negative in (("prompt", False), ("negative_prompt", True)):
            if name not in said and (text := prompts.prompt(graph, node, negative=negative)) and text.value.strip():
                said[name] = text
    _loras(graph, samplers, said)
    _along_the_way(graph, used, said)
    return Recipe(tuple(passes), said)


def _used(graph: Graph) -> list[Node]:
    """The nodes that the file depends on, earlier ones first.

    Several nodes may save, and a file does not say which of them did: a save counts more than a preview, then whoever
    has more samplers behind it.
    """
    savers = [node for node in graph.nodes.values() if _SAVES.search(node.kind) and any(node.links())]
    whole = graph.upstream(graph.nodes)
    best: list[Node] = []
    best_rank = (False, False, 0)
    for node in savers[:_MOST_SAVERS]:
        behind = graph.upstream([node.id])
        count = sum(map(_is_sampler, behind))
        rank = (count > 0, not _PREVIEW.search(node.kind), count)
        if not best or rank > best_rank:
            best, best_rank = behind, rank
    samples_elsewhere = not best_rank[0] and any(map(_is_sampler, whole))
    return whole if not best or samples_elsewhere else best


def _is_sampler(node: Node) -> bool:
    """A node that takes steps: KSampler and its kin, or one that gets them from others (SamplerCustom).

    Save nodes are told steps as well, to write them down; those that sample have a model.
    """
    given = node.inputs
    if "sigmas" in given and ("guider" in given or "positive" in given):
        return True
    told = "steps" in given and "cfg" in given and ("sampler_name" in given or "scheduler" in given)
    return told and (not _SAVES.search(node.kind) or any(isinstance(given.get(name), Link) for name in _MODELS))


def _settings(graph: Graph, node: Node) -> dict[str, Found]:
    """The fields of one pass."""

    def ask(*names: str) -> Found | None:
        return follow.nearest(graph, node, names, _SETTINGS)

    chain = models.chain(graph, node)
    size = sizes.size(graph, node)
    denoise = _denoise(graph, node)
    asked = {
        "seed": _as(values.whole, ask("seed", "noise_seed")),
        "steps": _as(values.whole, ask("steps")),
        "sampler": _as(values.name, ask("sampler_name")),
        "scheduler": _as(values.name, ask("scheduler")),
        "cfg": _as(values.number, ask("cfg")),
        "denoise": denoise,
        "width": Found(size.width, size.place) if size else None,
        "height": Found(size.height, size.place) if size else None,
        "model": chain.model,
    }
    return {name: one for name, one in asked.items() if one is not None}


def _denoise(graph: Graph, node: Node) -> Found | None:
    """As it is given, or by the step at which KSamplerAdvanced starts."""
    start, steps = follow.literal(graph, node, "start_at_step"), follow.literal(graph, node, "steps")
    if start and steps:
        first, count = values.number(start.value), values.number(steps.value)
        return Found(round(1 - first / count, 4), start.place) if first and count and first < count else None
    return _as(values.number, follow.nearest(graph, node, ("denoise",), _SETTINGS))


def _loras(graph: Graph, samplers: list[Node], said: dict[str, Found]) -> None:
    loras: dict[str, Lora] = {}
    place = ""
    for node in samplers:
        chain = models.chain(graph, node)
        for one in chain.loras:
            loras.setdefault(one.name, one)
        place = place or chain.place
    if loras:
        said["loras"] = Found(tuple(loras.values()), place)


def _along_the_way(graph: Graph, used: list[Node], said: dict[str, Found]) -> None:
    """What no sampler is told, but the nodes around it: VAE, clip skip, distilled guidance."""
    for node in used:
        for key, name, reading in (
            ("vae", "vae_name", values.vae_name),
            ("clip_skip", "stop_at_clip_layer", _skip),
            ("clip_skip", "clip_skip", _skip),
            ("guidance", "guidance", values.number),
        ):
            if key not in said and name in node.inputs and (one := _as(reading, follow.literal(graph, node, name))):
                said[key] = one


def _without_sampler(graph: Graph, used: list[Node], said: dict[str, Found]) -> None:
    """Nodes that ask a service, or only shape pixels: the last of them that says something is believed."""
    for node in reversed(used):
        for key, names, reading in (
            ("prompt", ("prompt", "text"), values.name),
            ("negative_prompt", ("negative_prompt",), values.name),
            ("seed", ("seed", "noise_seed"), values.whole),
            ("width", ("width",), values.whole),
            ("height", ("height",), values.whole),
            ("model", ("ckpt_name", "unet_name", "model_name"), values.model_name),
        ):
            for name in names:
                given = node.inputs.get(name)
                if key not in said and given is not None and not (key == "prompt" and isinstance(given, Link)):
                    one = _as(reading, follow.literal(graph, node, name))
                    said |= {key: one} if one else {}


def _as(reading: Any, one: Found | None) -> Found | None:
    """A found value read as what it should be; None where it is not."""
    value = reading(one.value) if one else None
    return Found(value, one.place) if one and value is not None else None


def _skip(value: Any) -> int | None:
    count = values.whole(value)
    return abs(count) if count and abs(count) < 100 else None
