"""Every setting by name: for the loader, `.env.example`, the README's table and `config show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sidecar.config import units
from sidecar.config.addresses import hidden_option, secret_parts
from sidecar.config.ingest import COMMON, HARMLESS, SinkSettings, any_option
from sidecar.config.model import Settings, Shown, SourceSettings, redacted
from sidecar.values import dataclass

PREFIX = "MEDIA_SYNC_"
DEFAULT = "default"
ANY_NAME = "<name>"  # stands for the name of a source or sink in keys
ANY_OPTION = "<option>"  # stands for whatever a sink calls its options
NAMED: Mapping[tuple[str, ...], str] = MappingProxyType({("sources",): "source", ("ingest", "sinks"): "sink"})

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `default` is text as a user would write it, "" where unset; `env` lacks the `_FILE` of its twin."""

    key: str
    env: str
    default: str
    description: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each value came from: key path -> `command line`, a variable, a file with its line.

    Keys that are not in `origins` have their default. `file` is the YAML that was read, if any.
    """

    settings: Settings
    origins: Mapping[str, str]
    file: str | None = None

    def origin(self, key: str) -> str:
        """Where the value of `key` came from."""
        return self.origins.get(key, DEFAULT)


@dataclass(frozen=True, slots=True)
class ShownValue:
    """One line of `config show`; secrets are redacted."""

    key: str
    value: str
    origin: str


def fields() -> Mapping[Key, FieldInfo]:
    """Every leaf of the model by key path, what operators name under ANY_NAME."""
    return _FIELDS


def pattern_of(path: Key) -> Key:
    """A key path with what stands for all sources, sinks and options in place of their names."""
    at = _named(path)
    if at is None or len(path) == len(at):
        return path
    rest = path[len(at) + 1 :]
    if at != ("sources",) and len(rest) == 1 and rest[0] not in COMMON:
        rest = (ANY_OPTION,)
    return (*at, ANY_NAME, *rest)


def _named(path: Key) -> Key | None:
    """The section of things with names that a key lies in, if any."""
    return next((at for at in NAMED if path[: len(at)] == at), None)


def every_setting() -> Iterator[Setting]:
    """All settings, in the order of the model."""
    for key, info in _FIELDS.items():
        name = "__".join(part.upper() for part in key)
        yield Setting(
            key=".".join(key),
            env=PREFIX + name.replace("<", "").replace(">", ""),
            default=_text(info, info.get_default(call_default_factory=False)),
            description=info.description or "",
            secret=is_secret(info),
        )


def shown_values(loaded: Loaded) -> list[ShownValue]:
    """Every value in force, with its origin; sources and sinks only with what they set."""
    lines = [_shown(loaded, key, info) for key, info in _FIELDS.items() if _named(key) is None]
    for name, sink in loaded.settings.ingest.sinks.items():
        at = ("ingest", "sinks", name)
        set_here = [(*at, part) for part in COMMON if ".".join((*at, part)) in loaded.origins]
        lines += [_shown(loaded, path, _FIELDS[pattern_of(path)]) for path in set_here]
        for part, text in sink.options.items():
            option = ".".join((*at, part))
            lines.append(ShownValue(option, text if part in HARMLESS else hidden_option(text), loaded.origin(option)))
    for name, source in loaded.settings.sources.items():
        for key, info in _FIELDS.items():
            path = ("sources", name, *key[2:])
            if key[0] == "sources" and (".".join(path) in loaded.origins or _value(source, key[2:]) != info.default):
                lines.append(_shown(loaded, path, info))
    return lines


def is_secret(info: FieldInfo) -> bool:
    """Whether a field's value must not be shown in full."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _shown(loaded: Loaded, path: Key, info: FieldInfo) -> ShownValue:
    text = _text(info, _value(loaded.settings, path))
    key = ".".join(path)
    shown_in_part = any(isinstance(note, Shown) for note in info.metadata)
    hidden = is_secret(info) and not shown_in_part
    return ShownValue(key, redacted(text) if hidden else text, loaded.origin(key))


def secrets_of(settings: Settings) -> Iterator[str]:
    """Every text in these settings that must not be seen in logs."""
    for key, info in _FIELDS.items():
        if is_secret(info) and _named(key) is None and (value := _value(settings, key)) is not None:
            yield from secret_parts(str(value))
    for sink in settings.ingest.sinks.values():
        for name, option in sink.options.items():
            if name not in HARMLESS:
                yield from secret_parts(option)


def _value(value: Any, path: Key) -> Any:
    for part in path:
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def _text(info: FieldInfo, value: Any) -> str:
    for note in info.metadata:
        if isinstance(note, Shown):
            return note.text(value)
    return units.show(value)


def _walk(model: type[BaseModel], at: Key = ()) -> Iterator[tuple[Key, FieldInfo]]:
    for name, info in model.model_fields.items():
        if name == "sources":
            yield from _walk(SourceSettings, (*at, name, ANY_NAME))
        elif name == "sinks":
            yield from _walk(SinkSettings, (*at, name, ANY_NAME))
            yield (*at, name, ANY_NAME, ANY_OPTION), any_option()
        elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _walk(info.annotation, (*at, name))
        else:
            yield (*at, name), info


_FIELDS: Mapping[Key, FieldInfo] = MappingProxyType(dict(_walk(Settings)))
