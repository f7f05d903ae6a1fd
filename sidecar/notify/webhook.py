"""Events as JSON, posted to the operator's address and signed.

Headers: `X-Media-Sync-Event` is the type, `X-Media-Sync-Delivery` the event's ID, the same in every attempt. With a
secret, `X-Media-Sync-Timestamp` is when it was sent, in seconds since the epoch, and `X-Media-Sync-Signature` is
`sha256=` and the hex HMAC-SHA256 of `<timestamp>.<body>` under the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sidecar.events import Event, FileFailed, FileStored, JobChanged, SourceSlowed
from sidecar.jobs.job import ASKED, Action, JobState, JobView
from sidecar.jobs.outcomes import entries, total, why_not
from sidecar.logs import SECRETS
from sidecar.models import NS, shown
from sidecar.notify.sender import Message, Sender

Notice = tuple[str, dict[str, Any]]


class Webhook:
    """Posts the events whose types are wanted. `clock_ns` is ns since the epoch, `new_id` makes a delivery's ID."""

    def __init__(self, url: str, events: Collection[str], secret: str | None, sender: Sender,
                 clock_ns: Callable[[], int], new_id: Callable[[], str]) -> None:  # fmt: skip
        self._url = url
        self._events = frozenset(events)
        self._secret = secret
        self._sender = sender
        self._clock_ns = clock_ns
        self._new_id = new_id

    def heard(self, event: Event) -> None:
        """Post what an event means, if anybody wants to know."""
        for kind, data in notices(event):
            if kind in self._events:
                self._post(kind, event, data)

    def _post(self, kind: str, event: Event, data: dict[str, Any]) -> None:
        delivery = self._new_id()
        told = {
            "id": delivery,
            "type": kind,
            "time": _iso(self._clock_ns()),
            "job": event.job or None,
            "source": event.source or None,
            "data": data,
        }
        body = json.dumps(told).encode()
        self._sender.put(Message(self._url, body, lambda sent: self._headers(kind, delivery, sent), kind))

    def _headers(self, kind: str, delivery: str, body: bytes) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Media-Sync-Event": kind,
            "X-Media-Sync-Delivery": delivery,
        }
        if self._secret is not None:
            at = str(self._clock_ns() // NS)
            headers["X-Media-Sync-Timestamp"] = at
            headers["X-Media-Sync-Signature"] = signature(self._secret, at, body)
        return headers


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a receiver compares with the header, in constant time."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def notices(event: Event) -> Iterator[Notice]:
    """The types that an event is told as, with what is told of it."""
    match event:
        case FileStored():
            yield (
                "file.stored",
                {
                    "path": shown(event.path),
                    "library_path": shown(event.library_path),
                    "hash": event.sha256.hex(),
                    "size": event.size,
                    "duplicate": event.duplicate,
                    "incomplete": event.incomplete,
                },
            )
        case FileFailed():
            yield "file.failed", {"path": shown(event.path), "reason": SECRETS.hide(event.reason)}
        case SourceSlowed() if event.until_ns:
            yield (
                "source.slowed",
                {
                    "failures": event.failures,
                    "until": _iso(event.until_ns),
                    "reason": SECRETS.hide(event.reason),
                },
            )
        case SourceSlowed():
            yield "source.recovered", {}
        case JobChanged() if event.view.state.ended and not event.view.request.dry_run:
            yield from _job_notices(event.view)
        case _:
            return


def _job_notices(view: JobView) -> Iterator[Notice]:
    """A pass that did nothing is not worth a word, a job that somebody asked for always is."""
    purges = [entry for _, action, entry in entries(view) if action is Action.PURGE]
    told: dict[str, Any] = {
        "action": view.request.action.value,
        "cause": view.request.cause.value,
        "state": view.state.value,
        "started_at": None if view.started_ns is None else _iso(view.started_ns),
        "ended_at": None if view.ended_ns is None else _iso(view.ended_ns),
        "stored": total(view, "stored"),
        "bytes_stored": total(view, "bytes_stored"),
        "purged": total(view, "purged"),
        "bytes_freed": total(view, "bytes_freed"),
        "failed": total(view, "failed"),
        "problem": SECRETS.hide(why_not(view)) or None,
    }
    if view.state in (JobState.FAILED, JobState.PARTLY):
        yield "job.failed", told
    elif view.state is JobState.DONE and (told["stored"] or told["purged"] or view.request.cause in ASKED):
        yield "job.done", told
    if any(entry.get("purged") or entry.get("failed") for entry in purges):
        each = [{key: entry.get(key) for key in ("name", "purged", "bytes_freed", "failed", "refused")}
                for entry in purges]  # fmt: skip
        yield "purge.done", {key: told[key] for key in ("cause", "state", "purged", "bytes_freed")} | {"sources": each}


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / NS, UTC).isoformat(timespec="milliseconds")
