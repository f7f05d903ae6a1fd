"""Settings from their layers: command line > environment > YAML > defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sidecar.config.describe import Key, Loaded, fields, pattern_of
from sidecar.config.layers import (
    COMMAND_LINE,
    Layer,
    Raw,
    env_layer,
    mapping_layer,
    problem,
    source_args,
    yaml_layer,
)
from sidecar.config.model import TARGETS, Settings
from sidecar.config.units import Wrong
from sidecar.errors import ConfigError

SYSTEM_FILE = Path("/etc/media-sync/config.yaml")
LOCAL_FILE = "media-sync.yaml"


def load(
    cli: Mapping[str, Any] | None = None,
    *,
    env: Mapping[str, str],
    cwd: Path,
    config: Path | None = None,
    sources: Sequence[str] = (),
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Merge all layers into settings. Reads the YAML file and the files that `..._FILE` variables name, nothing else.

    `cli` is nested like the YAML (`{"purge": {"older_than": "48h"}}`, None: flag not given), `sources` the texts of
    `--source`; given any, only these are sources and label discovery is off. Relative folders are taken from `cwd`,
    on the command line and in the environment as in YAML. Raises ConfigError with every problem found.
    """
    problems: list[str] = []
    file = _config_file(config, cwd, system_file)
    named = source_args(sources, problems)
    below = [yaml_layer(file, problems) if file else {}, env_layer(env, cwd, problems)]
    top = mapping_layer({**(cli or {}), **({"sources": named} if named else {})}, problems)
    if sources:
        below = [{path: raw for path, raw in layer.items() if path[0] != "sources" or path[1] in named}
                 for layer in below]  # fmt: skip
        top["docker", "labels"] = Raw(False, f"{COMMAND_LINE}, --source")
    merged = _merge([*below, top])
    for key in ("library", "state"):
        if (key,) in merged and isinstance(merged[key,].value, str | Path):
            raw = merged[key,]
            merged[key,] = Raw(_folder(str(raw.value), cwd, env), raw.origin)
    settings = _validated(merged, problems)
    if problems or settings is None:
        summary = problems[0] if len(problems) == 1 else f"the configuration has {len(problems)} mistakes"
        raise ConfigError(summary, problems=tuple(problems))
    origins = {".".join(path): raw.origin for path, raw in merged.items()}
    return Loaded(settings, origins, str(file) if file else None)


def _config_file(config: Path | None, cwd: Path, system_file: Path) -> Path | None:
    """The file to read. One that was named is answered even if it is not there: reading it then says so."""
    if config is not None:
        return cwd / config
    return next((path for path in (system_file, cwd / LOCAL_FILE) if path.exists()), None)


def _folder(text: str, cwd: Path, env: Mapping[str, str]) -> str:
    if text.startswith("~/") and env.get("HOME"):
        return str(Path(env["HOME"]) / text[2:])
    return str(cwd / text) if text.strip() else text


def _merge(layers: Sequence[Layer]) -> Layer:
    """Later layers win, key by key; of a source's container, service and label only the highest layer's remain."""
    merged: Layer = {}
    for layer in layers:
        retargeted = {path[1] for path in layer if path[0] == "sources" and path[2] in TARGETS}
        merged = {path: raw for path, raw in merged.items()
                  if not (path[0] == "sources" and path[1] in retargeted and path[2] in TARGETS)}  # fmt: skip
        merged |= layer
    return merged


def _nested(merged: Layer) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, raw in merged.items():
        at = tree
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = raw.value
    return tree


def _validated(merged: Layer, problems: list[str]) -> Settings | None:
    try:
        return Settings(**_nested(merged))
    except ValidationError as error:
        for found in error.errors():
            path = _leaf(tuple(str(part) for part in found["loc"]))
            raw = merged.get(path)
            cause = found.get("ctx", {}).get("error")
            wrong, hint = (str(cause), cause.hint) if isinstance(cause, Wrong) else _fallback(path)
            problems.append(problem(".".join(path), wrong, hint, raw.origin if raw else ""))
    return None


def _leaf(loc: Key) -> Key:
    """The setting that an error's place belongs to: places inside a value are cut off."""
    for length in range(len(loc), 0, -1):
        if pattern_of(loc[:length]) in fields():
            return loc[:length]
    return loc


def _fallback(path: Key) -> tuple[str, str]:
    info = fields().get(pattern_of(path))
    return "cannot be used", (info.description or "") if info is not None else "see .env.example"
