"""What a container's `media-sync.*` labels ask for, and how that narrows what the operator allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sidecar.config import (
    KINDS,
    Wrong,
    choice,
    format_duration,
    globs,
    near,
    parse_duration,
    parse_list,
    parse_switch,
    root_path,
    source_name,
)
from sidecar.models import Rules
from sidecar.values import dataclass

PREFIX = "media-sync."
ENABLE = "media-sync.enable"
ENABLE_HINT = "add the label media-sync.enable=true to pull from it"


@dataclass(frozen=True, slots=True)
class Wish:
    """A container's labels, read. What is not labelled is None or empty.

    `problems` are (reason, hint) of labels whose value cannot be meant: such a container is no source until they are
    corrected, because a label that was meant to protect something may be among them. `warnings` are whole lines.
    """

    enable: bool | None = None
    name: str = ""
    kind: str = ""
    path: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()
    older_than: int | None = None
    purge: bool | None = None
    group: str = ""
    any: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


_PARSERS: Mapping[str, Callable[[object], Any]] = {
    "enable": parse_switch,
    "name": source_name,
    "kind": choice(*KINDS),
    "path": lambda value: tuple(dict.fromkeys(root_path(path) for path in parse_list(value))),
    "include": globs,
    "exclude": globs,
    "preserve": globs,
    "older-than": parse_duration,
    "purge": parse_switch,
    "group": source_name,
}


def read_labels(container: str, labels: Mapping[str, str]) -> Wish:
    """The wish of a container named `container`."""
    found: dict[str, Any] = {}
    problems, warnings = [], []
    for label in sorted(labels):
        if not label.lower().startswith(PREFIX):
            continue
        key, value = label[len(PREFIX) :], labels[label]
        if key not in _PARSERS:
            hint = near(key, _PARSERS).replace("did you mean ", f"did you mean {PREFIX}")
            known = hint or f"known labels: {', '.join(PREFIX + name for name in _PARSERS)}"
            warnings.append(f"container {container}: label {label} is not known — {known}")
            continue
        try:
            found[key.replace("-", "_")] = _PARSERS[key](value)
        except Wrong as error:
            hint = error.hint or "correct it"
            problems.append((f"label {label}: {error}", f"{hint}, or remove the label"))
    return Wish(**found, any=bool(found or problems or warnings), problems=tuple(problems), warnings=tuple(warnings))


def narrow(rules: Rules, wish: Wish, container: str) -> tuple[Rules, tuple[str, ...]]:
    """The operator's rules with a container's labels applied, which only ever take away; and lines on what did not.

    More is excluded and preserved, the age grows, purge goes off. Globs cannot be intersected, so a label's include
    counts only where the operator has none, or where it repeats some of the operator's.
    """
    warnings = []

    def unheard(label: str, value: str, why: str) -> None:
        warnings.append(f"container {container}: label {PREFIX}{label}={value} is not followed — {why}")

    include = rules.include
    if wish.include and (not rules.include or set(wish.include) <= set(rules.include)):
        include = wish.include
    elif wish.include:
        unheard("include", ";".join(wish.include), f"the operator pulls only {'; '.join(rules.include)}")
    older_than = rules.older_than_ns
    if wish.older_than is not None and wish.older_than >= older_than:
        older_than = wish.older_than
    elif wish.older_than is not None:
        shown = format_duration(wish.older_than)
        unheard("older-than", shown, f"it is shorter than the operator's {format_duration(older_than)}, which stays")
    if wish.purge and not rules.purge:
        unheard("purge", "true", "the operator switched purging off for this source")
    narrowed = replace(
        rules,
        include=include,
        exclude=_union(rules.exclude, wish.exclude),
        preserve=_union(rules.preserve, wish.preserve),
        older_than_ns=older_than,
        purge=rules.purge and wish.purge is not False,
    )
    return narrowed, tuple(warnings)


def _union(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(glob for group in groups for glob in group))
