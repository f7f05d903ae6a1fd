"""A sign for each pass, as healthchecks.io and its kin want it: at its start, when it went well, when it did not."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from sidecar.events import Event, JobChanged
from sidecar.jobs import PASSING, JobState, JobView
from sidecar.logs import SECRETS
from sidecar.notify.sender import Message, Sender
from sidecar.outcomes import left_to_others, why_not

START, FAIL = "/start", "/fail"


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
            if view.state is JobState.DONE:
                if not left_to_others(view.result):
                    self._sender.put(Message(self._url, b""))
            elif view.state is not JobState.CANCELLED:  # being told to stop is no failure
                self._sender.put(Message(below(self._url, FAIL), SECRETS.hide(why_not(view)).encode()[:2000]))


def below(url: str, suffix: str) -> str:
    """The address with a suffix to its path; what stands behind `?` stays there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


def _counts(view: JobView) -> bool:
    return view.request.cause in PASSING and not view.request.dry_run
