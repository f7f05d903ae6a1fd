"""SwarmUI: `parameters` is JSON, in PNG text or EXIF UserComment."""

from __future__ import annotations

from typing import Any

from sidecar.media.metadata import values
from sidecar.media.metadata.dialects.texts import Texts, mapping, sequence
from sidecar.media.metadata.model import Draft, Lora, Pass

_FIELDS = (
    ("prompt", "prompt", values.words),
    ("negative_prompt", "negativeprompt", values.words),
    ("seed", "seed", values.whole),
    ("steps", "steps", values.whole),
    ("sampler", "sampler", values.name),
    ("scheduler", "scheduler", values.name),
    ("cfg", "cfgscale", values.number),
    ("width", "width", values.whole),
    ("height", "height", values.whole),
    ("model", "model", values.model_name),
    ("vae", "vae", values.vae_name),
    ("version", "swarm_version", values.name),
)
_PASS = ("steps", "sampler", "scheduler", "cfg", "seed", "width", "height", "model")


def read(texts: Texts, draft: Draft) -> None:
    """The object `sui_image_params`, and beside it the models with their hashes."""
    for text in (*texts.all("parameters"), *texts.comments()):
        if '"sui_image_params"' not in text.value:
            continue
        whole = mapping(texts.json(text, draft))
        given = mapping(whole.get("sui_image_params"))
        if not given:
            continue
        draft.put(text.place, software="SwarmUI", raw_text=text.value)
        for field, key, reading in _FIELDS:
            draft.put(f"{text.place}: {key}", **{field: reading(given.get(key))})
        skip = values.whole(given.get("clipstopatlayer"))
        draft.put(f"{text.place}: clipstopatlayer", clip_skip=abs(skip) if skip else None)
        models = [mapping(one) for one in sequence(whole.get("sui_models"))]
        main = next((one for one in models if one.get("param") == "model"), {})
        draft.put(f"{text.place}: sui_models", model_hash=_digest(main.get("hash")))
        draft.put(f"{text.place}: loras", loras=_loras(given, models))
        draft.put(text.place, passes=_passes(draft, given))
        known = {key for _, key, _ in _FIELDS} | {"loras", "loraweights"}
        for key, value in (given | mapping(whole.get("sui_extra_data"))).items():
            if key not in known:
                draft.keep(key, values.shown(value))
        return


def _digest(value: Any) -> str | None:
    text = values.name(value)
    return text.removeprefix("0x") if text else None


def _loras(given: dict[str, Any], models: list[dict[str, Any]]) -> tuple[Lora, ...]:
    hashes = {values.model_name(one.get("name")): _digest(one.get("hash")) for one in models}
    weights = sequence(given.get("loraweights"))
    loras = []
    for number, raw in enumerate(sequence(given.get("loras"))):
        if name := values.model_name(raw):
            weight = values.number(weights[number]) if number < len(weights) else 1.0
            loras.append(Lora(name, weight, hashes.get(name)))
    return tuple(loras)


def _passes(draft: Draft, given: dict[str, Any]) -> tuple[Pass, ...]:
    """The first pass, and the refiner's where its share is given."""
    first = Pass(**draft.values(*_PASS))
    share = values.number(given.get("refinercontrolpercentage", given.get("refinercontrol")))
    if share is None:
        return (first,)
    scale = values.number(given.get("refinerupscale")) or 1.0
    scale = scale if 0 < scale < 100 else 1.0
    refiner = Pass(
        steps=values.whole(given.get("refinersteps")) or first.steps,
        sampler=values.name(given.get("refinersampler")) or first.sampler,
        scheduler=values.name(given.get("refinerscheduler")) or first.scheduler,
        cfg=values.number(given.get("refinercfgscale")) or first.cfg,
        seed=first.seed,
        denoise=share,
        width=round(first.width * scale) if first.width else None,
        height=round(first.height * scale) if first.height else None,
        model=values.model_name(given.get("refinermodel")) or first.model,
    )
    return first, refiner
