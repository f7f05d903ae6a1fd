"""Results as text: plain columns that fit a terminal and survive a pipe."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sidecar.cleanup.report import PurgeReport
from sidecar.jobs.outcomes import ACCEPT
from sidecar.jobs.report import JobReport
from sidecar.logs import printable, size
from sidecar.manifest import JobRow, SourceTotals
from sidecar.models import NS, Problem, shown
from sidecar.sync.report import SyncReport

__all__ = ["job_result", "purge_text", "sinks_text", "size", "status_text", "sync_text", "table", "told_text",
           "verify_text", "when"]  # fmt: skip

LISTED = 20  # problems shown in text; --json has them all
REASON = 80  # columns
_LEAST = 8  # columns that a cut text keeps


def columns() -> int:
    """The width of the terminal that results are read on; 0 where they go elsewhere, and nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, minor: Sequence[str] = (), width: int | None = None
) -> str:
    """Columns as wide as their widest cell; numbers to the right.

    Within `width` columns (None: the terminal's; 0: any number) `minor` columns are given up, the first of them first,
    and then the widest texts are cut: paths keep their end, everything else its beginning.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    width = columns() if width is None else width
    kept = list(range(len(head)))
    for name in minor:
        if width and sum(_widths(head, cells, kept)) + 2 * len(kept) - 2 > width:
            kept.remove(list(head).index(name))
    names, cells = [head[i] for i in kept], [[row[i] for i in kept] for row in cells]
    right = [any(_numeric(row[i]) for row in cells) and all(_numeric(row[i]) or row[i] == "-" for row in cells)
             for i in range(len(names))]  # fmt: skip
    widths = _widths(names, cells, range(len(names)))
    if width:
        _narrow(names, widths, right, width)

    def line(row: Sequence[str]) -> str:
        padded = (_cut(c, w).rjust(w) if r else _cut(c, w).ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(names), *map(line, cells)])


def _widths(head: Sequence[str], cells: Sequence[Sequence[str]], kept: Iterable[int]) -> list[int]:
    return [max([len(head[i]), *(len(row[i]) for row in cells)]) for i in kept]


def _narrow(names: Sequence[str], widths: list[int], right: Sequence[bool], width: int) -> None:
    """Take columns from the widest texts, one by one, until all fit or nothing can be cut any more."""
    while sum(widths) + 2 * len(widths) - 2 > width:
        able = [i for i, r in enumerate(right) if not r and widths[i] > max(_LEAST, len(names[i]))]
        if not able:
            return
        widths[max(able, key=lambda i: widths[i])] -= 1


def _cut(cell: str, width: int) -> str:
    if len(cell) <= width:
        return cell
    return "…" + cell[len(cell) - width + 1 :] if "/" in cell and " " not in cell else cell[: width - 1] + "…"


def _numeric(cell: str) -> bool:
    return re.fullmatch(r"\(?[0-9]+(\.[0-9]+)?\)?( [kMGT]?B)?", cell) is not None


def when(ns: int | None) -> str:
    """A moment in local time."""
    if ns is None:
        return "-"
    return datetime.datetime.fromtimestamp(ns / NS, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def sync_text(report: JobReport) -> str:
    """What a sync did, a line per source, then what is wrong."""
    head = (
        "source",
        "files",
        "unchanged",
        "stored",
        "new bytes",
        "waiting",
        "skipped",
        "failed",
        "received",
        "seconds",
    )
    rows: list[tuple[object, ...]] = [
        (r.name, *["-"] * 9)
        if r.error is not None and not r.scanned
        else (
            r.name,
            r.scanned,
            r.unchanged,
            r.stored if not report.dry_run else f"({r.would_store})",
            size(r.bytes_stored if not report.dry_run else r.bytes_to_store),
            len(r.unsettled),
            len(r.skipped),
            len(r.failed) + (r.error is not None),
            size(r.bytes_received),
            f"{r.seconds:.1f}",
        )
        for r in report.sync
    ]
    parts = [table(head, rows, minor=("seconds", "received"))] if any(r.error is None for r in report.sync) else []
    if report.dry_run:
        parts.append("dry run: numbers in brackets would be stored, nothing was changed")
    for r in report.sync:
        parts += _troubles(r)
    return "\n".join(parts)


def _troubles(r: SyncReport) -> list[str]:
    lines = _listed(r.name, "failed", r.failed)
    lines += _listed(r.name, "incomplete", r.incomplete)
    lines += _listed(r.name, "waiting", r.unsettled)
    return lines


def _listed(name: str, what: str, problems: Sequence[Problem]) -> list[str]:
    lines = [f"{name}: {what}: {shown(p.path)}: {p.reason}" for p in problems[:LISTED]]
    if len(problems) > LISTED:
        lines.append(f"{name}: {what}: and {len(problems) - LISTED} more, see --json")
    return [printable(line) for line in lines]


def purge_text(report: JobReport) -> str:
    """What a purge did or would do."""
    what = "would go" if report.dry_run else "purged"
    head = ["source", what, "kept", "failed", *(["would free"] if report.dry_run else ["freed", "seconds"])]
    rows = [
        (
            r.name,
            r.candidates if report.dry_run else r.purged,
            sum(r.kept.values()),
            r.failed,
            size(r.bytes_to_free if report.dry_run else r.bytes_freed),
            *(() if report.dry_run else (f"{r.seconds:.1f}",)),
        )
        for r in report.purge
    ]
    parts = [table(head, rows)] if any(r.error is None for r in report.purge) else []
    for r in report.purge:
        parts += _kept(r, dry_run=report.dry_run)
    return "\n".join(parts)


def _kept(r: PurgeReport, *, dry_run: bool) -> list[str]:
    lines = [f"{r.name}: refused: {r.refused}"] if r.refused else []
    lines += [f"{r.name}: kept {count}: {reason}" for reason, count in r.kept.most_common()]
    lines += [f"{r.name}: {shown(path)}: {reason}" for path, outcome, reason in r.files if outcome == "failed"][:LISTED]
    if dry_run:
        going = sorted(shown(path) for path, outcome, _ in r.files if outcome == "would purge")
        lines += [f"{r.name}: would delete {path}" for path in going[:LISTED]]
        if len(going) > LISTED:
            lines.append(f"{r.name}: would delete {len(going) - LISTED} more, see --json")
    return [printable(line) for line in lines]


def verify_text(report: JobReport) -> str:
    """What a check of the copies found, a line per source, then what is wrong."""
    if not report.verify:
        return "nothing is stored yet"
    head = ("source", "copies", "size", "missing", "damaged", "to be pulled again", "given up", "seconds")
    rows = [
        (r.name, r.checked, size(r.size), r.missing, r.damaged, r.forgotten, r.given_up, f"{r.seconds:.1f}")
        for r in report.verify
    ]
    wrong = [f"{r.name}: {shown(path)}: {reason}" for r in report.verify for path, reason in r.problems[:LISTED]]
    hint = [f"{ACCEPT[0].upper()}{ACCEPT[1:]}."] if any(r.lost for r in report.verify) else []
    return "\n".join([table(head, rows), *map(printable, wrong), *hint])


def status_text(totals: Sequence[SourceTotals], jobs: Sequence[JobRow], *, busy: bool) -> str:
    """What the manifest holds, and the last jobs."""
    head = ("source", "kind", "container", "in source", "purged there", "gone there", "waiting", "stored bytes")
    rows = [(t.name, t.kind, t.container, t.stored, t.purged, t.vanished, t.waiting, size(t.bytes)) for t in totals]
    parts = [table(head, rows, minor=("kind",)) if rows else "nothing is stored yet"]
    if jobs:
        parts += [
            "",
            table(
                ("job", "action", "started", "ended", "result"),
                [(j.id, j.action, when(j.started_ns), when(j.ended_ns), job_result(j, busy=busy)) for j in jobs],
                minor=("ended", "job"),
            ),
        ]
    return "\n".join(parts)


def sinks_text(sinks: Sequence[Mapping[str, Any]]) -> str:
    """How sinks stand, a line each, then what keeps them from being told."""
    head = ("sink", "type", "required", "waiting", "refused", "older, untold", "told", "last")
    rows = [
        (s["name"], s["type"], "yes" if s["required"] else "no", s["backlog"], s["refused"], s["unfilled"], s["told"],
         when(s["told_ns"]))
        for s in sinks
    ]  # fmt: skip
    lines = [table(head, rows, minor=("type", "last"))]
    for s in sinks:
        if s["problem"]:
            lines.append(printable(f"{s['name']}: {s['problem']}"))
        if s["filling"]:
            lines.append(f"{s['name']}: a backfill has come to file {s['filling']['at']} of {s['filling']['upto']}")
        elif s["unfilled"]:
            lines.append(f"{s['name']}: `media-sync ingest backfill` tells it of older files")
    return "\n".join(lines)


def told_text(sinks: Sequence[Mapping[str, Any]]) -> str:
    """What sinks were told just now, and what stays."""
    head = ("sink", "told", "waiting", "refused")
    rows = [(s["name"], s["told"], s["backlog"], s["refused"]) for s in sinks]
    lines = [printable(f"{s['name']}: {s['problem']}") for s in sinks if s["problem"]]
    return "\n".join([table(head, rows), *lines])


def job_result(job: JobRow, *, busy: bool = False) -> str:
    """How a job ended, with its first reason. `busy`: some process is at work, so a job without an end may be its."""
    if job.ok is None:
        return "under way" if busy else "interrupted"
    told = json.loads(job.report or "{}")
    if job.ok:
        done = ", ".join(f"{told[what]} {what}" for what in ("stored", "purged") if told.get(what))
        return done or ("nothing to purge" if job.action == "purge" else "nothing new")
    if told.get("problem") == "cancelled":
        return "interrupted"
    reasons = [told.get("problem"), *told.get("errors", []), *told.get("refused", [])]
    first = next((str(r) for r in reasons if r), f"{told.get('failed', 0)} files failed")
    return f"failed: {first if len(first) <= REASON else first[: REASON - 1] + '…'}"
