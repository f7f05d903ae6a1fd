"""The options of our own sinks: texts that the operator wrote, each known, none missing. All raise ConfigError."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sidecar.config import Wrong, near
from sidecar.errors import ConfigError

T = TypeVar("T")


def only(options: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Refuse options that the sink does not have."""
    for name in options:
        if name not in known:
            hint = near(name, known) or f"there are {', '.join(known)}"
            raise ConfigError(f"{name} is no option of this sink", hint=hint)


def required(options: Mapping[str, str], name: str, parse: Callable[[str], T], hint: str) -> T:
    """The value of an option that must be there; `hint` says how it looks."""
    if not options.get(name, "").strip():
        raise ConfigError(f"{name} is missing", hint=hint)
    return _parsed(name, options[name], parse)


def optional(options: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    """The value of an option, or what it is when it is not given."""
    return _parsed(name, options[name], parse) if options.get(name, "").strip() else default


def _parsed(name: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except Wrong as error:
        raise ConfigError(f"{name}: {error}", hint=error.hint) from error
