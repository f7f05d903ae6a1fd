"""Which values a node's page shows in which order: a workflow keeps them without their names."""

from __future__ import annotations

from typing import Any

_SAMPLING = ("steps", "cfg", "sampler_name", "scheduler")
_NAMES: dict[str, tuple[str, ...]] = {
    "KSampler": ("seed", *_SAMPLING, "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", *_SAMPLING, "start_at_step", "end_at_step"),
    "SamplerCustom": ("add_noise", "noise_seed", "cfg"),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "DualCFGGuider": ("cfg", "cfg_cond2_negative"),
    "RandomNoise": ("noise_seed",),
    "FluxGuidance": ("guidance",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSDXL": (
        "width",
        "height",
        "crop_w",
        "crop_h",
        "target_width",
        "target_height",
        "text_g",
        "text_l",
    ),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UnetLoaderGGUF": ("unet_name",),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "EmptyImage": ("width", "height", "batch_size", "color"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "ImageAddNoise": ("seed", "strength"),
    "PrimitiveNode": ("value",),
}
_CONTROL = frozenset(("fixed", "increment", "decrement", "randomize"))  # stands behind a seed, and is no input


def named(kind: str, inputs: list[Any], values: Any) -> dict[str, Any]:
    """Widget values by name: by the table, by the input sockets that newer pages write, else widget_0, widget_1, …"""
    if isinstance(values, dict):
        return {str(key): value for key, value in values.items()}
    if not isinstance(values, list):
        return {}
    names = _NAMES.get(kind) or _sockets(inputs)
    given: dict[str, Any] = {}
    number = 0
    before = ""
    for value in values:
        if isinstance(value, str) and value in _CONTROL and (before.endswith("seed") or before == "value"):
            before = ""
            continue
        before = names[number] if number < len(names) else f"widget_{number}"
        given[before] = value
        number += 1
    return given


def _sockets(inputs: list[Any]) -> tuple[str, ...]:
    """The names of widgets that can also be linked."""
    widgets = (one.get("widget") for one in inputs if isinstance(one, dict))
    return tuple(str(widget.get("name")) for widget in widgets if isinstance(widget, dict))
