"""A sign for each pass, as healthchecks.io and its kin want it: at its start, when it went well, when it did not."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from sidecar.events import Event, JobChanged
from sidecar.jobs.job import PASSING, JobState, JobView
from sidecar.jobs.outcomes import left_to_others, verdict_of, why_not
from sidecar.logs import SECRETS
from sidecar.notify.sender import Message, Sender

START, FAIL = "/start", "/fail"
MOST = 2000  # bytes of what is said


class Heartbeat:
    """Judges by passes alone: what an operator or an event asked for says nothing of the schedule."""

    def __init__(self, url: str, sender: Sender) -> None:
        self._url = url
        self._sender = sender
        self._begun: set[str] = set()

    def heard(self, event: Event) -> None:
        """Send what an event means, if it means anything."""
        if isinstance(event, JobChanged) and _counts(event.view):
            self._pass_changed(event.view)

    def _pass_changed(self, view: JobView) -> None:
        if view.state is JobState.RUNNING:
            if view.id not in self._begun:
                self._begun.add(view.id)
                self._sender.put(Message(below(self._url, START), b""))
        elif view.state.ended:
            self._begun.discard(view.id)
            if view.state is JobState.CANCELLED or (view.state is JobState.DONE and left_to_others(view.result)):
                return  # being told to stop is no failure, and what others did no success
            said = SECRETS.hide(why_not(view)).encode()[:MOST]  # warnings go with a success
            well = view.state is JobState.DONE or (view.state is JobState.PARTLY and not verdict_of(view).faults)
            self._sender.put(Message(self._url if well else below(self._url, FAIL), said))


def below(url: str, suffix: str) -> str:
    """The address with a suffix to its path; what stands behind `?` stays there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _counts(view: JobView) -> bool:
    return view.request.cause in PASSING and not view.request.dry_run
