"""What Prometheus reads: counts and times of this process, in a registry of its own. No file names in labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from sidecar.events import (
    Bus,
    Event,
    FileFailed,
    FilePurged,
    FileStored,
    JobChanged,
    MetadataRead,
    SinkTold,
    SourceChanged,
    SourceRead,
    SourceSlowed,
)
from sidecar.jobs.job import Action, Cause, JobState, JobView
from sidecar.jobs.outcomes import entries, went_well, whole_problem
from sidecar.models import NS
from sidecar.telling.faults import REASONS, reason_of

_PASS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600)
_FREEZE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2, 5)


class Metrics:
    """Counts events. Listens in whatever thread they come from."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each one, which nobody asks for
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"namespace": "media_sync", "registry": self.registry}
        self._stored = Counter("files_stored", "Files stored in the library.", ["source"], **made)
        self._received = Counter("bytes_received", "Bytes that reads brought, lists included.", ["source"], **made)
        self._purged = Counter("files_purged", "Originals deleted.", ["source"], **made)
        self._errors = Counter("errors", "Files, sources and jobs that failed.", ["reason"], **made)
        self._success = Gauge("last_success_timestamp_seconds", "When an action last succeeded.", ["source", "action"],
                              **made)  # fmt: skip
        self._slowed = Gauge("source_slowed", "1 while a source that keeps failing is left alone.", ["source"], **made)
        self._pass = Histogram("pass_duration_seconds", "How long jobs took.", ["action"], buckets=_PASS, **made)
        self._freeze = Histogram("freeze_seconds", "How long reads held the engine's lock on a container.", ["source"],
                                 buckets=_FREEZE, **made)  # fmt: skip
        self._backlog = Gauge("ingest_backlog", "Changes that a sink was not told of yet.", ["sink"], **made)
        self._up = Gauge("ingest_up", "1 while a sink takes what it is told, 0 while it does not.", ["sink"], **made)
        self._delivered = Counter("ingest_delivered", "Records that a sink took.", ["sink"], **made)
        self._refused = Counter("ingest_refused", "Records that a sink would not take.", ["sink"], **made)
        self._looked = Counter("media_read", "Stored files that were looked into.", ["result"], **made)
        self._unread = Gauge("media_backlog", "Stored files that are still to be looked into.", **made)
        self._last: dict[tuple[str, Action], float] = {}
        for reason in REASONS:
            self._errors.labels(reason)

    def remember(self, jobs: Iterable[JobView]) -> None:
        """Take the times of success from jobs of earlier runs, in any order."""
        for view in jobs:
            if view.state.ended:
                self._succeeded(view)

    def heard(self, event: Event) -> None:
        """Count one event."""
        match event:
            case FileStored():
                self._stored.labels(event.source).inc()
            case SourceRead():
                self._received.labels(event.source).inc(event.received)
                for seconds in event.froze:
                    self._freeze.labels(event.source).observe(seconds)
            case FilePurged():
                self._purged.labels(event.source).inc()
            case FileFailed():
                self._errors.labels(reason_of(event.reason)).inc()
            case SourceSlowed():
                self._slowed.labels(event.source).set(1 if event.until_ns else 0)
            case SourceChanged() if event.change == "gone":
                self._slowed.labels(event.source).set(0)
            case SinkTold():
                self._backlog.labels(event.sink).set(event.backlog)
                self._up.labels(event.sink).set(event.up)
                self._delivered.labels(event.sink).inc(event.told)
                self._refused.labels(event.sink).inc(event.refused)
            case MetadataRead():
                self._looked.labels("broken" if event.problems else "whole").inc()
            case JobChanged() if event.view.state.ended:
                self._ended(event.view)
            case _:
                pass

    def ask(self, unread: Callable[[], float]) -> None:
        """Whom to ask, at each scrape, how many files are still to be looked into."""
        self._unread.set_function(unread)

    def text(self) -> bytes:
        """The exposition, as `/metrics` answers it."""
        return generate_latest(self.registry)

    def _ended(self, view: JobView) -> None:
        if view.request.dry_run:
            return
        # a burst of watched files lasts as long as they come
        timed = view.state is not JobState.CANCELLED and view.request.cause is not Cause.WATCH
        if timed and view.started_ns is not None and view.ended_ns is not None:
            self._pass.labels(view.request.action.value).observe(max(0, view.ended_ns - view.started_ns) / NS)
        if view.state is JobState.FAILED:
            self._errors.labels(reason_of(view.problem)).inc()
        for _, _, entry in entries(view):
            if why := whole_problem(entry):
                self._errors.labels(reason_of(why)).inc()
        self._succeeded(view)

    def _succeeded(self, view: JobView) -> None:
        if view.request.dry_run or view.ended_ns is None:
            return
        at = view.ended_ns / NS
        for source, action, entry in entries(view):
            if went_well(action, entry) and at > self._last.get((source, action), 0.0):
                self._last[source, action] = at
                self._success.labels(source, action.value).set(at)


@contextmanager
def counting(bus: Bus, earlier: Iterable[JobView] = ()) -> Iterator[Metrics]:
    """Metrics of what is told on the bus meanwhile; `earlier` are jobs that had ended before."""
    metrics = Metrics()
    metrics.remember(earlier)
    leave = bus.subscribe(metrics.heard)
    try:
        yield metrics
    finally:
        leave()
