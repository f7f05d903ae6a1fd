"""Commands that work on sources: `sync`, `purge`, `run`, `verify` and `serve`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
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
    """Run one job with progress, then tell sinks; print its report, answer its code, whatever became of the sinks."""
    progress = ProgressManager(action, (view(context.loaded.settings.log.format),))

    async def whole() -> tuple[JobReport, list[dict[str, Any]]]:
        async with open_workspace(context.loaded, os.environ, looking=looking) as workspace:
            tell = _nobody if looking or not workspace.settings.ingest.sinks else await _sinks(workspace)
            try:
                report = await work(workspace.orchestrator, progress)
            finally:
                progress.close()
            return report, await tell()

    report, sinks = run_async(whole())
    told = {"sinks": sinks} if sinks else {}
    context.show(report.as_json() | told,
                 lambda: "\n\n".join([text(report), *([tables.told_text(sinks)] if sinks else [])]))  # fmt: skip
    return code_of_job(report)


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
