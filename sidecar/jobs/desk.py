"""Takes jobs, lets each begin when it is its turn, and knows what became of them.

Equal jobs that wait are one job. A job that names sources waits until nobody has a claim on any of them, so that
others like it can join it; passes over all sources begin at once and leave busy sources to those who have them.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import field, replace
from types import TracebackType

from loguru import logger

from sidecar.errors import ManifestDamaged, MediaSyncError, TooManyJobs
from sidecar.events import JobChanged, Listener
from sidecar.jobs.ends import ends
from sidecar.jobs.job import PASSING, Action, Cause, JobState, JobView, Request
from sidecar.jobs.report import LISTED, JobReport
from sidecar.jobs.waiting import finished
from sidecar.jobs.work import Tools
from sidecar.manifest import JobRow
from sidecar.orchestrator import SyncOrchestrator, first_of, new_id
from sidecar.progress import ProgressManager, Snapshot, View
from sidecar.values import dataclass

WAITING = 200  # jobs that may wait
RUNNING = 16  # jobs that may run side by side
KEPT = 200  # ended jobs that are kept in memory, the manifest has more


@dataclass(slots=True)
class _Job:
    """One job that has not ended. `looked`: its sources are known. `cancelled`: somebody wants it to stop."""

    view: JobView
    progress: ProgressManager
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # cancelled before, a task does nothing
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    looked: bool = False
    cancelled: bool = False
    told: bool = False

    def stop(self) -> None:
        """Have it stop, once: being told again would cut off what it does to end well."""
        if self.task is not None and not self.told:
            self.told = True
            self.task.cancel()


class JobDesk:
    """Used as a context manager, inside which jobs are worked on; leaving it stops them all.

    A manifest that is damaged ends the context with ManifestDamaged: it must not go on deciding.
    """

    def __init__(self, orchestrator: SyncOrchestrator, tools: Tools, view: Callable[[], View] | None = None) -> None:
        self._orchestrator = orchestrator
        self._tools = tools
        self._make_view = view
        self._jobs: dict[str, _Job] = {}  # those that did not end, oldest first
        self._views: dict[str, JobView] = {}  # all that are in memory, oldest first
        self._group = asyncio.TaskGroup()
        self._closed = False

    async def __aenter__(self) -> JobDesk:
        for row in reversed(await asyncio.to_thread(self._tools.manifest.jobs, KEPT)):
            self._views[row.id] = view_of(row)
        self._tools.writers.on_free(self._let_begin)
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        self.close()
        if running := [job.task for job in self._jobs.values() if job.task is not None]:
            await asyncio.wait(running)  # before the group may cancel them once more
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as several:
            raise first_of(several) from None

    def close(self) -> None:
        """Stop all jobs and take no more; leaving the context waits for them. Idempotent."""
        self._closed = True
        for job in self._jobs.values():
            job.stop()

    # -- asking -----------------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> JobView:
        """Take a job, or join the equal one that waits. Raises TooManyJobs."""
        if self._closed:
            raise TooManyJobs("the service is ending", hint="ask again when it is back")
        waiting = [job for job in self._jobs.values() if job.view.state is JobState.QUEUED]
        for job in waiting:
            if not job.cancelled and job.view.request.equals(request):
                self._show(job, request=job.view.request.merged(request))
                return job.view
        if len(waiting) >= WAITING:
            raise TooManyJobs(f"{WAITING} jobs wait already", hint="cancel some, or try again later")
        view = JobView(new_id(), request, JobState.QUEUED, self._tools.clock_ns())
        views = (self._make_view(),) if self._make_view is not None else ()
        job = self._jobs[view.id] = _Job(view, ProgressManager(request.action, views))
        job.task = self._group.create_task(self._live(job), name=f"job {view.id}")
        job.task.add_done_callback(lambda _: self._forget(job))
        self._show(job)
        self._let_begin()
        return job.view

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every change told; the answer ends that."""
        return self._tools.bus.subscribe(listener)

    def get(self, job: str) -> JobView | None:
        """One job; None when it is not in memory. `recall` asks the manifest, too."""
        return self._views.get(job)

    async def recall(self, job: str) -> JobView | None:
        """One job, also one of long ago; None when there was none."""
        if (view := self._views.get(job)) is not None:
            return view
        row = await asyncio.to_thread(self._tools.manifest.job, job)
        return None if row is None else view_of(row)

    def recent(self, limit: int, before: str | None = None) -> list[JobView]:
        """The newest first, those behind `before` where it is given; what is not in memory comes from the manifest."""
        views, behind = self._in_memory(limit, before)
        return views + self._older(limit - len(views), behind)

    async def history(self, limit: int, before: str | None = None) -> list[JobView]:
        """The same for the event loop, which must not wait for the disk."""
        views, behind = self._in_memory(limit, before)
        return views + await asyncio.to_thread(self._older, limit - len(views), behind) if behind else views

    def _in_memory(self, limit: int, before: str | None) -> tuple[list[JobView], list[str]]:
        """The first of these jobs, and behind which the rest of them comes: the first that the manifest knows."""
        views = list(reversed(self._views.values()))
        if before is not None:
            at = next((n for n, view in enumerate(views) if view.id == before), None)
            views = [] if at is None else views[at + 1 :]
        if len(views) >= limit:
            return views[:limit], []
        recorded = [view.id for view in reversed(views) if not view.request.dry_run]
        return views, [*recorded, *([before] if before is not None else [])]

    def _older(self, count: int, behind: Sequence[str]) -> list[JobView]:
        manifest = self._tools.manifest
        at = next((row for job in behind if (row := manifest.job(job)) is not None), None)
        return [] if at is None else [view_of(row) for row in manifest.jobs(count, before=at.number)]

    def running(self) -> list[JobView]:
        """Jobs under way, oldest first."""
        return [job.view for job in self._jobs.values() if job.view.state is JobState.RUNNING]

    def queued(self) -> list[JobView]:
        """Jobs that wait, oldest first."""
        return [job.view for job in self._jobs.values() if job.view.state is JobState.QUEUED]

    def progress(self, job: str) -> Snapshot | None:
        """How far a running job is; None for any other."""
        one = self._jobs.get(job)
        return None if one is None or one.view.state is not JobState.RUNNING else one.progress.snapshot()

    async def cancel(self, job: str) -> bool:
        """Stop a job and wait until it has; what it finished is kept. False when it is not there or has ended."""
        one = self._jobs.get(job)
        if one is None or one.task is None:
            return False
        one.cancelled = True
        await one.begun.wait()
        one.stop()
        await one.over.wait()
        return True

    async def wait(self, job: str) -> JobView:
        """Wait until a job has ended. Raises LookupError for one that is not known."""
        if (one := self._jobs.get(job)) is not None:
            await one.over.wait()
        view = await self.recall(job)
        if view is None:
            raise LookupError(job)
        return view

    def writing(self, source: str) -> AbstractAsyncContextManager[None]:
        """A short turn as the only writer of a source, for what is no job."""
        return self._tools.writers.writing(source)

    # -- letting begin ----------------------------------------------------------------------------------------------

    def _let_begin(self) -> None:
        """Called whenever something changed that jobs may wait for."""
        for job in self._jobs.values():
            if job.view.state is JobState.QUEUED and not job.cancelled and self._may_begin(job.view.request):
                self._show(job, state=JobState.RUNNING, started_ns=self._tools.clock_ns())
                job.turn.set()

    def _may_begin(self, request: Request) -> bool:
        running = [job for job in self._jobs.values() if job.view.state is JobState.RUNNING]
        if len(running) >= RUNNING:
            return False
        if request.dry_run:
            return True
        others = [job for job in running if not job.view.request.dry_run]
        if request.sources:
            about = {name.lower() for name in request.sources}
            named = {name.lower() for job in others for name in job.view.request.sources}
            return not about & named and not any(self._tools.writers.claimed(name) for name in about)
        alike = [job for job in others if not job.view.request.sources and job.view.request.action is request.action]
        asked = request.cause not in PASSING
        return all(job.looked and not (asked and job.view.request.cause not in PASSING) for job in alike)

    # -- working ----------------------------------------------------------------------------------------------------

    async def _live(self, job: _Job) -> None:
        """One job from its arrival to its end."""
        job.begun.set()
        try:
            async with self._ending(job):
                if not job.turn.is_set():
                    await self._wait_for_turn(job)
                report = await self._orchestrator.perform(job.view.request, job.progress, job.view.id,
                                                          lambda: self._looked(job))  # fmt: skip
                self._finish(job, JobState.DONE if report.ok else JobState.PARTLY, report=report)
        except asyncio.CancelledError:
            self._finish(job, JobState.CANCELLED, "cancelled")
            if not job.cancelled:
                raise

    async def _wait_for_turn(self, job: _Job) -> None:
        request, manifest, clock_ns = job.view.request, self._tools.manifest, self._tools.clock_ns
        if request.dry_run:
            await job.turn.wait()
            return
        try:
            await finished(asyncio.to_thread(manifest.queue_job, job.view.id, request.action, request.cause,
                                             job.view.queued_ns, request.sources))  # fmt: skip
            await job.turn.wait()
        except asyncio.CancelledError:
            note = json.dumps({"problem": "cancelled before it began"})
            await finished(asyncio.to_thread(manifest.end_job, job.view.id, False, note, clock_ns(),
                                             JobState.CANCELLED))  # fmt: skip
            raise

    def _forget(self, job: _Job) -> None:
        self._finish(job, JobState.CANCELLED, "cancelled")  # one that was stopped before its first step
        job.progress.close()
        self._jobs.pop(job.view.id, None)
        job.over.set()
        if not self._closed:
            self._let_begin()

    @asynccontextmanager
    async def _ending(self, job: _Job) -> AsyncIterator[None]:
        """What goes wrong with one job is said and recorded, and is no reason to end the others."""
        what = "pass" if job.view.request.cause in PASSING else job.view.request.action.value
        try:
            yield
        except ManifestDamaged as error:
            self._finish(job, JobState.FAILED, error.line())
            raise
        except MediaSyncError as error:
            logger.error("{} failed: {}", what, error.line())
            self._finish(job, JobState.FAILED, error.line())
        except Exception as error:  # a mistake of ours, perhaps in one file of thousands: the next may do without it
            logger.error("{} failed: unexpected {}: {} — please report it, with what --log-level debug adds",
                         what, type(error).__name__, error)  # fmt: skip
            logger.debug("{}", traceback.format_exc())
            self._finish(job, JobState.FAILED, f"unexpected {type(error).__name__}: {error}")

    def _looked(self, job: _Job) -> None:
        job.looked = True
        self._let_begin()

    def _finish(self, job: _Job, state: JobState, problem: str = "", report: JobReport | None = None) -> None:
        if job.view.state.ended:
            return
        result = None if report is None else report.as_json(LISTED)
        request = replace(job.view.request, files=None)  # they may be many, and nobody asks any more
        self._show(job, state=state, ended_ns=self._tools.clock_ns(), problem=problem, result=result, request=request)

    def _show(self, job: _Job, **changed: object) -> None:
        job.view = replace(job.view, **changed)  # type: ignore[arg-type]
        self.show(job.view)

    def show(self, view: JobView) -> None:
        """Keep a job as it stands now and tell of it; for one that somebody else carries out and records, too."""
        self._views[view.id] = view
        spare = len(self._views) - KEPT - len(self._jobs)
        for old in [view.id for view in self._views.values() if view.state.ended][: max(0, spare)]:
            del self._views[old]
        for event in (JobChanged(view.id, "", view), *ends(view)):
            self._tools.bus.emit(event)


def view_of(row: JobRow) -> JobView:
    """A job as the manifest remembers it."""
    told = json.loads(row.report or "{}")
    problem = told.get("problem") or next(iter((*told.get("errors", []), *told.get("refused", []))), "")
    request = Request(Action(row.action), Cause(row.cause), row.sources)
    return JobView(row.id, request, JobState(row.state), row.queued_ns, row.started_ns, row.ended_ns,
                   told.get("result"), str(problem))  # fmt: skip


__all__ = ["JobDesk", "view_of"]
