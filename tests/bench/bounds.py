"""The promises about speed, and how each of them is read from what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Measured = dict[str, dict[str, Any]]  # workload's letter -> what report.as_json made of its outcome
OURS, SERVICE = "media-sync", "media-sync, service"


@dataclass(frozen=True, slots=True)
class Bound:
    """One promise about speed: what is looked at, at most how much, and how to read it from what was measured."""

    workload: str
    what: str
    most: float
    unit: str
    value: Callable[[Measured], float]


def _wall(letter: str, one: str = OURS) -> Callable[[Measured], float]:
    return lambda m: float(m[letter]["contestants"][one]["median"])


def _over(letter: str, other: str, one: str = OURS) -> Callable[[Measured], float]:
    return lambda m: _wall(letter, one)(m) / _wall(letter, other)(m)


def _peak(letter: str) -> Callable[[Measured], float]:
    return lambda m: float(m[letter]["contestants"][OURS]["peak"]) / 1e6


def _received(m: Measured) -> float:
    return float(m["D"]["contestants"][OURS]["received"]) / float(m["D"]["new_bytes"])


def _per_file(m: Measured) -> float:
    return (_wall("F")(m) / float(m["F"]["files"])) / (_wall("C")(m) / float(m["C"]["files"]))


def _inspect(key: str) -> Callable[[Measured], float]:
    return lambda m: float(m["freeze"]["waits"][OURS]["inspect"][key]) * 1000


BOUNDS = (
    Bound("A", "wall over docker cp (aim 0.8)", 1.0, "", _over("A", "docker cp")),
    Bound("A", "wall over raw drain", 1.5, "", _over("A", "raw drain")),
    Bound("B", "wall over docker cp", 0.7, "", _over("B", "docker cp")),
    Bound("C", "whole process over rsync -a", 3.0, "", _over("C", "rsync -a")),
    Bound("C", "pass of the running service over rsync -a", 1.0, "", _over("C", "rsync -a", SERVICE)),
    Bound("D", "received bytes over new bytes", 1.1, "", _received),
    Bound("D", "wall over docker cp of all", 0.1, "", _over("D", "docker cp")),
    Bound("E", "wall over docker cp", 1.1, "", _over("E", "docker cp")),
    Bound("E", "peak memory", 120, "MB", _peak("E")),
    Bound("F", "seconds per file over C's", 1.0, "", _per_file),
    Bound("F", "peak memory", 200, "MB", _peak("F")),
    Bound("G", "wall over in-container sha256sum + rm", 1.5, "", _over("G", "sha256sum + rm")),
    Bound("freeze", "p99 of inspect", 300, "ms", _inspect("p99")),
    Bound("freeze", "longest inspect", 1000, "ms", _inspect("max")),
)  # fmt: skip


def verdicts(measured: Measured) -> list[dict[str, Any]]:
    """Each bound whose workloads were measured, with the value and whether it is met."""
    found = []
    for bound in BOUNDS:
        try:
            value = bound.value(measured)
        except KeyError:  # not measured in this run
            continue
        found.append({"workload": bound.workload, "what": bound.what, "value": value, "most": bound.most,
                      "unit": bound.unit, "met": value <= bound.most})  # fmt: skip
    return found
