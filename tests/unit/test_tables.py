"""Results as text: columns, sizes, and one clear word for each state."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from sidecar.cleanup.report import PurgeReport
from sidecar.cli import tables
from sidecar.cli.looking import doctor_text, sources_text
from sidecar.errors import ConfigError
from sidecar.jobs.report import JobReport
from sidecar.manifest import JobRow, SourceTotals
from sidecar.models import NS, Check, Problem, Verdict
from sidecar.sync.report import SyncReport


def test_columns_stand_under_each_other() -> None:
    text = tables.table(("name", "files", "size"), [("a", 5, "1.0 kB"), ("longer", 12345, "12.5 MB"), ("b", "-", "-")])
    assert text.splitlines() == [
        "name    files     size",
        "a           5   1.0 kB",
        "longer  12345  12.5 MB",
        "b           -        -",
    ]
    assert tables.table(("a", "b"), []) == "a  b"
    assert tables.table(("a", "b"), [("x\x1b[1m", "")]).splitlines()[1] == "x\\x1b[1m"


def test_a_narrow_terminal_cuts_texts_and_a_pipe_nothing() -> None:
    head, place = ("name", "kind", "path", "files"), "/workspace/stable-diffusion-webui-forge/outputs"
    rows = [("a" * 30, "custom", place, 5)]
    assert tables.table(head, rows, minor=("kind",), width=0) == tables.table(head, rows)
    assert place in tables.table(head, rows, minor=("kind",))
    assert max(map(len, tables.table(head, rows, minor=("kind",), width=200).splitlines())) == 94
    first, second = tables.table(head, rows, minor=("kind",), width=60).splitlines()
    assert first.split() == ["name", "path", "files"]
    assert len(second) == 60
    assert len(second.split()) == 3
    assert place[-18:] in second, "what tells paths apart is their end"
    assert "kind" in tables.table(head, [("a", "b", "c", 5)], minor=("kind",), width=40), "where there is room it stays"
    assert max(map(len, tables.table(head, rows, width=10).splitlines())) < 50, "no less than can be read"


def test_the_tables_of_commands_fit_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.cli.tables.columns", lambda: 80)
    names = ("comfyui", "media-sync-demo-comfyui", "/workspace/stable-diffusion-webui-forge/outputs")
    found = {"name": names[0], "kind": "comfyui", "container": names[1], "generation": "0" * 64, "state": "running",
             "roots": [{"path": names[2], "mount": "volume"}], "scanner": "python", "purge": True}  # fmt: skip
    totals = SourceTotals(names[0], "comfyui", "docker", names[1], 12345, 12345, 12345, 12345, 10**12)
    job = JobRow("0123456789ab", "purge", "command", 1, 2, False, json.dumps({"problem": "x " * 50}))
    done = SyncReport(names[0], names[1], names[2], "docker", scanned=12345, unchanged=12345, bytes_stored=10**9)
    gone = PurgeReport(names[0], candidates=12345, bytes_to_free=10**9)
    for text in (
        sources_text({"sources": [found], "left_out": [], "warnings": []}),
        tables.status_text([totals], [job], busy=False),
        tables.sync_text(JobReport("j", "sync", [done])),
        tables.purge_text(JobReport("j", "purge", purge=[gone])),
    ):
        assert max(map(len, text.splitlines())) <= 80, text
        assert len(text.splitlines()[1]) > 40, text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2e9, "2.0 GB"), (3e12, "3.0 TB")],
)
def test_sizes_are_decimal(count: float, text: str) -> None:
    assert tables.size(count) == text


def test_moments() -> None:
    assert tables.when(None) == "-"
    assert len(tables.when(1_700_000_000 * NS)) == len("2023-11-14 22:13:20")


def test_a_sync() -> None:
    good = SyncReport("a", "c", "/output", "docker", scanned=3, stored=1, bytes_stored=1000, seconds=1.25,
                      failed=[Problem(b"x\n.png", "denied")], unsettled=[Problem(b"y.png", "empty")])  # fmt: skip
    bad = SyncReport("b", "d", "", "docker", error=ConfigError("no such container: d"))
    lines = tables.sync_text(JobReport("j", "sync", [good, bad])).splitlines()
    assert lines[1].split() == ["a", "3", "0", "1", "1.0", "kB", "1", "0", "1", "0", "B", "1.2"]
    assert lines[0].split()[-4:] == ["skipped", "failed", "received", "seconds"]
    assert lines[2].split() == ["b", *"-" * 9]
    assert lines[3:] == ["a: failed: x%0A.png: denied", "a: waiting: y.png: empty"]
    assert tables.sync_text(JobReport("j", "sync", [bad])) == "", "the log has said it; a table of dashes adds nothing"


def test_a_long_list_is_cut_and_says_so() -> None:
    report = SyncReport("a", "c", "/output", "docker", failed=[Problem(b"%d.png" % n, "denied") for n in range(50)])
    lines = tables.sync_text(JobReport("j", "sync", [report])).splitlines()
    assert len(lines) == 2 + tables.LISTED + 1
    assert lines[-1] == "a: failed: and 30 more, see --json"


def test_a_dry_sync() -> None:
    report = SyncReport("a", "c", "/output", "docker", scanned=3, would_store=2, bytes_to_store=5000)
    text = tables.sync_text(JobReport("j", "sync", [report], dry_run=True))
    assert "(2)" in text
    assert text.endswith("nothing was changed")


def test_a_purge_and_its_dry_run() -> None:
    report = PurgeReport("a", candidates=2, kept=Counter({"newest of its prefix": 1}),
                         files=[(b"b.png", "would purge", ""), (b"a.png", "would purge", "")])  # fmt: skip
    lines = tables.purge_text(JobReport("j", "purge", purge=[report], dry_run=True)).splitlines()
    assert lines[0].split() == ["source", "would", "go", "kept", "failed", "would", "free"], "it took no time to tell"
    assert lines[2:] == ["a: kept 1: newest of its prefix", "a: would delete a.png", "a: would delete b.png"]
    refused = PurgeReport("a", candidates=9, refused="too many")
    assert "a: refused: too many" in tables.purge_text(JobReport("j", "purge", purge=[refused]))
    failed = PurgeReport("a", failed=1, files=[(b"x\x1b.png", "failed", "disk")])
    assert tables.purge_text(JobReport("j", "purge", purge=[failed])).endswith("a: x%1B.png: disk")


def row(ok: bool | None, action: str = "run", **report: object) -> JobRow:
    return JobRow("j", action, "command", 1, None if ok is None else 2, ok, json.dumps(report) if report else None)


@pytest.mark.parametrize(
    ("job", "busy", "result"),
    [
        (row(True), False, "nothing new"),
        (row(True, action="purge"), False, "nothing to purge"),
        (row(False, problem="cancelled", stored=3), False, "interrupted"),
        (row(True, stored=3, purged=2), False, "3 stored, 2 purged"),
        (row(None), False, "interrupted"),
        (row(None), True, "under way"),
        (row(False, problem="no engine"), False, "failed: no engine"),
        (row(False, errors=["a: gone"]), False, "failed: a: gone"),
        (row(False, refused=["a: too many"]), False, "failed: a: too many"),
        (row(False, failed=3), False, "failed: 3 files failed"),
    ],
)
def test_results_of_jobs(job: JobRow, busy: bool, result: str) -> None:
    assert tables.job_result(job, busy=busy) == result


def test_a_long_reason_is_cut() -> None:
    assert len(tables.job_result(row(False, problem="x" * 500))) == len("failed: ") + tables.REASON


def test_status_without_anything() -> None:
    assert tables.status_text([], [], busy=False) == "nothing is stored yet"


def test_sources_and_what_was_left_out() -> None:
    left = {"name": "b", "container": "box", "reason": "no label", "hint": "label it", "faulty": False}
    lines = sources_text({"sources": [], "left_out": [left], "warnings": ["w"]}).splitlines()
    assert lines == ["no source found", "", "left out:", "  box: no label — label it", "warning: w"]


def test_doctor_says_what_to_do_where_it_is_needed() -> None:
    checks = [Check("a", Verdict.OK, "fine", "unneeded"), Check("b", Verdict.WARN, "hm", "do this")]
    assert doctor_text(checks).splitlines() == ["ok    a: fine", "warn  b: hm", "      do this"]
