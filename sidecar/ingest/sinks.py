"""Which sinks there are, and those of the settings. What a sink needs is imported when one of its type is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from sidecar.config import IngestSettings, SinkSettings, near, quoted
from sidecar.errors import ConfigError
from sidecar.ingest.base import GROUP, Factory, MediaIngest

_OWN = {kind: f"sidecar.ingest.{kind}" for kind in ("jsonlines", "postgresql", "webhook")}
_FACTORY = "sink"  # what the factory is called in the modules of our own sinks


def make_sinks(settings: IngestSettings) -> dict[str, MediaIngest]:
    """The sinks of the settings by name, not opened. Raises ConfigError with every one that cannot be made."""
    made: dict[str, MediaIngest] = {}
    problems: list[str] = []
    for name, one in settings.sinks.items():
        try:
            made[name] = _made(name, one)
        except ConfigError as error:
            problems += error.problems or (error.line(),)
    if problems:
        summary = problems[0] if len(problems) == 1 else f"{len(problems)} sinks cannot be used"
        raise ConfigError(summary, problems=tuple(problems))
    return made


def kinds() -> dict[str, Callable[[], Factory]]:
    """How each type's factory is loaded, by type; a plugin does not take the place of our own."""
    offered = {point.name: _loading(point) for point in entry_points(group=GROUP)}
    return offered | {kind: _importing(module) for kind, module in _OWN.items()}


def _made(name: str, settings: SinkSettings) -> MediaIngest:
    key, kind, known = f"ingest.sinks.{name}", settings.type or name, kinds()
    if kind not in known:
        hint = near(kind, known) or f"add type:, one of {', '.join(sorted(known))}, or install its plugin"
        raise ConfigError(f"{key}: {quoted(kind)} is no type of sink", hint=hint)
    try:
        return known[kind]()(settings.options)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}", hint=error.hint) from error
    except ImportError as error:
        raise ConfigError(f"{key}: what {quoted(kind)} needs is not installed: {error}",
                          hint=f"install it, or take {name} out of ingest.sinks") from error  # fmt: skip
    except Exception as error:
        raise ConfigError(f"{key}: its plugin failed: {type(error).__name__}: {error}",
                          hint=f"tell its author, or take {name} out of ingest.sinks") from error  # fmt: skip


def _loading(point: EntryPoint) -> Callable[[], Factory]:
    return point.load


def _importing(module: str) -> Callable[[], Factory]:
    def load() -> Factory:
        factory: Factory = getattr(importlib.import_module(module), _FACTORY)
        return factory

    return load
