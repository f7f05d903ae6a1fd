"""Why things fail, in a few words that never grow: what counts and alarms are keyed by."""

from __future__ import annotations

import re

_FORMS = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        ("unexpected", r"^unexpected \w+:"),
        ("cancelled", r"^cancelled"),
        ("slowed", r"failures in a row"),
        ("disk_full", r"no space|is full|\bquota\b"),
        ("changed", r"changed while|changed at the last moment"),
        ("engine_unreachable", r"cannot reach|does not answer|connection refused|timed out"),
        ("source_gone", r"not there any more|was removed|no such container|container \S+ is \w+ now|went away"),
        ("root_missing", r"does not exist in|no output folder"),
        ("permission", r"permission|not permitted|denied|forbidden|no right"),
        ("frozen_too_long", r"without locking|held the container's lock"),
        ("stalled", r"stalled"),
        ("transfer", r"broke off|cut off|ended inside|did not come|stream|agent"),
        ("library", r"library|marker|in use by another|not mounted"),
        ("manifest", r"manifest|database"),
        ("name", r"\bnames?\b"),
        ("refused", r"would go|max.delete|clock|refused|not proven"),
        ("copy_damaged", r"copy is (missing|damaged)"),
    )
)
OTHER = "other"
REASONS = (*(reason for reason, _ in _FORMS), OTHER)


def reason_of(text: str) -> str:
    """The one of REASONS that a complaint is about, as far as its words tell. Names in it decide nothing twice."""
    return next((reason for reason, form in _FORMS if form.search(text)), OTHER)
