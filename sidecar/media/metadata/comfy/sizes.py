"""The size that a sampler works at."""

from __future__ import annotations

from typing import NamedTuple

from sidecar.media.metadata import values
from sidecar.media.metadata.comfy.follow import PIPES, Found, along, literal, nearest
from sidecar.media.metadata.comfy.graph import Graph, Node

_WIDTHS = (("width", "height"), ("empty_latent_width", "empty_latent_height"))
_LATENTS = ("latent_image", "samples", "latent", "pixels", "image", "images", "optional_latent", "image_embeds", *PIPES)


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int
    place: str


def size(graph: Graph, node: Node) -> Size | None:
    """What a sampler starts from: an empty latent, or one that was scaled up, by the sampler itself too."""
    factor = _scale(graph, node) or 1.0
    for here in along(graph, node, _LATENTS):
        if here is node:
            continue
        for wide, high in _WIDTHS:
            if wide in here.inputs and high in here.inputs:
                return _size(literal(graph, here, wide), literal(graph, here, high), factor)
        scale = _scale(graph, here)
        if scale is None and "upscale_model" in here.inputs:
            return None  # its factor is the model's own
        factor *= scale or 1.0
    return None


def _scale(graph: Graph, node: Node) -> float | None:
    given = nearest(graph, node, ("scale_by", "upscale_by"), ())
    return values.number(given.value) if given else None


def _size(width: Found | None, height: Found | None, factor: float) -> Size | None:
    if width is None or height is None:
        return None
    wide, high = values.whole(width.value), values.whole(height.value)
    if not wide or not high or abs(factor) > 100:
        return None
    return Size(round(wide * factor), round(high * factor), width.place)
