"""What a job's result says, source by source: the one reader of its shape besides people and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.jobs import Action, JobView


def entries(view: JobView) -> Iterator[tuple[str, Action, dict[str, Any]]]:
    """Source by source what a job's result says, with what was done to it."""
    result = view.result or {}
    lists = {Action.SYNC: result.get("sync"), Action.PURGE: result.get("purge")}
    if view.request.action is not Action.RUN:
        lists = {view.request.action: result.get("sources")}
    for action, found in lists.items():
        for entry in found or ():
            yield str(entry.get("name", "")), action, entry


def went_well(entry: dict[str, Any]) -> bool:
    """Whether everything that a job was to do with a source is done."""
    return not entry.get("failed") and not entry.get("refused") and not entry.get("error")


def whole_problem(entry: dict[str, Any]) -> str:
    """Why a source could not be worked on as a whole; "" when it could."""
    told = entry.get("error") or entry.get("refused")
    whole = (p["reason"] for p in entry.get("problems", ()) if not p.get("path"))
    return str(told or next(whole, ""))


def total(view: JobView, count: str) -> int:
    """The sum of a count over all sources of a job."""
    return sum(int(entry.get(count) or 0) for _, _, entry in entries(view))


def why_not(view: JobView) -> str:
    """Why a job did not do all that it was to, in one line; "" when it did."""
    if view.problem:
        return view.problem
    reasons = [f"{source}: {why}" for source, _, entry in entries(view) if (why := whole_problem(entry))]
    failed = total(view, "failed")
    if failed > len(reasons):
        reasons.append(f"{failed - len(reasons)} files failed")
    return "; ".join(reasons[:10])


def left_to_others(result: Mapping[str, Any] | None) -> bool:
    """Whether a pass left sources to jobs that were at them: its own good end then says nothing of these sources."""
    return bool(result and result.get("busy"))
