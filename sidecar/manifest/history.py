"""The rows of jobs: which are kept, and reading them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from sidecar.jobs.job import PASSING
from sidecar.manifest.rows import JobRow
from sidecar.manifest.search import Read

JOBS_KEPT = 1000
QUIET_KEPT = 100  # of them those that had nothing to do: a pass a minute must not push out what tells something
_JOBS = "SELECT id, action, cause, started_ns, ended_ns, ok, report, number, state, queued_ns, sources FROM jobs "
_SOME = (_JOBS + "WHERE (?1 = '[]' OR cause IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR number < ?2) "  # noqa: S608
         "ORDER BY number DESC LIMIT ?3")  # fmt: skip
_LAST = ("SELECT max(number) FROM jobs WHERE ended_ns IS NOT NULL AND state != 'cancelled' "
         "AND cause IN (SELECT value FROM json_each(?)) GROUP BY action, sources")  # fmt: skip
_DROP = ("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE quiet >= ? ORDER BY number DESC LIMIT -1 OFFSET ?) "  # noqa: S608
         f"AND number NOT IN ({_LAST})")  # fmt: skip


def add_job(db: sqlite3.Connection, row: tuple[object, ...]) -> None:
    """Record a new job and drop old ones, but never the last pass of its kind: whether all is well hangs on it."""
    db.execute("INSERT INTO jobs (id, action, cause, sources, state, queued_ns, started_ns) "
               "VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # fmt: skip
    for quiet, kept in ((0, JOBS_KEPT), (1, QUIET_KEPT)):
        db.execute(_DROP, (quiet, kept, json.dumps(sorted(PASSING))))


def read_jobs(read: Read, limit: int, causes: Sequence[str], before: int | None) -> list[JobRow]:
    """See Manifest.jobs."""
    rows = read(_SOME, (json.dumps(list(causes)), before, limit))
    return [_job(row) for row in rows]


def read_last_jobs(read: Read, causes: Sequence[str]) -> list[JobRow]:
    """See Manifest.last_jobs."""
    rows = read(f"{_JOBS} WHERE number IN ({_LAST}) ORDER BY number DESC", (json.dumps(list(causes)),))
    return [_job(row) for row in rows]


def read_job(read: Read, job: str) -> JobRow | None:
    """See Manifest.job."""
    rows = read(_JOBS + "WHERE id = ?", (job,))
    return _job(rows[0]) if rows else None


def _job(r: tuple[Any, ...]) -> JobRow:
    return JobRow(r[0], r[1], r[2], r[3], r[4], None if r[5] is None else bool(r[5]), r[6], r[7], r[8], r[9],
                  tuple(json.loads(r[10])))  # fmt: skip
