"""What a job's result says, source by source, and the one rule for how serious that is.

The rule, which /readyz, `healthcheck`, the page and the heartbeat share:

- A **fault** is what puts pictures at risk, or keeps the service from its work: a job that did not come to its end; a
  source that could not be worked on as a whole; more than SINGLE files of a source that could not be stored; a copy
  that is damaged or missing and whose original is gone. With a fault nothing is called safe.
- A **warning** is what somebody should look at, and can in daylight: single files that could not be stored (they stay
  where they are, and each pass tries again) or not be purged; a purge that a guard refused; copies that the next sync
  brings again. All else is safe, and what is said names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.jobs.job import Action, JobState, JobView
from sidecar.values import dataclass

ACCEPT = "bring lost copies back from a backup; what was deleted on purpose: `media-sync verify --accept-missing`"
SINGLE = 10  # files of one source: what keeps more of them away is wrong with the source
TOLD = 10  # of each kind


@dataclass(frozen=True, slots=True)
class Verdict:
    """Faults and warnings, a sentence each. Neither: all that was to be done is done."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def verdict(action: Action, result: Mapping[str, Any] | None, problem: str = "") -> Verdict:
    """How serious it is what a job came to, by its result and, where it did not come to its end, why."""
    found = [(source, *serious(did, entry)) for source, did, entry in _entries(action, result)]
    faults = [f"{source}: {fault}" for source, fault, _ in found if fault]
    warnings = [f"{source}: {warning}" for source, _, warning in found if warning]
    return Verdict((*([problem] if problem else ()), *faults)[:TOLD], tuple(warnings[:TOLD]))


def verdict_of(view: JobView) -> Verdict:
    """The same for a job that ended; one that was cancelled was told to, and is no fault."""
    return verdict(view.request.action, view.result, view.problem if view.state is not JobState.CANCELLED else "")


def serious(action: Action, entry: Mapping[str, Any]) -> tuple[str, str]:
    """What is a fault, and what a warning, in what was done to one source; "" where there is none."""
    if action is Action.VERIFY:
        return _of_copies(entry)
    if why := entry.get("error") or _error_of_sync(entry):
        return str(why), ""
    if why := entry.get("refused"):
        return "", f"not purged: {why}"
    failed = int(entry.get("failed") or 0)
    if not failed:
        return "", ""
    if action is Action.PURGE:
        return "", f"{_files(failed)} could not be purged"
    first = next((f" ({p['reason']})" for p in entry.get("problems", ())), "")
    said = f"{_files(failed)} could not be stored{first}"
    return (said, "") if failed > SINGLE else ("", f"{said}; each pass tries again")


def _of_copies(entry: Mapping[str, Any]) -> tuple[str, str]:
    wrong = int(entry.get("missing") or 0) + int(entry.get("damaged") or 0)
    again = min(wrong, int(entry.get("forgotten") or 0))
    lost = wrong - again
    fault = f"{lost} {_copies(lost)} damaged or missing, and the originals are gone — {ACCEPT}" if lost else ""
    return fault, f"{again} {_copies(again)} damaged or missing, and pulled again" if again else ""


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _copies(count: int) -> str:
    return "copy is" if count == 1 else "copies are"


def entries(view: JobView) -> Iterator[tuple[str, Action, dict[str, Any]]]:
    """Source by source what a job's result says, with what was done to it."""
    return _entries(view.request.action, view.result)


def _entries(of: Action, result: Mapping[str, Any] | None) -> Iterator[tuple[str, Action, dict[str, Any]]]:
    told = result or {}
    lists = {Action.SYNC: told.get("sync"), Action.PURGE: told.get("purge")}
    if of is not Action.RUN:
        lists = {of: told.get("sources")}
    for action, found in lists.items():
        for entry in found or ():
            yield str(entry.get("name", "")), action, entry


def went_well(action: Action, entry: Mapping[str, Any]) -> bool:
    """Whether what a job was to do with a source is done, but for single files."""
    return not serious(action, entry)[0] and not entry.get("refused")


def whole_problem(entry: Mapping[str, Any]) -> str:
    """Why a source could not be worked on as a whole; "" when it could."""
    return str(entry.get("error") or entry.get("refused") or _error_of_sync(entry))


def _error_of_sync(entry: Mapping[str, Any]) -> str:
    return next((str(p["reason"]) for p in entry.get("problems", ()) if not p.get("path")), "")


def total(view: JobView, count: str) -> int:
    """The sum of a count over all sources of a job."""
    return sum(int(entry.get(count) or 0) for _, _, entry in entries(view))


def why_not(view: JobView) -> str:
    """Why a job did not do all that it was to, in one line; "" when it did."""
    if view.problem:
        return view.problem
    found = verdict_of(view)
    return "; ".join((*found.faults, *found.warnings)[:TOLD])


def left_to_others(result: Mapping[str, Any] | None) -> bool:
    """Whether a pass left sources to jobs that were at them: its own good end then says nothing of these sources."""
    return bool(result and result.get("busy"))
