"""README's figures: `python -m tests.bench.readme FILE...` writes what the files hold between README's two marks.

Several files of one engine are parts of one measurement: what a later one holds stands in for the same workload of an
earlier one. Several engines stand beside each other.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tests.bench.bounds import OURS, SERVICE, verdicts
from tests.bench.contestants import CONTESTANTS
from tests.bench.report import heading, size, table, three, value
from tests.rig.program import REPOSITORY

README = REPOSITORY / "README.md"
_MARKED = re.compile(r"(<!-- bench: [^\n]* -->\n).*?(<!-- /bench -->)", re.DOTALL)
Result = dict[str, Any]


def merged(parts: Iterable[Result]) -> dict[str, Result]:
    """One result for each version of the engine, in the order in which they come."""
    whole: dict[str, Result] = {}
    for part in parts:
        before = whole.get(part["versions"]["engine"], {"workloads": {}})
        whole[part["versions"]["engine"]] = {**part, "workloads": {**before["workloads"], **part["workloads"]}}
    return whole


def rendered(results: Mapping[str, Result]) -> str:
    """Medians of everybody, engine by engine, and then the bounds."""
    parts = [f"{heading(result)}:\n\n{_medians(result)}{_frozen(result)}" for result in results.values()]
    return "\n\n".join([*parts, _bounds(results)]) + "\n"


def _medians(result: Result) -> str:
    names = [c.name for c in CONTESTANTS]
    rows = []
    for letter, one in sorted(result["workloads"].items()):
        if "waits" in one:
            continue
        found = {name: f"{record['median']:.2f} s" for name, record in one["contestants"].items()}
        if SERVICE in found:
            found[OURS] += f", service {found[SERVICE]}"
        others = [found.pop(name, "") for name in names]
        beside = "".join(f"; {name}: {said}" for name, said in found.items() if name != SERVICE)
        files = "1 file" if one["files"] == 1 else f"{one['files']:,} files"
        rows.append((f"{letter}: {one['title']}, {files}, {size(one['bytes'])}{beside}", *others))
    return table(("workload", *names), rows)


def _frozen(result: Result) -> str:
    waits = result["workloads"].get("freeze", {}).get("waits")
    if not waits:
        return ""
    rows = [(name, *(three(waits[name][kind]) for kind in ("inspect", "exec"))) for name in waits]
    return "\n\n" + table(("while this runs", "inspect: p50, p99, longest", "exec true: p50, p99, longest"), rows)


def _bounds(results: Mapping[str, Result]) -> str:
    columns = {name: {(v["workload"], v["what"]): v for v in verdicts(r["workloads"])} for name, r in results.items()}
    known = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = []
    for key in known:
        said = [column.get(key) for column in columns.values()]
        most = next(v for v in said if v)
        cells = ["" if v is None else f"{value(v['value'], v['unit'])}{'' if v['met'] else ' (short)'}" for v in said]
        rows.append((*key, value(most["most"], most["unit"]), *cells))
    return table(("workload", OURS, "at most", *(f"engine {name}" for name in columns)), rows)


def main(files: list[str]) -> None:
    """Write README anew."""
    parts = []
    for name in files:
        with open(name, encoding="utf-8") as file:
            parts.append(json.load(file))
    section = rendered(merged(parts))
    text = README.read_text(encoding="utf-8")
    README.write_text(_MARKED.sub(lambda m: m[1] + section + m[2], text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
