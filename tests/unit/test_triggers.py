"""A pass that failed is tried again before its next time comes, which may be tomorrow."""

from __future__ import annotations

from sidecar.events import JobChanged
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.triggers import FIRST_AGAIN_NS, LONGEST_AGAIN_NS, Again

NIGHTLY = Request(Action.RUN, Cause.SCHEDULE)


def test_what_failed_is_tried_again_with_growing_pauses_until_it_comes_to_its_end() -> None:
    now = [0]
    again = Again(lambda: now[0])

    def ended(state: JobState, request: Request = NIGHTLY) -> None:
        again(JobChanged("j", "", JobView("j", request, state, 0)))

    ended(JobState.FAILED, Request(Action.RUN, Cause.START))
    assert again.due() == []
    pauses = []
    for _ in range(8):
        now[0] = begun = min(again._due.values())
        assert again.due() == [NIGHTLY], "what the beginning asked for comes as a pass"
        assert again.due() == [], "once"
        ended(JobState.FAILED)
        pauses.append(min(again._due.values()) - begun)
    assert pauses[:2] == [2 * FIRST_AGAIN_NS, 4 * FIRST_AGAIN_NS]
    assert pauses[-1] == LONGEST_AGAIN_NS
    again.forget(NIGHTLY)
    now[0] += LONGEST_AGAIN_NS
    assert again.due() == [], "its own time came first"
    for state in (JobState.RUNNING, JobState.DONE):
        ended(state)
    ended(JobState.FAILED)
    now[0] += FIRST_AGAIN_NS
    assert again.due() == [NIGHTLY], "counted anew"


def test_what_somebody_asked_for_or_ended_is_not_tried_again() -> None:
    again = Again(lambda: 10**18)
    for cause in (Cause.API, Cause.EVENT, Cause.WATCH):
        again(JobChanged("j", "", JobView("j", Request(Action.RUN, cause), JobState.FAILED, 0)))
    assert not again._due, "who asked has heard of it"
    for state in (JobState.PARTLY, JobState.CANCELLED):
        again(JobChanged("j", "", JobView("j", NIGHTLY, state, 0)))
    assert not again._due
