"""What one job did, source by source: for people, machines and the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from loguru import logger

from sidecar.cleanup.report import PurgeReport
from sidecar.errors import ConfigError, MediaSyncError
from sidecar.jobs.job import Action
from sidecar.jobs.outcomes import ACCEPT
from sidecar.logs import size
from sidecar.models import LeftOut
from sidecar.sync.report import SyncReport
from sidecar.values import dataclass
from sidecar.verify import MISSING, VerifyReport

LISTED = 100  # files of each list that a job's record keeps


@dataclass(slots=True)
class JobReport:
    """`busy` are the sources that a pass left to another job, which did the same to them at that time."""

    job: str
    action: str
    sync: list[SyncReport] = field(default_factory=list)
    purge: list[PurgeReport] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    dry_run: bool = False
    busy: list[str] = field(default_factory=list)
    verify: list[VerifyReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for is done."""
        return all(r.ok for r in self.sync) and all(r.ok for r in self.purge) and all(r.ok for r in self.verify)

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do, and nothing to say."""
        moved = any(r.stored for r in self.sync) or any(r.purged for r in self.purge) or bool(self.verify)
        return self.ok and not moved

    def errors(self) -> list[tuple[str, MediaSyncError]]:
        """Sources that could not be worked on as a whole, and why."""
        found = [(r.name, r.error) for r in self.sync] + [(r.name, r.error) for r in self.purge]
        return [(name, error) for name, error in found if error is not None]

    def in_order(self) -> None:
        """Sources work side by side and end as they do; what is told of them has one order."""
        self.sync.sort(key=lambda report: report.name)
        self.purge.sort(key=lambda report: report.name)
        self.busy.sort()

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """`sync` and `purge` print `sources`; `run` prints both under their names.

        No list of files becomes longer than `most`; `<list>_more` then says how many are missing.
        """
        head: dict[str, Any] = {"job": self.job, "ok": self.ok}
        if self.dry_run:
            head["dry_run"] = True
        if self.busy:
            head["busy"] = self.busy
        sync = [r.as_json(most) for r in self.sync]
        purge = [r.as_json(most) for r in self.purge]
        if self.action == Action.SYNC:
            return head | {"sources": sync}
        if self.action == Action.PURGE:
            return head | {"sources": purge}
        if self.action == Action.VERIFY:
            return head | {"sources": [r.as_json(most) for r in self.verify]}
        return head | {"sync": sync, "purge": purge}

    def summary(self, problem: str) -> dict[str, Any]:
        """What the manifest keeps: counts, the first reasons, and the report with its long lists cut."""
        return {
            "problem": problem,
            "stored": sum(r.stored for r in self.sync),
            "failed": sum(len(r.failed) for r in self.sync)
            + sum(r.failed for r in self.purge)
            + sum(r.missing + r.damaged for r in self.verify),
            "purged": sum(r.purged for r in self.purge),
            "bytes_stored": sum(r.bytes_stored for r in self.sync),
            "bytes_freed": sum(r.bytes_freed for r in self.purge),
            "errors": [f"{name}: {error.line()}" for name, error in self.errors()][:10],
            "refused": [f"{r.name}: {r.refused}" for r in self.purge if r.refused][:10],
            "result": self.as_json(LISTED),
        }


def first_reasons(summary: dict[str, Any]) -> list[str]:
    """Why a job did not end well, as its summary tells; empty when only single files failed."""
    return [str(r) for r in (summary.get("problem"), *summary.get("errors", []), *summary.get("refused", [])) if r]


def not_pulled(left: LeftOut) -> SyncReport:
    """The report on a source that somebody asked for and that cannot be one."""
    return SyncReport(left.name, left.container, "", "docker", error=ConfigError(left.reason, hint=left.hint))


def not_purged(left: LeftOut) -> PurgeReport:
    """The same for a purge."""
    return PurgeReport(left.name, error=ConfigError(left.reason, hint=left.hint))


def carried_on(before: SyncReport, now: SyncReport) -> SyncReport:
    """The report of a second attempt, with what the first one brought home."""
    now.stored += before.stored
    now.duplicates += before.duplicates
    now.vanished += before.vanished
    now.bytes_stored += before.bytes_stored
    now.bytes_received += before.bytes_received
    now.bytes_listed += before.bytes_listed
    now.seconds += before.seconds
    now.incomplete += before.incomplete
    for road, count in before.road.items():
        now.road[road] += count
    return now


def log_left_out(faulty: Iterable[LeftOut]) -> None:
    """A line for each source that somebody asked for and that cannot be one."""
    for left in faulty:
        where = f"container {left.container}: " if left.container and left.container not in left.reason else ""
        hint = f" — {left.hint}" if left.hint else ""
        logger.bind(source=left.name).error("{}{}{}", where, left.reason, hint)


def log_sync(report: SyncReport) -> None:
    """One line for a source that something came from, one for each file that did not come."""
    if report.error is not None:
        logger.error("not pulled: {}", report.error.line())
        return
    for problem in report.failed[:100]:
        logger.bind(file=problem.path).warning("not stored: {}", problem.reason)
    level = "INFO" if report.stored or report.failed or report.incomplete else "DEBUG"
    logger.bind(stored=report.stored, bytes=report.bytes_stored, failed=len(report.failed)).log(
        level, "synced: {} stored, {} unchanged, {} not settled yet, {} failed, {} in {:.1f} s",
        report.stored, report.unchanged, len(report.unsettled), len(report.failed), size(report.bytes_stored),
        report.seconds)  # fmt: skip


def log_verify(report: VerifyReport) -> None:
    """One line for a source's copies, and one for each that is damaged; those that are missing may be many."""
    for path, reason in report.problems[:100]:
        if reason != MISSING:
            logger.bind(file=path).error("the copy is {}", reason)
    level = "ERROR" if report.lost else "INFO" if report.ok else "WARNING"
    again = f", {report.forgotten} to be pulled again" if report.forgotten else ""
    hint = f" — {ACCEPT}" if report.lost else ""
    logger.bind(bytes=report.size).log(
        level, "verified: {} copies, {}, {} missing, {} damaged{} in {:.1f} s{}", report.checked, size(report.size),
        report.missing, report.damaged, again, report.seconds, hint)  # fmt: skip


def log_purge(report: PurgeReport, *, dry_run: bool) -> None:
    """One line for a source that originals went from, or that refused."""
    if report.error is not None:
        logger.error("{}: {}", "purge cut short" if report.purged else "not purged", report.error.line())
    elif report.refused is not None:
        logger.warning("not purged: {}", report.refused)
        return
    what, done = ("would purge", "would be freed") if dry_run else ("purged", "freed")
    count, freed = (report.candidates, report.bytes_to_free) if dry_run else (report.purged, report.bytes_freed)
    level = "INFO" if count or report.failed else "DEBUG"
    logger.bind(purged=report.purged, bytes=freed).log(
        level, "{} {} originals, {} kept, {} failed, {} {}", what, count, sum(report.kept.values()),
        report.failed, size(freed), done)  # fmt: skip
