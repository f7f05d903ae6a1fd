"""Commands that work on sources: `sync`, `purge`, `run`, `verify` and `serve`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from loguru import logger

from sidecar import logs
from sidecar.cli import tables
from sidecar.cli.bars import view
from sidecar.cli.context import Context, run_async, serving
from sidecar.cli.exits import Exit, code_of_job
from sidecar.jobs.report import JobReport
from sidecar.orchestrator import SyncOrchestrator
from sidecar.progress import ProgressManager
from sidecar.workspace import Workspace, open_workspace


def _job(
    context: Context,
    action: str,
    text: Callable[[JobReport], str],
    work: Callable[[SyncOrchestrator, ProgressManager], Awaitable[JobReport]],
    *,
    looking: bool,
) -> Exit:
    """Run one job with progress, then tell sinks; print its report, answer its code."""
    progress = ProgressManager(action, (view(context.loaded.settings.log.format),))
    done: list[JobReport] = []
    sinks: list[dict[str, Any]] = []

    async def whole() -> None:
        async with open_workspace(context.loaded, os.environ, looking=looking) as workspace:
            tell = _nobody if looking or not workspace.settings.ingest.sinks else await _sinks(workspace)
            try:
                done.append(await work(workspace.orchestrator, progress))
            finally:
                progress.close()
            sinks.extend(await tell())

    well = False
    try:
        run_async(whole())
        well = not any(one["problem"] for one in sinks)
    finally:
        if done:  # it is said, even if the sinks could not be told of it
            _show(context, done[0], text, sinks, well=well)
    code = code_of_job(done[0])
    return code if well or code is not Exit.DONE else Exit.PARTLY


def _show(
    context: Context,
    report: JobReport,
    text: Callable[[JobReport], str],
    sinks: Sequence[Mapping[str, Any]],
    *,
    well: bool,
) -> None:
    """Print what a job did, and what sinks were told of it; `well`: as far as they could be."""
    value = report.as_json() | {"ok": report.ok and well}
    if not sinks:
        context.show(value, lambda: text(report))
    else:
        context.show(value | {"sinks": list(sinks)}, lambda: f"{text(report)}\n\n{tables.told_text(sinks)}")


async def _sinks(work: Workspace) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
    from sidecar.cli import afterwards  # not for everybody

    return await afterwards.prepare(work)


async def _nobody() -> list[dict[str, Any]]:
    return []


def sync(context: Context, names: Sequence[str], *, dry_run: bool) -> Exit:
    """Pull what is new."""
    return _job(context, "sync", tables.sync_text, lambda o, p: o.sync(names, p, dry_run=dry_run), looking=dry_run)


def purge(context: Context, names: Sequence[str], *, dry_run: bool, allow_empty: bool) -> Exit:
    """Delete old originals whose copies are proven."""
    return _job(
        context,
        "purge",
        tables.purge_text,
        lambda o, p: o.purge(names, p, dry_run=dry_run, allow_empty=allow_empty),
        looking=dry_run,
    )


def run(context: Context, names: Sequence[str], *, dry_run: bool, allow_empty: bool) -> Exit:
    """Sync, then purge if that is enabled."""

    def text(report: JobReport) -> str:
        return tables.sync_text(report) + ("\n\n" + tables.purge_text(report) if report.purge else "")

    return _job(
        context,
        "run",
        text,
        lambda o, p: o.run(names, p, dry_run=dry_run, allow_empty=allow_empty),
        looking=dry_run,
    )


def verify(context: Context, names: Sequence[str], *, dry_run: bool, accept_missing: bool) -> Exit:
    """Re-read all copies."""
    return _job(
        context,
        "verify",
        tables.verify_text,
        lambda o, p: o.verify(names, p, dry_run=dry_run, accept_missing=accept_missing),
        looking=dry_run,
    )


def serve(context: Context) -> Exit:
    """Work until told to stop."""
    from sidecar import service  # with HTTP and all: for this command alone

    serving()
    try:
        log, repeats = context.loaded.settings.log, logs.Repeats()
        form = "json" if context.as_json else log.format
        logs.setup(log.level, form, repeats=repeats)
        run_async(service.serve(context.loaded, os.environ, lambda: view(form), repeats.next_pass))
    except KeyboardInterrupt:
        logger.info("stopped")
    return Exit.DONE
