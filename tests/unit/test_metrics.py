"""What Prometheus is told: names, labels, counts, and what it is never told."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.cleanup.report import PurgeReport
from sidecar.errors import EngineUnreachable
from sidecar.events import (
    Bus,
    FileFailed,
    FilePurged,
    FileStored,
    JobChanged,
    MetadataRead,
    SourceChanged,
    SourceRead,
    SourceSlowed,
)
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.report import JobReport
from sidecar.models import NS
from sidecar.sync.report import SyncReport
from sidecar.telling.faults import REASONS, reason_of
from sidecar.telling.metrics import Metrics, counting

NAME = b"a very private name.png"


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def stored(source: str = "comfy") -> FileStored:
    return FileStored("j", source, b"/o", NAME, b"comfy/" + NAME, b"h" * 32, 1000, False, None)


def ended(report: JobReport, state: JobState = JobState.DONE, at: int = 100, problem: str = "", **request: Any
          ) -> JobChanged:  # fmt: skip
    asked = Request(Action(report.action), Cause.SCHEDULE, **request)
    view = JobView("j", asked, state, 0, (at - 3) * NS, at * NS, report.summary("")["result"], problem)
    return JobChanged("j", "", view)


def test_counts_by_source_under_the_promised_names() -> None:
    bus = Bus()
    with counting(bus) as metrics:
        for event in (stored(), stored(), stored("forge"), SourceRead("j", "comfy", 5000, (0.03, 0.2)),
                      SourceRead("j", "forge", 70), FilePurged("j", "comfy", b"/o", NAME, 10),
                      FileFailed("j", "comfy", b"/o", NAME, "permission denied"),
                      FileFailed("j", "comfy", b"/o", NAME, "the read was cut off"),
                      SourceSlowed("j", "forge", 3, 99, "gone")):  # fmt: skip
            bus.emit(event)
    bus.emit(stored())  # not meant for these any more
    assert value(metrics, "media_sync_files_stored_total", source="comfy") == 2
    assert value(metrics, "media_sync_files_stored_total", source="forge") == 1
    assert value(metrics, "media_sync_bytes_received_total", source="comfy") == 5000
    assert value(metrics, "media_sync_files_purged_total", source="comfy") == 1
    assert value(metrics, "media_sync_errors_total", reason="permission") == 1
    assert value(metrics, "media_sync_errors_total", reason="transfer") == 1
    assert value(metrics, "media_sync_freeze_seconds_count", source="comfy") == 2
    assert value(metrics, "media_sync_freeze_seconds_sum", source="comfy") == pytest.approx(0.23)
    assert value(metrics, "media_sync_freeze_seconds_bucket", source="comfy", le="0.25") == 2
    assert value(metrics, "media_sync_freeze_seconds_count", source="forge") is None, "a stream locks nothing"
    assert value(metrics, "media_sync_source_slowed", source="forge") == 1
    for problems in ((), (), ("cut short",)):
        metrics.heard(MetadataRead("", "comfy", b"/o", NAME, b"comfy/" + NAME, b"h" * 32, problems, thumbnail=True))
    assert value(metrics, "media_sync_media_read_total", result="whole") == 2
    assert value(metrics, "media_sync_media_read_total", result="broken") == 1
    metrics.ask(lambda: 7)
    assert value(metrics, "media_sync_media_backlog") == 7
    metrics.heard(SourceChanged("", "forge", "gone", ""))
    assert value(metrics, "media_sync_source_slowed", source="forge") == 0
    text = metrics.text().decode()
    assert list(text_string_to_metric_families(text))
    assert "private" not in text, "a file's name is in no label"


def test_jobs_tell_how_long_they_took_and_who_was_well() -> None:
    metrics = Metrics()
    good, bad = SyncReport("comfy", "c", "/o", "docker"), SyncReport("forge", "f", "/o", "docker")
    bad.error = EngineUnreachable("cannot reach Docker")
    report = JobReport("j", "run", sync=[good, bad], purge=[PurgeReport("comfy"), PurgeReport("x", refused="too many")])
    metrics.heard(ended(report, JobState.PARTLY))
    assert value(metrics, "media_sync_last_success_timestamp_seconds", source="comfy", action="sync") == 100
    assert value(metrics, "media_sync_last_success_timestamp_seconds", source="comfy", action="purge") == 100
    assert value(metrics, "media_sync_last_success_timestamp_seconds", source="forge", action="sync") is None
    assert value(metrics, "media_sync_last_success_timestamp_seconds", source="x", action="purge") is None
    assert value(metrics, "media_sync_errors_total", reason="engine_unreachable") == 1
    assert value(metrics, "media_sync_pass_duration_seconds_sum", action="run") == 3
    metrics.heard(ended(JobReport("j", "sync"), JobState.FAILED, 200, "no space is left for copies"))
    assert value(metrics, "media_sync_errors_total", reason="disk_full") == 1


def test_dry_runs_and_cancelled_jobs_are_no_passes() -> None:
    metrics = Metrics()
    report = JobReport("j", "sync", sync=[SyncReport("comfy", "c", "/o", "docker")])
    metrics.heard(ended(report, dry_run=True))
    metrics.heard(ended(JobReport("j", "sync"), JobState.CANCELLED))
    assert value(metrics, "media_sync_pass_duration_seconds_count", action="sync") is None
    assert value(metrics, "media_sync_last_success_timestamp_seconds", source="comfy", action="sync") is None


def test_after_a_restart_the_last_success_is_known_from_the_record() -> None:
    report = JobReport("j", "sync", sync=[SyncReport("comfy", "c", "/o", "docker")])
    earlier = [ended(report, at=at).view for at in (300, 500, 400)]
    with counting(Bus(), earlier) as metrics:
        assert value(metrics, "media_sync_last_success_timestamp_seconds", source="comfy", action="sync") == 500
        assert value(metrics, "media_sync_pass_duration_seconds_count", action="sync") is None, "of this process only"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("cannot reach Docker at unix:///x", "engine_unreachable"),
        ("no space left on device", "disk_full"),
        ("changed while it was read", "changed"),
        ("unexpected ValueError: permission", "unexpected"),
        ("container c is exited now", "source_gone"),
        ("root /o does not exist in c", "root_missing"),
        ("the read stalled", "stalled"),
        ("library /l: its marker is gone", "library"),
        ("its name cannot be stored", "name"),
        ("\x1b[31m something that nobody foresaw", "other"),
    ],
)
def test_reasons_are_few(said: str, reason: str) -> None:
    assert reason_of(said) == reason
    assert reason in REASONS
    assert len(REASONS) < 30
