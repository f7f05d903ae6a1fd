"""What was measured: as JSON with every single run, as tables for people, and beside the bounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.bounds import Measured, verdicts
from tests.bench.latency import at
from tests.bench.workloads import Outcome, Record

Workload = Mapping[str, Any]


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


# -- text -----------------------------------------------------------------------------------------------------------


def text(result: Mapping[str, Any]) -> str:
    """Tables in Markdown: people read them, and README takes them as they are."""
    measured: Measured = result["workloads"]
    parts = [heading(result)]
    for letter, one in measured.items():
        new = f", of them {one['new_files']:,} new ({size(one['new_bytes'])})" if one.get("new_files") else ""
        parts.append(f"{letter}: {one['title']}; {one['files']:,} files, {size(one['bytes'])}{new}\n\n"
                     + (_waiting(one) if "waits" in one else _contestants(one)))  # fmt: skip
    parts += [f"{letter} failed: {why}" for letter, why in result.get("failed", {}).items()]
    if found := verdicts(measured):
        rows = [(v["workload"], v["what"], value(v["value"], v["unit"]), value(v["most"], v["unit"]),
                 "met" if v["met"] else "short") for v in found]  # fmt: skip
        parts.append(table(("workload", "media-sync", "measured", "at most", ""), rows))
    return "\n\n".join(parts)


def heading(result: Mapping[str, Any]) -> str:
    """Machine, engine, and how it was measured, in one line."""
    where, what = result["machine"], result["versions"]
    return (f"Docker Engine {what['engine']} ({what['storage']}), {where['cores']} cores ({where['processor']}), "
            f"{size(where['memory'])} of memory, {where['file_system']}, Linux {where['kernel']}, {where['system']}; "
            f"{result['options']['image']} in the container, {_options(result['options'])}")  # fmt: skip


def _options(given: Mapping[str, Any]) -> str:
    share = float(given["scale"])
    less = "" if share == 1 else f", with only {share:.3g} of the files, for which the bounds are not meant"
    return f"medians of {given['times']}{less}"


def _contestants(one: Workload) -> str:
    rows = [(name, f"{r['median']:.2f} s", f"{_least(r):.2f} to {_most(r):.2f}", f"{r['peak'] / 1e6:.0f} MB",
             "" if r["received"] is None else size(r["received"]))
            for name, r in one["contestants"].items()]  # fmt: skip
    return table(("contestant", "median", "all runs", "peak memory", "received"), rows)


def _waiting(one: Workload) -> str:
    rows = [(name, *(three(waits[kind]) for kind in ("inspect", "exec"))) for name, waits in one["waits"].items()]
    return table(("while this runs", "inspect: p50, p99, longest", "exec true: p50, p99, longest"), rows)


def three(waits: Workload) -> str:
    """p50, p99 and the longest wait."""
    return ", ".join(f"{waits[key] * 1000:.0f}" for key in ("p50", "p99", "max")) + " ms"


def _least(record: Workload) -> float:
    return min(float(run["seconds"]) for run in record["runs"])


def _most(record: Workload) -> float:
    return max(float(run["seconds"]) for run in record["runs"])


def value(value: float, unit: str) -> str:
    """A figure of a verdict."""
    return f"{value:,.0f} {unit}" if unit else f"{value:.2f}"


def size(count: int) -> str:
    """Bytes for people."""
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count} B"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown whose columns are in line."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * max(3, width) for width in widths), *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(max(3, width)) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
