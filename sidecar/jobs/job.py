"""What a job is: what was asked for, by whom, and where it stands. Times in ns since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from sidecar.values import dataclass


class Action(StrEnum):
    """What a job does."""

    SYNC = "sync"
    PURGE = "purge"
    RUN = "run"  # sync, then purge where that is enabled
    VERIFY = "verify"


class Cause(StrEnum):
    """Who asked for a job."""

    COMMAND = "command"
    START = "start"
    SCHEDULE = "schedule"
    EVENT = "event"  # the engine told of a container
    WATCH = "watch"  # an agent told of a file
    API = "api"


PASSING = frozenset({Cause.START, Cause.SCHEDULE})  # the causes whose jobs are passes: health is judged by them
ASKED = frozenset({Cause.COMMAND, Cause.API})  # somebody waits for it, and said so
_STRENGTH = (Cause.SCHEDULE, Cause.START, Cause.WATCH, Cause.EVENT, Cause.API, Cause.COMMAND)
_COVERS = {Action.RUN: frozenset({Action.RUN, Action.SYNC, Action.PURGE})}


class JobState(StrEnum):
    """Where a job stands. `partly` came to its end and left something undone, `failed` did not come to its end."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    PARTLY = "partly"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


Picked = Mapping[str, tuple[tuple[bytes, bytes], ...]]  # per source: (root, path) of each file


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. No `sources` means all, less those in `without`.

    `accept_missing`: copies that a check misses, and whose originals are gone, were deleted on purpose. `files` narrows
    a purge to these originals, per source: whatever else a plan finds stays.
    """

    action: Action
    cause: Cause
    sources: tuple[str, ...] = ()
    dry_run: bool = False
    allow_empty: bool = False
    files: Picked | None = None
    without: tuple[str, ...] = ()
    accept_missing: bool = False

    def equals(self, other: Request) -> bool:
        """Whether both ask for the same, whoever asks. What names single files is its own."""
        return self.files is None and replace(self.sorted(), cause=other.cause) == other.sorted()

    def sorted(self) -> Request:
        """The same, with its sources in one order."""
        return replace(self, sources=tuple(sorted(set(self.sources))), without=tuple(sorted(set(self.without))))

    def merged(self, other: Request) -> Request:
        """One request for two that ask for the same: the stronger cause counts."""
        return max(self, other, key=lambda request: _STRENGTH.index(request.cause))


def covers(action: Action, other: Action) -> bool:
    """Whether a source on which `action` is carried out needs no `other` besides."""
    return action is other or other in _COVERS.get(action, ())


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment. `result` is its report as `--json` prints it, long lists cut; `problem` is one line, "" if
    there was none.
    """

    id: str
    request: Request
    state: JobState
    queued_ns: int
    started_ns: int | None = None
    ended_ns: int | None = None
    result: dict[str, Any] | None = None
    problem: str = ""
