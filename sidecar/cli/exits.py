"""Exit codes, documented in the README: 0 done, 1 unexpected, 2 usage, 3 partly, 4 unreachable, 5 refused."""

from __future__ import annotations

from enum import IntEnum

from sidecar.errors import Cancelled, ConfigError, EngineUnreachable, MediaSyncError, Refused
from sidecar.orchestrator import JobReport


class Exit(IntEnum):
    """What the process ends with."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    PARTLY = 3
    UNREACHABLE = 4
    REFUSED = 5


def code_of(error: MediaSyncError) -> Exit:
    """The code for a command that ended with this error."""
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, EngineUnreachable):
        return Exit.UNREACHABLE
    if isinstance(error, Refused):
        return Exit.REFUSED
    return Exit.PARTLY if isinstance(error, Cancelled) else Exit.UNEXPECTED


def code_of_job(report: JobReport) -> Exit:
    """The code for a job: one reason that stopped every source has its own code, anything mixed is `partly done`."""
    if report.ok:
        return Exit.DONE
    errors = [r.error for r in report.sync] + [r.error for r in report.purge]
    codes = {code_of(error) if error is not None else None for error in errors}
    if report.purge and all(r.refused for r in report.purge) and all(r.ok for r in report.sync):
        return Exit.REFUSED
    if len(codes) == 1 and (only := codes.pop()) is not None and only is not Exit.UNEXPECTED:
        return only
    return Exit.PARTLY
