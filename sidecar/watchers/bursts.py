"""What watches store is told in the history as one job for each burst: from its first file until nothing came for a
while, and for an hour at most.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import field, replace

from loguru import logger

from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.report import JobReport, carried_on
from sidecar.jobs.waiting import finished
from sidecar.logs import size
from sidecar.manifest import Manifest
from sidecar.models import NS
from sidecar.sync.report import SyncReport
from sidecar.values import dataclass

QUIET = 60.0  # seconds without a file that end a burst
LONGEST_NS = 3600 * NS
TOLD_NS = 60 * NS  # after its first file that no line of the log tells of, a burst has one


@dataclass(slots=True)
class _Untold:
    """What came since the last line of the log. `since_ns` is when it began."""

    since_ns: int
    stored: int = 0
    failed: int = 0
    size: int = 0
    sources: set[str] = field(default_factory=set)


class Bursts:
    """The job that files belong to now. `show` is told of its state; `end` is called when the service stops, too."""

    def __init__(self, manifest: Manifest, clock_ns: Callable[[], int], show: Callable[[JobView], None],
                 new_id: Callable[[], str]) -> None:  # fmt: skip
        self._manifest = manifest
        self._clock_ns = clock_ns
        self._show = show
        self._new_id = new_id
        self._job = new_id()
        self._view: JobView | None = None
        self._reports: dict[str, SyncReport] = {}
        self._last_ns = 0
        self._untold: _Untold | None = None

    @property
    def job(self) -> str:
        """The ID for what is stored now."""
        return self._job

    async def add(self, report: SyncReport) -> None:
        """Count what one look came to; looks that came to nothing are no news.

        `failed` are the files that were given up. What was not settled, or is of no interest, is told by passes.
        """
        if not (report.stored or report.failed or report.error):
            return
        report.scanned, report.skipped, report.unsettled = report.stored + report.unchanged + len(report.failed), [], []
        self._note(report)
        before = self._reports.get(report.name)
        self._reports[report.name] = report if before is None else _joined(before, report)
        now = self._last_ns = self._clock_ns()
        names = tuple(sorted(self._reports))
        if self._view is not None:
            self._view = replace(self._view, request=replace(self._view.request, sources=names))
            return
        request = Request(Action.SYNC, Cause.WATCH, names)
        self._view = JobView(self._job, request, JobState.RUNNING, now, now)
        self._show(self._view)
        await self._record(self._manifest.start_job, self._job, request.action, request.cause, now, names)

    async def end_if_over(self) -> None:
        """End the burst when nothing came for a while, or when it became long; meanwhile, a line a minute at most."""
        if self._view is None:
            return
        now, begun = self._clock_ns(), self._view.queued_ns
        if self._untold is not None and not 0 <= now - self._untold.since_ns < TOLD_NS:
            self._tell(self._view)
        if now - self._last_ns >= QUIET * NS or now - begun >= LONGEST_NS or now < begun:
            await self.end()

    async def end(self) -> None:
        """End the burst, if there is one, and record it."""
        if self._view is None:
            return
        view, report = self._view, JobReport(self._view.id, self._view.request.action, list(self._reports.values()))
        self._view, self._reports, self._job = None, {}, self._new_id()
        report.in_order()
        summary, now = report.summary(""), self._clock_ns()
        state = JobState.DONE if report.ok else JobState.PARTLY
        self._show(replace(view, state=state, ended_ns=now, result=summary["result"]))
        await self._record(self._manifest.end_job, view.id, report.ok, json.dumps(summary), now)
        self._tell(view)

    def _note(self, report: SyncReport) -> None:
        now = self._clock_ns()
        untold = self._untold = self._untold or _Untold(now)
        untold.stored += report.stored
        untold.failed += len(report.failed) + (report.error is not None)
        untold.size += report.bytes_stored
        untold.sources.add(report.name)

    def _tell(self, view: JobView) -> None:
        """One line for all that came since the last one."""
        untold, self._untold = self._untold, None
        if untold is not None:
            logger.bind(job=view.id, stored=untold.stored, bytes=untold.size, failed=untold.failed).info(
                "watched: {} stored, {} failed, {}, from {}", untold.stored, untold.failed, size(untold.size),
                ", ".join(sorted(untold.sources)))  # fmt: skip

    @staticmethod
    async def _record(call: Callable[..., object], *values: object) -> None:
        """Raises ManifestDamaged. What lacks in the history alone, for a disk is full, ends no watch and no service."""
        try:
            await finished(asyncio.to_thread(call, *values))
        except ManifestDamaged:
            raise
        except MediaSyncError as error:
            logger.error("not in the history: {}", error.line())


def _joined(before: SyncReport, now: SyncReport) -> SyncReport:
    """Both in one."""
    done = carried_on(before, now)
    done.error = done.error or before.error
    done.scanned += before.scanned
    done.unchanged += before.unchanged
    done.failed = [*before.failed, *done.failed]
    return done
