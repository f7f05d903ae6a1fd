"""A source that keeps failing is left alone for longer and longer, up to a cap, and is itself again once it works."""

from __future__ import annotations

from sidecar.jobs.patience import FIRST_NS, LONGEST_NS, TOLERATED, Patience, pause_ns
from sidecar.models import NS


def test_pauses_double_up_to_a_cap() -> None:
    pauses = [pause_ns(failures) for failures in range(1, 60)]
    assert pauses[:TOLERATED] == [0] * TOLERATED
    assert pauses[TOLERATED : TOLERATED + 3] == [FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_NS


def test_a_source_is_left_alone_and_tried_again() -> None:
    now = [1_700_000_000 * NS]
    patience = Patience(lambda: now[0])
    for _ in range(TOLERATED):
        patience.failed("a", "no")
        assert patience.slowed("a") is None
    assert patience.view() == {}
    patience.failed("a", "still no")
    slowed = patience.slowed("a")
    assert slowed is not None
    assert (slowed.failures, slowed.reason) == (TOLERATED + 1, "still no")
    assert patience.slowed("b") is None, "others go on"
    now[0] += FIRST_NS
    assert patience.slowed("a") is None, "its next attempt is due"
    assert list(patience.view()) == ["a"], "and it is still shown"
    assert patience.worked("a")
    assert not patience.worked("a")
    assert patience.view() == {}


def test_a_clock_that_was_set_back_does_not_stretch_a_pause() -> None:
    now = [1_700_000_000 * NS]
    patience = Patience(lambda: now[0])
    for _ in range(TOLERATED + 1):
        patience.failed("a", "no")
    now[0] -= 3600 * NS
    assert patience.slowed("a") is None
