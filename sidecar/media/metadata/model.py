"""What a file says of its making, in one shape for all tools. Frozen values, no reading here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from types import MappingProxyType
from typing import Any

from sidecar.values import dataclass


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Text:
    """One text as a file holds it. `key` is the container's own name for it, `origin` says where: "PNG iTXt"."""

    key: str
    value: str = field(repr=False)
    origin: str

    @property
    def place(self) -> str:
        """Origin and key as a person reads them."""
        return f"{self.origin} {self.key}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a container holds. `format` is by content, "" when unknown; `size` in pixels, where the header says it.

    `problems` says in one line each what could not be read; the rest was.
    """

    format: str = ""
    size: tuple[int, int] | None = None
    texts: tuple[Text, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA and its weight (on the model; that on the text encoder is left to the raw text)."""

    name: str
    weight: float | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of a sampler. None: not said, which for a later pass means as before."""

    steps: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    cfg: float | None = None
    seed: int | None = None
    denoise: float | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The recipe of one file, and how it was come by.

    The plain fields tell of the first pass, which made the picture from noise, but for `denoise`, which is that of
    the last. `passes` has all of them in order; one of several is a hires fix, a refiner, a detailer. `other` keeps
    every pair that has no field, `texts` everything as it was written: raw infotext, graph and workflow. `origins`
    names for each field the place it was read from. `size` is in pixels, by the container's header.
    """

    software: str | None = None
    version: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    steps: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    cfg: float | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    model_hash: str | None = None
    loras: tuple[Lora, ...] = ()
    vae: str | None = None
    clip_skip: int | None = None
    denoise: float | None = None
    passes: tuple[Pass, ...] = ()
    other: Mapping[str, str] = field(default_factory=_nothing)
    raw_text: str | None = field(default=None, repr=False)
    raw_graph: str | None = field(default=None, repr=False)
    raw_workflow: str | None = field(default=None, repr=False)
    origins: Mapping[str, str] = field(default_factory=_nothing)
    format: str = ""
    size: tuple[int, int] | None = None
    texts: tuple[Text, ...] = field(default=(), repr=False)
    problems: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything of a recipe was read."""
        return bool(self.origins)


_FIELDS = frozenset(one.name for one in fields(Metadata)) - {"origins", "other", "format", "size", "texts", "problems"}


class Draft:
    """A Metadata in the making: several dialects may speak of one file, and who comes first is believed."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        self._other: dict[str, str] = {}
        self.problems: list[str] = []

    def put(self, origin: str, **values: Any) -> None:
        """Fill the fields that are still open; None and "" and () say nothing."""
        for name, value in values.items():
            if name not in _FIELDS:
                raise KeyError(name)
            if value not in (None, "", ()) and name not in self._values:
                self._values[name] = value
                self._origins[name] = origin

    def replace(self, origin: str, **values: Any) -> None:
        """Fill fields whoever filled them before; what says nothing replaces nothing."""
        for name, value in values.items():
            if value not in (None, "", ()):
                self._values.pop(name, None)
        self.put(origin, **values)

    def keep(self, key: str, value: str) -> None:
        """A pair without a field of its own; of the same key twice the first counts, and the next gets a number."""
        free, number = key, 1
        while free in self._other and self._other[free] != value and number < 100:
            number += 1
            free = f"{key} ({number})"
        self._other[free] = value

    def values(self, *names: str) -> dict[str, Any]:
        """The fields among these that are filled."""
        return {name: self._values[name] for name in names if name in self._values}

    def has(self, name: str) -> bool:
        """Whether a field was filled."""
        return name in self._values

    def done(self, contents: Contents) -> Metadata:
        """The finished value."""
        return Metadata(
            **self._values,
            other=MappingProxyType(self._other),
            origins=MappingProxyType(self._origins),
            format=contents.format,
            size=contents.size,
            texts=contents.texts,
            problems=(*contents.problems, *self.problems),
        )
