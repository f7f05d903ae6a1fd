"""Events as JSON, posted to the operator's address.

Headers: `X-Media-Sync-Event` is the type, `X-Media-Sync-Delivery` the event's ID, the same in every attempt; how it is
signed stands in posting.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from sidecar.events import FREQUENT, Event, type_of
from sidecar.notify.posting import headers_of
from sidecar.notify.sender import Message, Sender
from sidecar.telling.wire import as_json


class Webhook:
    """Posts the events whose types are wanted. `clock_ns` is ns since the epoch."""

    def __init__(self, url: str, events: Collection[str], secret: str | None, sender: Sender,
                 clock_ns: Callable[[], int]) -> None:  # fmt: skip
        self._url = url
        self._events = frozenset(events)
        self._secret = secret
        self._sender = sender
        self._clock_ns = clock_ns

    @property
    def frequent(self) -> Collection[type[Event]]:
        """The types in FREQUENT that are wanted."""
        return [kind for kind, name in FREQUENT.items() if name in self._events]

    def heard(self, event: Event) -> None:
        """Post an event, if anybody wants to know."""
        kind = type_of(event)
        if kind not in self._events or (told := as_json(event)) is None:
            return

        def headers(sent: bytes) -> Mapping[str, str]:
            return headers_of(kind, event.id, sent, self._secret, self._clock_ns())

        self._sender.put(Message(self._url, told.encode(), headers, kind))
