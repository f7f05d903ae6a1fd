"""A YAML file as a tree whose values know their lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sidecar.config.describe import Key
from sidecar.config.layers import Unreadable, problem, read_text


def read_tree(path: Path, problems: list[str]) -> dict[str, Any]:
    """A file as nested {key: (value, line)}. Raises Unreadable; lesser mistakes go to `problems`."""
    return _Yaml(path, problems).tree()


class _Yaml:
    """One YAML file as nested {key: (value, line)}. Scalars stay text, so that YAML and environment read alike.

    (YAML 1.1 would turn `24:00` into 1440, and a container ID of digits alone into a number.)
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        self._open: set[int] = set()

    def tree(self) -> dict[str, Any]:
        text = read_text(self._path)
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
            raise Unreadable(f"{f'line {mark.line + 1} ' if mark else ''}is not YAML: {what}") from error
        except RecursionError as error:
            raise Unreadable("is nested too deeply") from error
        found = self._value(node, ()) if node is not None else None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise Unreadable("line 1 is not a mapping of settings")
        return found

    def _value(self, node: yaml.Node, at: Key) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == "tag:yaml.org,2002:null" else node.value
        if id(node) in self._open:
            raise Unreadable(f"line {node.start_mark.line + 1} refers to itself")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, at) for item in node.value]
            return self._mapping(node, at)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, at: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Unreadable(f"line {line} has a key that is not a text")
            key = key_node.value
            if key in found:
                wrong = f"is there twice, in lines {found[key][1]} and {line}"
                self._problems.append(problem(".".join((*at, key)), wrong, "keep one of them", str(self._path)))
            found[key] = (self._value(value_node, (*at, key)), line)
        return found
