"""Exit codes, documented in the README: 0 done, 1 unexpected, 2 usage, 3 partly, 4 unreachable, 5 refused."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from sidecar.errors import (
    Cancelled,
    ConfigError,
    EngineRefused,
    EngineUnreachable,
    LibraryFull,
    MediaSyncError,
    Refused,
)

if TYPE_CHECKING:
    from sidecar.jobs.report import JobReport


class Exit(IntEnum):
    """What the process ends with."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    PARTLY = 3
    UNREACHABLE = 4
    REFUSED = 5


def code_of(error: MediaSyncError) -> Exit:
    """The code for a command that ended with this error. An engine that says no is as good as one that is not there."""
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, EngineUnreachable | EngineRefused):
        return Exit.UNREACHABLE
    if isinstance(error, Refused):
        return Exit.REFUSED
    return Exit.PARTLY if isinstance(error, Cancelled | LibraryFull) else Exit.UNEXPECTED


def code_of_job(report: JobReport) -> Exit:
    """The code for a job: one reason that stopped every source has its own code, anything mixed is `partly done`."""
    if report.ok:
        return Exit.DONE
    if report.purge and all(r.refused for r in report.purge) and all(r.ok for r in report.sync):
        return Exit.REFUSED
    return common_code([r.error for r in report.sync] + [r.error for r in report.purge])


def common_code(errors: Sequence[Exception | None]) -> Exit:
    """The code of the one reason that all have in common, else `partly done`. None stands for a part that went on."""
    codes = {_of_part(error) for error in errors}
    return codes.pop() if len(codes) == 1 else Exit.PARTLY


def _of_part(error: Exception | None) -> Exit:
    if isinstance(error, ConfigError | EngineUnreachable | Refused):
        return code_of(error)
    return Exit.PARTLY


def usage_line(error: Exception) -> str | None:
    """What is wrong with a command line, in one line; None for an error that is not about that.

    Told by what the error can do: typer brings its own copy of click's exceptions in some versions, not in others.
    """
    if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
        return None
    wrong = " ".join(str(error.format_message()).split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "media-sync"
    return f"{wrong[:1].lower()}{wrong[1:]} — see {path} --help"
