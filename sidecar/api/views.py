"""The service's values in the API's shapes. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.ingest.standing import Standing
from sidecar.jobs.catalog import Found
from sidecar.jobs.job import Action, JobState, JobView
from sidecar.jobs.outcomes import went_well
from sidecar.jobs.patience import Slowed
from sidecar.logs import SECRETS
from sidecar.manifest import SourceTotals
from sidecar.models import LeftOut, Source, shown
from sidecar.telling.shapes import maybe_moment, moment

Json = dict[str, Any]


def sources(found: Found | None, totals: Sequence[SourceTotals], slowed: Mapping[str, Slowed],
            successes: Mapping[str, int]) -> list[Json]:  # fmt: skip
    """Every source that is there, was asked for, or was ever stored from; by name."""
    now = {} if found is None else {one.name: one for one in found.sources}
    missing = {} if found is None else {one.name: one for one in found.left_out if one.faulty}
    known = {one.name: one for one in totals}
    return [
        _source(name, now.get(name), missing.get(name), known.get(name), looked=found is not None)
        | {"slowed": _slowed(slowed.get(name)), "last_success": maybe_moment(successes.get(name))}
        for name in sorted(now.keys() | missing.keys() | known.keys())
    ]


def _source(
    name: str, now: Source | None, missing: LeftOut | None, known: SourceTotals | None, *, looked: bool
) -> Json:
    state = now.state if now is not None else "missing" if missing is not None else "gone" if looked else "unknown"
    return {
        "name": name,
        "kind": now.kind if now is not None else known.kind if known is not None else "",
        "transport": now.transport if now is not None else known.transport if known is not None else "docker",
        "container": now.container if now is not None else (known.container or "") if known is not None else "",
        "state": state,
        "group": now.group if now is not None else "",
        "roots": [] if now is None else [shown(root) for root in now.roots],
        "purge": now is not None and now.rules.purge,
        "stored": known.stored if known is not None else 0,
        "purged": known.purged if known is not None else 0,
        "waiting": known.waiting if known is not None else 0,
        "bytes": known.bytes if known is not None else 0,
        "reason": missing.reason if missing is not None else "",
        "hint": missing.hint if missing is not None else "",
    }


def _slowed(one: Slowed | None) -> Json | None:
    return None if one is None else {
        "failures": one.failures, "until": moment(one.until_ns), "reason": SECRETS.hide(one.reason)}  # fmt: skip


def left_out(found: Found | None) -> list[Json]:
    """What could have been a source."""
    return [] if found is None else [dataclasses.asdict(one) for one in found.left_out]


def totals(sources: Sequence[SourceTotals]) -> Json:
    """Of all sources together."""
    return {
        "files": sum(one.stored + one.purged + one.vanished for one in sources),
        "bytes": sum(one.bytes for one in sources),
        "purged": sum(one.purged for one in sources),
        "waiting": sum(one.waiting for one in sources),
    }


def sink(standing: Standing) -> Json:
    """A sink and how it stands."""
    told = standing.as_json()
    kept = ("name", "type", "required", "backlog", "refused", "unfilled", "retrying", "filling")
    problem = SECRETS.hide(standing.problem) or None
    return {key: told[key] for key in kept} | {"told_at": maybe_moment(told["told_ns"]), "problem": problem}


def refusal(_: int, library_path: bytes, reason: str, at_ns: int) -> Json:
    """A file that a sink would not take."""
    return {"library_path": shown(library_path), "reason": SECRETS.hide(reason), "at": moment(at_ns)}


def successes(jobs: Sequence[JobView]) -> dict[str, int]:
    """When each source was last pulled, but for single files, as these jobs tell, newest first; ns since the epoch."""
    found: dict[str, int] = {}
    for view in jobs:
        if view.ended_ns is None or view.request.dry_run or view.state not in (JobState.DONE, JobState.PARTLY):
            continue
        key = {Action.SYNC: "sources", Action.RUN: "sync"}.get(view.request.action)
        for report in (view.result or {}).get(key or "", ()):
            if went_well(Action.SYNC, report):
                found.setdefault(str(report["name"]), view.ended_ns)
    return found
