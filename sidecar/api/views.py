"""The service's values in the API's shapes. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar.api.shapes import JobShape, ProgressShape, maybe_moment, moment
from sidecar.events import (
    Event,
    FileFailed,
    FileKept,
    FilePurged,
    FileRestored,
    FileStored,
    JobChanged,
    SourceChanged,
    SourceSlowed,
)
from sidecar.jobs.catalog import Found
from sidecar.jobs.job import Action, JobState, JobView
from sidecar.jobs.outcomes import went_well
from sidecar.jobs.patience import Slowed
from sidecar.logs import SECRETS
from sidecar.manifest import SourceTotals
from sidecar.models import LeftOut, Source, shown
from sidecar.progress import Snapshot

Json = dict[str, Any]
_REASONS = frozenset({"reason", "error", "refused"})  # keys under which a report says why


def progress(now: Snapshot) -> Json:
    """How far a job is."""
    return ProgressShape.model_validate(dataclasses.asdict(now)).model_dump()


def job(view: JobView, now: Snapshot | None) -> Json:
    """A job, and how far it is where it runs."""
    return JobShape(
        id=view.id,
        action=view.request.action,
        cause=view.request.cause,
        sources=list(view.request.sources),
        dry_run=view.request.dry_run,
        state=view.state,
        progress=None if now is None else ProgressShape.model_validate(dataclasses.asdict(now)),
        queued_at=moment(view.queued_ns),
        started_at=maybe_moment(view.started_ns),
        ended_at=maybe_moment(view.ended_ns),
        result=_hidden(view.result),
        problem=SECRETS.hide(view.problem),
    ).model_dump()


def event(happened: Event) -> Json | None:
    """An event as the feed tells it; None for one that is nobody's business."""
    kind = _KINDS.get(type(happened))
    if kind is None:
        return None
    name, fields = kind
    head = {"type": name, "job": happened.job, "source": happened.source}
    return {key: value for key, value in head.items() if value or key == "type"} | fields(happened)


def _path(happened: Any) -> Json:
    return {"path": shown(happened.path)}


def _why(happened: Any) -> Json:
    return {"reason": SECRETS.hide(happened.reason)}


def _hidden(told: Any) -> Any:
    """A report without secrets. Names of files are what they are."""
    if isinstance(told, dict):
        return {key: SECRETS.hide(value) if key in _REASONS and isinstance(value, str) else _hidden(value)
                for key, value in told.items()}  # fmt: skip
    return [_hidden(one) for one in told] if isinstance(told, list) else told


_KINDS: Mapping[type[Event], tuple[str, Callable[[Any], Json]]] = {
    FileStored: ("file.stored", lambda e: _path(e) | {
        "library_path": shown(e.library_path), "hash": e.sha256.hex(), "size": e.size, "duplicate": e.duplicate,
        "incomplete": e.incomplete}),
    FileFailed: ("file.failed", lambda e: _path(e) | _why(e)),
    FilePurged: ("file.purged", lambda e: _path(e) | {"size": e.size}),
    FileKept: ("file.kept", lambda e: _path(e) | _why(e)),
    FileRestored: ("file.restored", _path),
    JobChanged: ("job.changed", lambda e: {"job": job(e.view, None)}),
    SourceChanged: ("source.changed", lambda e: {"change": e.change, "state": e.state}),
    SourceSlowed: ("source.slowed", lambda e: {
        "failures": e.failures, "until": moment(e.until_ns) if e.until_ns else None} | _why(e)),
}  # fmt: skip


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
    return None if one is None else {"failures": one.failures, "until": moment(one.until_ns)} | _why(one)


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
