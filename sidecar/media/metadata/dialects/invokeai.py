"""InvokeAI: `invokeai_metadata` since version 3, `sd-metadata` before."""

from __future__ import annotations

from typing import Any

from sidecar.media.metadata import values
from sidecar.media.metadata.dialects.texts import Texts, mapping, sequence
from sidecar.media.metadata.model import Draft, Lora, Pass

_PASS = ("steps", "sampler", "scheduler", "cfg", "seed", "width", "height", "model", "denoise")


def read(texts: Texts, draft: Draft) -> None:
    """Either notation; `invokeai_graph` and `invokeai_workflow` are kept among the texts."""
    text = texts.get("invokeai_metadata") or texts.get("sd-metadata")
    given = mapping(texts.json(text, draft))
    if text is None or not given:
        return
    draft.put(text.place, software="InvokeAI", raw_text=text.value)
    image = mapping(given.get("image"))
    known = _since_three(given) if not image else _before(given, image)
    used = {"loras", "lora"}
    for field, (key, value) in known.items():
        draft.put(f"{text.place}: {key}", **{field: value})
        used.add(key)
    draft.put(f"{text.place}: loras", loras=_loras(given))
    first = Pass(**draft.values(*_PASS))
    draft.put(text.place, passes=(first,) if first != Pass() else ())
    for key, value in (image or given).items():
        if key not in used:
            draft.keep(key, values.shown(value))


def _since_three(given: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    model = mapping(given.get("model"))
    vae = mapping(given.get("vae"))
    found = {
        "version": ("app_version", values.name(given.get("app_version"))),
        "prompt": ("positive_prompt", values.words(given.get("positive_prompt"))),
        "negative_prompt": ("negative_prompt", values.words(given.get("negative_prompt"))),
        "seed": ("seed", values.whole(given.get("seed"))),
        "steps": ("steps", values.whole(given.get("steps"))),
        "sampler": ("scheduler", values.name(given.get("scheduler"))),
        "cfg": ("cfg_scale", values.number(given.get("cfg_scale"))),
        "width": ("width", values.whole(given.get("width"))),
        "height": ("height", values.whole(given.get("height"))),
        "model": ("model", values.model_name(model.get("name", model.get("model_name")))),
        "model_hash": ("model", _digest(model.get("hash"))),
        "vae": ("vae", values.model_name(vae.get("name", vae.get("model_name")))),
        "clip_skip": ("clip_skip", values.whole(given.get("clip_skip"))),
        "denoise": ("strength", values.number(given.get("strength"))),
    }
    return {field: one for field, one in found.items() if one[1] is not None}


def _before(given: dict[str, Any], image: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    prompt, negative = _bracketed(image.get("prompt"))
    found = {
        "version": ("app_version", values.name(given.get("app_version"))),
        "prompt": ("prompt", prompt),
        "negative_prompt": ("prompt", negative),
        "seed": ("seed", values.whole(image.get("seed"))),
        "steps": ("steps", values.whole(image.get("steps"))),
        "sampler": ("sampler", values.name(image.get("sampler"))),
        "cfg": ("cfg_scale", values.number(image.get("cfg_scale"))),
        "width": ("width", values.whole(image.get("width"))),
        "height": ("height", values.whole(image.get("height"))),
        "model": ("model_weights", values.model_name(given.get("model_weights"))),
        "model_hash": ("model_hash", values.name(given.get("model_hash"))),
        "denoise": ("strength", values.number(image.get("strength"))),
    }
    return {field: one for field, one in found.items() if one[1] is not None}


def _bracketed(raw: Any) -> tuple[str | None, str | None]:
    """Old prompts are a list with weights, or a text; [in brackets] stands what is not wanted."""
    parts = [mapping(one).get("prompt") for one in sequence(raw)] if isinstance(raw, list) else [raw]
    text = ", ".join(part for part in parts if isinstance(part, str))
    wanted, unwanted, at = [], [], 0
    while (start := text.find("[", at)) >= 0 and (stop := text.find("]", start)) >= 0:
        wanted.append(text[at:start])
        unwanted.append(text[start + 1 : stop].strip())
        at = stop + 1
    wanted.append(text[at:])
    return values.words("".join(wanted).strip()) or None, values.words(", ".join(unwanted)) or None


def _loras(given: dict[str, Any]) -> tuple[Lora, ...]:
    loras = []
    for raw in map(mapping, sequence(given.get("loras"))):
        model = mapping(raw.get("model", raw.get("lora")))
        if name := values.model_name(model.get("name", model.get("model_name"))):
            loras.append(Lora(name, values.number(raw.get("weight")), _digest(model.get("hash"))))
    return tuple(loras)


def _digest(value: Any) -> str | None:
    """Hashes are written with their kind: `blake3:…`."""
    text = values.name(value)
    return text.rpartition(":")[2] if text else None
