"""What was measured, as tables, as JSON, and beside the bounds. `python -m tests.bench.report FILE...` prints it again.

Several files are parts of one measurement: what a later one holds stands in for the same workload of an earlier one.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.latency import at
from tests.bench.workloads import Outcome, Record

Workload = Mapping[str, Any]
Measured = dict[str, dict[str, Any]]  # workload's letter -> what as_json made of its outcome
OURS, SERVICE = "media-sync", "media-sync, service"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Every single run, and what they come to. Seconds and bytes."""
    found: dict[str, Any] = {
        "title": outcome.title,
        "files": outcome.amount.files,
        "bytes": outcome.amount.bytes,
        "contestants": {name: _record(record) for name, record in outcome.records.items()},
    }
    if outcome.new is not None:
        found |= {"new_files": outcome.new.files, "new_bytes": outcome.new.bytes}
    if outcome.waits:
        found["waits"] = {
            name: {
                "inspect": _waits([waits.inspect for waits in turns]),
                "exec": _waits([waits.exec for waits in turns]),
            }
            for name, turns in outcome.waits.items()
        }
    return found


def _record(record: Record) -> dict[str, Any]:
    seconds = [run.seconds for run in record.runs]
    found = {
        "median": statistics.median(seconds),
        "peak": max(run.peak for run in record.runs),
        "received": record.received,
        "runs": [{"seconds": run.seconds, "cpu": run.cpu, "peak": run.peak} for run in record.runs],
    }
    said = {key: record.report[key] for key in ("road", "pass_seconds", "bytes_received") if key in record.report}
    return found | ({"said": said} if said else {})


def _waits(turns: list[list[float]]) -> dict[str, Any]:
    """Over all turns together, and each turn's own."""
    return _spread([value for turn in turns for value in turn]) | {"runs": [_spread(turn) for turn in turns]}


def _spread(values: list[float]) -> dict[str, Any]:
    return {"p50": at(values, 0.5), "p99": at(values, 0.99), "max": max(values), "samples": len(values)}


# -- bounds ---------------------------------------------------------------------------------------------------------


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


# -- text -----------------------------------------------------------------------------------------------------------


def text(result: Mapping[str, Any]) -> str:
    """Tables in Markdown: people read them, and README takes them as they are."""
    measured: Measured = result["workloads"]
    parts = [_heading(result)]
    for letter, one in measured.items():
        new = f", of them {one['new_files']:,} new ({_size(one['new_bytes'])})" if one.get("new_files") else ""
        parts.append(f"{letter}: {one['title']}; {one['files']:,} files, {_size(one['bytes'])}{new}\n\n"
                     + (_waiting(one) if "waits" in one else _contestants(one)))  # fmt: skip
    if found := verdicts(measured):
        rows = [(v["workload"], v["what"], _value(v["value"], v["unit"]), _value(v["most"], v["unit"]),
                 "met" if v["met"] else "short") for v in found]  # fmt: skip
        parts.append(_table(("workload", "media-sync", "measured", "at most", ""), rows))
    return "\n\n".join(parts)


def _heading(result: Mapping[str, Any]) -> str:
    where, what = result["machine"], result["versions"]
    return (f"Docker Engine {what['engine']} ({what['storage']}), {where['cores']} cores ({where['processor']}), "
            f"{_size(where['memory'])} of memory, {where['file_system']}, Linux {where['kernel']}, {where['system']}; "
            f"{result['options']['image']} in the container, medians of {result['options']['times']}")  # fmt: skip


def _contestants(one: Workload) -> str:
    rows = [(name, f"{r['median']:.2f} s", f"{_least(r):.2f} to {_most(r):.2f}", f"{r['peak'] / 1e6:.0f} MB",
             "" if r["received"] is None else _size(r["received"]))
            for name, r in one["contestants"].items()]  # fmt: skip
    return _table(("contestant", "median", "all runs", "peak memory", "received"), rows)


def _waiting(one: Workload) -> str:
    rows = [(name, *(_three(waits[kind]) for kind in ("inspect", "exec"))) for name, waits in one["waits"].items()]
    return _table(("while this runs", "inspect: p50, p99, longest", "exec true: p50, p99, longest"), rows)


def _three(waits: Workload) -> str:
    return ", ".join(f"{waits[key] * 1000:.0f}" for key in ("p50", "p99", "max")) + " ms"


def _least(record: Workload) -> float:
    return min(float(run["seconds"]) for run in record["runs"])


def _most(record: Workload) -> float:
    return max(float(run["seconds"]) for run in record["runs"])


def _value(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit else f"{value:.2f}"


def _size(count: int) -> str:
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count} B"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * max(3, width) for width in widths), *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(max(3, width)) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def main(files: list[str]) -> None:
    """Print what the files hold as one measurement."""
    whole: dict[str, Any] = {}
    for name in files:
        with open(name, encoding="utf-8") as file:
            part = json.load(file)
        whole = {**part, "workloads": {**whole.get("workloads", {}), **part["workloads"]}}
    print(text(whole))


if __name__ == "__main__":
    main(sys.argv[1:])
