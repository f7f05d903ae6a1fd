"""ComfyUI's graphs for tests: the common one, and what is read of it."""

from __future__ import annotations

from typing import Any

from sidecar.media.metadata.comfy import api
from sidecar.media.metadata.comfy.walk import Recipe, walk

Nodes = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampler(**inputs: Any) -> dict[str, Any]:
    given = {"seed": 7, "steps": 20, "cfg": 5.5, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return node("KSampler", **{**given, **links, **inputs})


def graph(**changed: Any) -> Nodes:
    base = {
        "3": sampler(),
        "4": node("CheckpointLoaderSimple", ckpt_name="sdxl/dream.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", text="a fox", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="x"),
    }
    return base | changed


def read(nodes: Nodes) -> Recipe:
    made = api.read(nodes)
    assert made is not None
    return walk(made)


def said(nodes: Nodes) -> dict[str, Any]:
    return {name: found.value for name, found in read(nodes).said.items()}


PLAIN = {
    "seed": 7, "steps": 20, "cfg": 5.5, "sampler": "euler", "scheduler": "karras", "denoise": 1.0, "model": "dream",
    "width": 512, "height": 768, "prompt": "a fox", "negative_prompt": "blurry",
}  # fmt: skip
