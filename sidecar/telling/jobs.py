"""A job as it is told: by the API, the live feed and events alike."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sidecar.jobs.job import JobView
from sidecar.logs import SECRETS
from sidecar.progress import Snapshot
from sidecar.telling.shapes import Shape, Time, maybe_moment, moment

_REASONS = frozenset({"reason", "error", "refused"})  # keys under which a report says why


class _Measured(BaseModel):
    """How far something is, with the fields and the defaults of `SourceProgress` and `Snapshot` alike."""

    model_config = ConfigDict(extra="ignore")

    folder: str = ""
    file: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    rate: float = Field(0.0, description="Bytes per second.")
    eta: float | None = Field(None, description="Seconds; null while it is not known.")


class SourceProgressShape(_Measured):
    """How far one source of a job is: all of it, the folder and the file at hand."""

    name: str
    file_bytes_done: int = 0
    file_bytes_total: int = 0
    folder_bytes_done: int = 0
    folder_bytes_total: int = 0
    folder_files_done: int = 0
    folder_files_total: int = 0
    finished: bool = False


class ProgressShape(_Measured):
    """How far a job is."""

    source: str = Field("", description="What was begun last.")
    sources: list[SourceProgressShape] = Field(default_factory=list)


class JobShape(Shape):
    """A job. `result` is its report as `--json` prints it, long lists cut."""

    id: str = Field(examples=["3f2b9c1d7e40"])
    action: str = Field(description="sync, purge, run or verify.", examples=["sync"])
    cause: str = Field(description="Who asked: command, start, schedule, event, watch or api.", examples=["api"])
    sources: list[str] = Field(description="The sources it is about; empty for all.")
    dry_run: bool
    state: str = Field(description="queued, running, done, partly, failed or cancelled.", examples=["running"])
    progress: ProgressShape | None = Field(description="Null unless it runs.")
    queued_at: Time
    started_at: Time | None
    ended_at: Time | None
    result: dict[str, Any] | None
    problem: str = Field(description='Why it did not end well, in a line; "" if it did.')


def progress(now: Snapshot) -> dict[str, Any]:
    """How far a job is, as `ProgressShape` has it."""
    return ProgressShape.model_validate(dataclasses.asdict(now)).model_dump()


def job(view: JobView, now: Snapshot | None = None) -> JobShape:
    """A job, and how far it is where it runs; without secrets."""
    return JobShape(
        id=view.id,
        action=view.request.action,
        cause=view.request.cause,
        sources=list(view.request.sources),
        dry_run=view.request.dry_run,
        state=view.state,
        progress=None if now is None else ProgressShape.model_validate(dataclasses.asdict(now)),
        queued_at=moment(view.queued_ns),
        started_at=maybe_moment(view.started_ns),
        ended_at=maybe_moment(view.ended_ns),
        result=_hidden(view.result),
        problem=SECRETS.hide(view.problem),
    )


def _hidden(told: Any) -> Any:
    """A report without secrets. Names of files are what they are."""
    if isinstance(told, dict):
        return {key: SECRETS.hide(value) if key in _REASONS and isinstance(value, str) else _hidden(value)
                for key, value in told.items()}  # fmt: skip
    return [_hidden(one) for one in told] if isinstance(told, list) else told
