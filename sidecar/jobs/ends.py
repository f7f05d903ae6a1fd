"""What the end of a job means to others, as events of their own."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.events import Event, JobDone, JobFailed, PurgeDone
from sidecar.jobs.job import ASKED, Action, JobState, JobView
from sidecar.jobs.outcomes import entries, total


def ends(view: JobView) -> Iterator[Event]:
    """A pass that did nothing is not worth a word, a job that somebody asked for always is; a dry run did nothing."""
    if not view.state.ended or view.request.dry_run:
        return
    if view.state in (JobState.FAILED, JobState.PARTLY):
        yield JobFailed(view.id, "", view)
    elif view.state is JobState.DONE and _worth_a_word(view):
        yield JobDone(view.id, "", view)
    purges = (entry for _, action, entry in entries(view) if action is Action.PURGE)
    if any(entry.get("purged") or entry.get("failed") for entry in purges):
        yield PurgeDone(view.id, "", view)


def _worth_a_word(view: JobView) -> bool:
    return bool(total(view, "stored") or total(view, "purged") or view.request.cause in ASKED)
