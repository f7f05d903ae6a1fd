"""Exit codes: what each error and each mixture of errors ends a command with."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from sidecar import errors
from sidecar.cleanup.report import PurgeReport
from sidecar.cli.exits import Exit, code_of, code_of_job, common_code, usage_line
from sidecar.cli.looking import doctor_exit
from sidecar.jobs.report import JobReport
from sidecar.models import Check, Problem, Verdict
from sidecar.sync.report import SyncReport

LOST = errors.EngineUnreachable("no engine")
BAD = errors.ConfigError("bad label")
GUARD = errors.LibraryUnsafe("no marker")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError, 2),
        (errors.UnknownSource, 2),
        (errors.RootMissing, 2),
        (errors.EngineUnreachable, 4),
        (errors.EngineRefused, 4),
        (errors.Refused, 5),
        (errors.LibraryUnsafe, 5),
        (errors.Locked, 5),
        (errors.ManifestDamaged, 5),
        (errors.LibraryFull, 3),
        (errors.Cancelled, 3),
        (errors.StreamBroken, 1),
    ],
)
def test_a_command_that_ends_with_an_error(error: type[errors.MediaSyncError], code: int) -> None:
    assert code_of(error("x")) == code


def synced(error: errors.MediaSyncError | None = None, **more: Any) -> SyncReport:
    return SyncReport("a", "c", "/output", "docker", error=error, **more)


@pytest.mark.parametrize(
    ("sync", "purge", "code"),
    [
        ([], [], 0),
        ([synced()], [PurgeReport("a")], 0),
        ([synced(unsettled=[Problem(b"x", "empty")], skipped=[Problem(b"y", "not media")])], [], 0),
        ([synced(failed=[Problem(b"x", "denied")])], [], 3),
        ([synced(BAD)], [], 2),
        ([synced(BAD), synced()], [], 3),
        ([synced(LOST), synced(LOST)], [], 4),
        ([synced(LOST), synced(BAD)], [], 3),
        ([synced(errors.SourceGone("gone"))], [], 3),
        ([synced(errors.EngineRefused("a tmpfs"))], [], 3),
        ([], [PurgeReport("a", refused="too many")], 5),
        ([synced()], [PurgeReport("a", refused="too many")], 5),
        ([], [PurgeReport("a", refused="too many"), PurgeReport("b")], 3),
        ([], [PurgeReport("a", failed=1)], 3),
        ([], [PurgeReport("a", error=GUARD)], 5),
        ([synced(failed=[Problem(b"x", "denied")])], [PurgeReport("a", refused="too many")], 3),
    ],
)
def test_a_job(sync: list[SyncReport], purge: list[PurgeReport], code: int) -> None:
    assert code_of_job(JobReport("j", "run", sync, purge)) == code


def test_a_common_reason() -> None:
    assert common_code([LOST, LOST]) is Exit.UNREACHABLE
    assert common_code([LOST, None]) is Exit.PARTLY
    assert common_code([ValueError()]) is Exit.PARTLY


def check(name: str, verdict: Verdict, error: Exception | None = None) -> Check:
    return Check(name, verdict, "", "", error)


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([check("library", Verdict.OK), check("socket", Verdict.WARN)], 0),
        ([check("engine", Verdict.FAIL, LOST)], 4),
        ([check("library", Verdict.FAIL), check("source a", Verdict.OK)], 5),
        ([check("library", Verdict.FAIL), check("engine", Verdict.FAIL, LOST)], 5),
        ([check("engine", Verdict.OK), check("source a", Verdict.FAIL, BAD)], 2),
        ([check("source a", Verdict.FAIL, BAD), check("source b", Verdict.OK)], 3),
    ],
)
def test_doctor_answers_what_a_run_would_end_with(checks: list[Check], code: int) -> None:
    assert doctor_exit(checks) == code


def test_a_usage_error_is_one_line() -> None:
    said = usage_line(typer.BadParameter("It is\n wrong."))
    assert said is not None
    assert "\n" not in said
    assert said.endswith("wrong — see media-sync --help")
    assert usage_line(ValueError("no")) is None
