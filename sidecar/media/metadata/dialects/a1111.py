"""A1111's infotext, as Forge, reForge, Forge Classic and Neo, SD.Next and many save nodes of ComfyUI write it."""

from __future__ import annotations

import re

from sidecar.media.metadata import infotext, lora_tags, values
from sidecar.media.metadata.dialects.texts import Texts
from sidecar.media.metadata.infotext import Infotext
from sidecar.media.metadata.model import Draft, Pass, Text
from sidecar.values import dataclass

# Until A1111 1.9 the scheduler was part of the sampler's name; in ComfyUI's save nodes it still is.
_LATER = r"karras|(?:poly)?exponential|sgm[ _]uniform|simple|normal|ddim_uniform|beta|linear_quadratic|kl_optimal"
_WITH_SCHEDULER = re.compile(rf"(.+?)[ _]({_LATER})", re.IGNORECASE)
_COMFY_SAMPLER = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")  # A1111's own names have capitals or blanks
_VERSIONS = (
    (re.compile(r"f1\.\d.*|.*reforge.*", re.IGNORECASE), "reForge"),
    (re.compile(r"f\d.*"), "Forge"),
    (re.compile(r"classic.*", re.IGNORECASE), "Forge Classic"),
    (re.compile(r"neo.*", re.IGNORECASE), "Forge Neo"),
    (re.compile(r"comfyui.*", re.IGNORECASE), "ComfyUI"),
    (re.compile(r"v?1\.\d.*"), "A1111"),
)


def read(texts: Texts, draft: Draft) -> None:
    """The first text that has parameters; a `parameters` chunk without them is a prompt."""
    plain: tuple[Text, Infotext] | None = None
    for text in (*texts.all("parameters"), *texts.comments()):
        if text.value.lstrip()[:1] == "{":
            continue  # JSON of another tool
        info = infotext.parse(text.value)
        if info.pairs:
            _put(draft, text, info)
            return
        if text.key.lower() == "parameters":
            plain = plain or (text, info)
    if plain:
        _put(draft, *plain)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of one text by key; the first of the same key counts."""

    by_key: dict[str, str]
    text: Text

    def first(self, *keys: str) -> tuple[str, str]:
        """The first key that is there, and its value; ("", "") without any."""
        return next(((key, self.by_key[key]) for key in keys if key in self.by_key), ("", ""))


def _put(draft: Draft, text: Text, info: Infotext) -> None:
    by_key: dict[str, str] = {}
    for key, value in info.pairs:
        by_key.setdefault(key, value)
    pairs = _Pairs(by_key, text)
    draft.put(text.place, raw_text=text.value, prompt=info.prompt, negative_prompt=info.negative_prompt)
    used = _fields(draft, pairs) | _software(draft, pairs)
    _passes(draft, pairs)
    for key, value in info.pairs:
        if key not in used or by_key[key] != value:
            draft.keep(key, value)


def _fields(draft: Draft, pairs: _Pairs) -> set[str]:
    """Fill the plain fields; answers the keys that are told in full by them."""
    used: set[str] = set()
    for field, reading, keys in (
        ("steps", values.whole, ("Steps",)),
        ("seed", values.whole, ("Seed",)),
        ("cfg", values.number, ("CFG scale",)),
        ("model", values.model_name, ("Model",)),
        ("model_hash", values.name, ("Model hash",)),
        ("vae", values.vae_name, ("VAE",)),
        ("clip_skip", values.whole, ("Clip skip",)),
        ("denoise", values.number, ("Denoising strength",)),
    ):
        key, raw = pairs.first(*keys)
        value = reading(raw)
        if value is not None:
            draft.put(f"{pairs.text.place}: {key}", **{field: value})
            used.add(key)
    key, raw = pairs.first("Size")
    width, height = values.size(raw)
    if width is not None:
        draft.put(f"{pairs.text.place}: {key}", width=width, height=height)
        used.add(key)
    return used | _sampler(draft, pairs) | _loras(draft, pairs)


def _sampler(draft: Draft, pairs: _Pairs) -> set[str]:
    key, sampler = pairs.first("Sampler")
    other, scheduler = pairs.first("Schedule type", "Scheduler", "Sampler sigma")
    joint = None if scheduler else _WITH_SCHEDULER.fullmatch(sampler)
    if joint:
        sampler, scheduler, other = joint[1], joint[2], key
    draft.put(f"{pairs.text.place}: {key}", sampler=sampler)
    draft.put(f"{pairs.text.place}: {other}", scheduler=scheduler)
    return {key, other}


def _loras(draft: Draft, pairs: _Pairs) -> set[str]:
    key, hashes = pairs.first("Lora hashes")
    prompt = infotext.parse(pairs.text.value).prompt
    loras = lora_tags.read(prompt, hashes)
    draft.put(f"{pairs.text.place}: <lora:…>" + (f", {key}" if key else ""), loras=loras)
    return {key}


def _software(draft: Draft, pairs: _Pairs) -> set[str]:
    key, app = pairs.first("App")
    other, version = pairs.first("Version")
    place = f"{pairs.text.place}: {key or other or 'Sampler'}"
    if not app:
        app = next((name for pattern, name in _VERSIONS if pattern.fullmatch(version)), "")
    if not app and not version and _COMFY_SAMPLER.fullmatch(pairs.by_key.get("Sampler", "")):
        app = "ComfyUI"
    draft.put(place, software=app)
    draft.put(f"{pairs.text.place}: {other}", version=version)
    return {key, other}


def _passes(draft: Draft, pairs: _Pairs) -> None:
    """The one pass, and the one after it when hires fix was on."""
    first = Pass(
        **draft.values("steps", "sampler", "scheduler", "cfg", "seed", "width", "height", "model"),
        denoise=None if _hires(pairs) else draft.values("denoise").get("denoise"),
    )
    if first == Pass():
        return
    passes = [first]
    if _hires(pairs):
        passes.append(_second(pairs, first))
    draft.put(pairs.text.place, passes=tuple(passes))


def _hires(pairs: _Pairs) -> bool:
    return any(key in pairs.by_key for key in ("Hires upscale", "Hires resize", "Hires steps", "Hires upscaler"))


def _second(pairs: _Pairs, first: Pass) -> Pass:
    """What hires fix says of itself; what it leaves out is as in the first pass, its steps too."""
    said = pairs.by_key
    width, height = values.size(said.get("Hires resize"))
    scale = values.number(said.get("Hires upscale"))
    if width is None and scale and first.width and first.height and abs(scale) < 100:
        width, height = int(first.width * scale), int(first.height * scale)
    return Pass(
        steps=values.whole(said.get("Hires steps")) or first.steps,
        sampler=values.name(said.get("Hires sampler")) or first.sampler,
        scheduler=values.name(said.get("Hires schedule type")) or first.scheduler,
        cfg=values.number(said.get("Hires CFG Scale") or said.get("Hires CFG scale")) or first.cfg,
        seed=first.seed,
        denoise=values.number(said.get("Denoising strength")),
        width=width,
        height=height,
        model=values.model_name(said.get("Hires checkpoint")) or first.model,
    )
