"""The layers that settings come from: a YAML file, the environment, the command line. Each becomes flat values.

A layer never raises: what is wrong with it goes to `problems`, one line each, so that all of it is seen at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sidecar.config.describe import ANY_NAME, ANY_OPTION, NAMED, PREFIX, Key, fields, pattern_of
from sidecar.config.model import source_name
from sidecar.config.section import name_of
from sidecar.config.units import Wrong, near, quoted
from sidecar.errors import ConfigError
from sidecar.values import dataclass

MOST_BYTES = 2**20  # of a configuration or secret file; a larger one was named by mistake
COMMAND_LINE = "command line"

# What may stand beside the settings in an environment: the tests find sample media by it.
NOT_SETTINGS = frozenset({"MEDIA_SYNC_SAMPLES"})


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as its layer holds it, and where."""

    value: Any
    origin: str


Layer = dict[Key, Raw]


class Unreadable(Exception):
    """A file that cannot be used, in words that follow its name."""


def problem(key: str, wrong: str, hint: str, origin: str = "") -> str:
    """The one printable line for one mistake: key path, what is wrong, where, what to do."""
    where = f" ({origin})" if origin else ""
    line = f"{key}: {wrong}{where}" + (f" — {hint}" if hint else "")
    return "".join(c if c.isprintable() else "\ufffd" for c in line)  # keys and paths may hold line ends


def read_text(path: Path) -> str:
    """A small UTF-8 file. Raises Unreadable."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise Unreadable("is larger than 1 MiB")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        strerror = error.strerror if isinstance(error, OSError) else None
        raise Unreadable(f"cannot be read: {(strerror or 'not UTF-8 text').lower()}") from error


def yaml_layer(path: Path, problems: list[str]) -> Layer:
    """The values of a YAML file."""
    from sidecar.config.yaml_file import read_tree  # many a process has no file to read

    try:
        tree = read_tree(path, problems)
    except Unreadable as error:
        problems.append(problem(str(path), str(error), "correct the file, or name another with --config"))
        return {}
    return _flat(tree, str(path), problems)


def mapping_layer(values: Mapping[str, Any], problems: list[str]) -> Layer:
    """The values of a nested mapping made from the command line; None means that a flag was not given."""
    return _flat(_without_lines(values), COMMAND_LINE, problems)


def env_layer(env: Mapping[str, str], cwd: Path, problems: list[str]) -> Layer:
    """The values of MEDIA_SYNC_* and MEDIA_SYNC_*_FILE. An empty variable counts as absent, as compose leaves them."""
    layer: Layer = {}
    for name in sorted(env):
        if not name.upper().startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        path, from_file = _env_key(name)
        if path is None:
            known = near(name, _env_names()) or "see .env.example for the names"
            problems.append(problem(name, "is no setting", known))
        elif env[name] == "":
            continue
        elif path in layer:
            other = layer[path].origin
            problems.append(problem(".".join(path), f"is given by both {other} and {name}", "keep one of them"))
        elif from_file:
            try:
                layer[path] = Raw(_without_line_end(read_text(cwd / env[name])), name)
            except Unreadable as error:
                wrong = f"{quoted(env[name])} {error}"
                problems.append(problem(".".join(path), wrong, "correct the path or its permissions", name))
        else:
            layer[path] = Raw(env[name], name)
    return layer


def _env_names() -> Iterator[str]:
    for key in fields():
        yield PREFIX + "__".join(key).upper().replace("<", "").replace(">", "")


def _env_key(name: str) -> tuple[Key | None, bool]:
    """The key path that a variable names, and whether it names a file with the value."""
    rest = name.removeprefix(PREFIX)
    for text, from_file in ((rest, False), (rest.removesuffix("_FILE"), True)):
        parts = tuple(part.lower() for part in text.split("__"))
        at = next((at for at in NAMED if parts[: len(at)] == at and len(parts) > len(at) + 1), ())
        if at:  # a name may hold what separates the parts
            own = 2 if len(parts) > len(at) + 2 and (*at, ANY_NAME, *parts[-2:]) in fields() else 1
            parts = (*at, "__".join(parts[len(at) : -own]), *parts[-own:])
        if pattern_of(parts)[-1:] == (ANY_OPTION,) and not from_file and parts[-1].endswith("_file"):
            continue  # any option might be called so: it is the file that holds one
        if text == text.upper() and pattern_of(parts) in fields() and (not from_file or text != rest):
            try:
                return tuple(name_of(part, NAMED[at]) if at and i == len(at) else part
                             for i, part in enumerate(parts)), from_file  # fmt: skip
            except Wrong:
                return None, False
    return None, False


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _flat(tree: Mapping[str, Any], origin: str, problems: list[str], at: Key = ()) -> Layer:
    """Leaves by key path; unknown keys and sections that are none become problems."""
    layer: Layer = {}
    for key, (value, line) in tree.items():
        where = f"{origin}, line {line}" if line else origin
        path = (*at, str(key))
        if at in NAMED:
            try:
                path = (*at, name_of(key, NAMED[at]))
            except Wrong as error:
                problems.append(problem(".".join(at), str(error), error.hint, where))
                continue
            if any(other[: len(path)] == path for other in layer):
                problems.append(problem(".".join(path), "is the same name in another spelling", "rename one", where))
            if not value:
                problems.append(problem(".".join(path), *_EMPTY[at], where))
        if value is None:
            if pattern_of(path) not in fields() and not _is_section(path):
                problems.append(_unknown(path, at, where))
        elif pattern_of(path) in fields():
            layer[path] = Raw(_plain(value), where)
        elif not _is_section(path):
            problems.append(_unknown(path, at, where))
        elif isinstance(value, dict):
            layer |= _flat(value, origin, problems, path)
        else:
            wrong = f"{quoted(_plain(value))} is a value where a section belongs"
            problems.append(problem(".".join(path), wrong, f"put its keys below {path[-1]}:", where))
    return layer


def _without_lines(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping in the form that YAML is read into, where no line is known."""
    return {key: (_without_lines(value) if isinstance(value, Mapping) else value, 0) for key, value in values.items()}


def _plain(value: Any) -> Any:
    """A leaf without the line numbers that a mapping in its place would carry."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(inner) for key, (inner, _) in value.items()} if isinstance(value, dict) else value


def _is_section(path: Key) -> bool:
    pattern = pattern_of(path)
    return any(key[: len(pattern)] == pattern for key in fields())


_EMPTY = {
    ("sources",): ("names no container", "add container:, service: or label:"),
    ("ingest", "sinks"): ("has no options", "add what it needs, like path:, url: or dsn:"),
}


def _unknown(path: Key, at: Key, where: str) -> str:
    pattern, depth = pattern_of((*at, "?"))[:-1], len(at)
    siblings = {key[depth] for key in fields() if key[:depth] == pattern and key[depth] not in (ANY_NAME, ANY_OPTION)}
    elsewhere = [".".join(key) for key in fields() if key[-1] == path[-1]]
    hint = near(path[-1], siblings) or (f"did you mean {elsewhere[0]}?" if elsewhere else "")
    return problem(".".join(path), "is no setting", hint or f"known here: {', '.join(sorted(siblings))}", where)


_SOURCE_ARG = re.compile(r"(?P<name>[^=]+)=(?P<container>[^:=]+)(?::(?P<path>.*))?", re.DOTALL)


def parse_source_arg(text: str) -> tuple[str, dict[str, Any]]:
    """`NAME=CONTAINER[:PATH]` as a source's name and keys. The path may hold `:` and `;`. Raises ConfigError."""
    form = "write it like --source NAME=CONTAINER or NAME=CONTAINER:/folder"
    found = _SOURCE_ARG.fullmatch(text)
    if found is None or found["path"] == "":
        raise ConfigError(f"--source {quoted(text)} is incomplete", hint=form)
    try:
        name = source_name(found["name"])
    except Wrong as error:
        raise ConfigError(f"--source {quoted(text)}: {error}", hint=error.hint) from None
    keys: dict[str, Any] = {"container": found["container"], "enabled": True}
    if found["path"] is not None:
        keys["path"] = [found["path"]]
    return name, keys


def source_args(texts: Sequence[str], problems: list[str]) -> dict[str, dict[str, Any]]:
    """All --source flags as the `sources` section of the command line."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        try:
            name, keys = parse_source_arg(text)
        except ConfigError as error:
            problems.append(error.line())
            continue
        if name in found:
            problems.append(problem(f"sources.{name}", "is given by two --source flags", "rename one of them"))
        found[name] = keys
    return found
