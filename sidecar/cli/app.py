"""The commands of `media-sync`."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from loguru import logger

from sidecar import __version__, logs
from sidecar.cli import tables
from sidecar.cli.bars import view
from sidecar.cli.context import Context, command, leave, run_async, serving
from sidecar.cli.exits import Exit, code_of_job, usage_line
from sidecar.config import Wrong, near, quoted, shown_values, whole
from sidecar.errors import ConfigError, UnknownSource
from sidecar.jobreport import JobReport
from sidecar.locks import LOCK, is_locked
from sidecar.manifest import Item, Manifest
from sidecar.models import shown
from sidecar.orchestrator import SyncOrchestrator
from sidecar.progress import ProgressManager

app = typer.Typer(
    name="media-sync",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pull, prove and purge the output of image generators in containers.",
)
config_app = typer.Typer(invoke_without_command=True, help="Show or check the settings.", rich_markup_mode=None)
app.add_typer(config_app, name="config")

Names = Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="Only these sources.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Allow a purge that leaves nothing.")]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", help="Least age of what is deleted (24h).")
]
MaxDelete = Annotated[str | None, typer.Option("--max-delete", metavar="N|P%", help="Refuse to delete more than this.")]
KeepNewest = Annotated[str | None, typer.Option("--keep-newest", metavar="N", help="Highest numbers that stay.")]

Every = Annotated[str | None, typer.Option("--every", metavar="AGE", help="From one pass to the next (1m).")]
Limit = Annotated[str, typer.Option("--limit", metavar="N", help="Items on a page, up to 10000.")]
Cursor = Annotated[str | None, typer.Option("--cursor", metavar="CURSOR", help="`next` of the last page.")]


def main() -> None:
    """Entry point of `media-sync` and `python -m sidecar`. Ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is still shown
    logs.setup("info", "auto")
    try:
        code = app(prog_name="media-sync", standalone_mode=False)
    except typer.Abort:
        code = Exit.PARTLY
    except Exception as error:
        if (said := usage_line(error)) is None:
            raise
        logger.error("{}", said)
        code = Exit.USAGE
    leave(int(code or 0))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"media-sync {__version__}")
        raise typer.Exit


def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(int(Exit.USAGE))


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]


@app.callback()
def _top(context: typer.Context, version: Version = False) -> None:
    """Options before the command."""
    _help(context)


@config_app.callback()
def _config(context: typer.Context) -> None:
    """Options before the command of a group."""
    _help(context)


def _job(
    context: Context,
    action: str,
    text: Callable[[JobReport], str],
    work: Callable[[SyncOrchestrator, ProgressManager], Awaitable[JobReport]],
    *,
    looking: bool = False,
) -> Exit:
    """Run one job with progress, print its report, answer its code."""
    from sidecar.workspace import open_workspace

    progress = ProgressManager(action, (view(context.loaded.settings.log.format),))

    async def whole() -> JobReport:
        async with open_workspace(context.loaded, os.environ, looking=looking) as workspace:
            try:
                return await work(workspace.orchestrator, progress)
            finally:
                progress.close()

    report = run_async(whole())
    context.show(report.as_json(), lambda: text(report))
    return code_of_job(report)


@command(app, "sync")
def sync(context: Context, names: Names = None, dry_run: DryRun = False) -> Exit:
    """Pull what is new into the library."""
    return _job(
        context, "sync", tables.sync_text, lambda o, p: o.sync(names or [], p, dry_run=dry_run), looking=dry_run
    )


@command(app, "purge")
def purge(
    context: Context,
    names: Names = None,
    dry_run: DryRun = False,
    allow_empty: AllowEmpty = False,
    purge__older_than: OlderThan = None,
    purge__max_delete: MaxDelete = None,
    purge__keep_newest: KeepNewest = None,
) -> Exit:
    """Delete old originals whose copies are proven."""
    return _job(
        context,
        "purge",
        tables.purge_text,
        lambda o, p: o.purge(names or [], p, dry_run=dry_run, allow_empty=allow_empty),
        looking=dry_run,
    )


@command(app, "run")
def run(
    context: Context,
    names: Names = None,
    dry_run: DryRun = False,
    allow_empty: AllowEmpty = False,
    purge__older_than: OlderThan = None,
    purge__max_delete: MaxDelete = None,
    purge__keep_newest: KeepNewest = None,
) -> Exit:
    """Sync, then purge if purge.enabled."""

    def text(report: JobReport) -> str:
        return tables.sync_text(report) + ("\n\n" + tables.purge_text(report) if report.purge else "")

    return _job(
        context,
        "run",
        text,
        lambda o, p: o.run(names or [], p, dry_run=dry_run, allow_empty=allow_empty),
        looking=dry_run,
    )


@command(app, "verify")
def verify(context: Context, names: Names = None, dry_run: DryRun = False) -> Exit:
    """Re-read all copies and compare them with the record.

    A damaged or missing copy is pulled again by the next sync if its original is still there.
    """
    return _job(
        context, "verify", tables.verify_text, lambda o, p: o.verify(names or [], p, dry_run=dry_run), looking=dry_run
    )


@command(app, "serve")
def serve(context: Context, schedule__every: Every = None) -> Exit:
    """Sync and purge again and again, until told to stop. There is no result: --json is --log-format json."""
    from sidecar import service

    serving()
    try:
        log, repeats = context.loaded.settings.log, logs.Repeats()
        form = "json" if context.as_json else log.format
        logs.setup(log.level, form, repeats=repeats)
        run_async(service.serve(context.loaded, os.environ, lambda: view(form), repeats.next_pass))
    except KeyboardInterrupt:
        logger.info("stopped")
    return Exit.DONE


@command(app, "sources")
def sources(context: Context) -> Exit:
    """Show the sources, and what was left out and why."""
    from sidecar.cli.looking import find_sources, sources_text

    found = run_async(find_sources(context.loaded, os.environ))
    context.show(found, lambda: sources_text(found))
    if not any(left["faulty"] for left in found["left_out"]):
        return Exit.DONE
    return Exit.PARTLY if found["sources"] else Exit.USAGE


@command(app, "doctor")
def doctor(context: Context) -> Exit:
    """Check engine, folders, clocks and sources."""
    from sidecar.cli.looking import doctor_exit, doctor_text, examine_all

    checks = run_async(examine_all(context.loaded, os.environ))
    rows = [{"name": c.name, "verdict": c.verdict.value, "detail": c.detail, "hint": c.hint} for c in checks]
    context.show({"ok": all(c.error is None for c in checks), "checks": rows}, lambda: doctor_text(checks))
    return doctor_exit(checks)


@command(app, "status")
def status(context: Context) -> Exit:
    """Show what is stored, what waits, and the last jobs."""
    settings = context.loaded.settings
    manifest = Manifest.open_existing(settings.state)
    totals, jobs = (manifest.totals(), manifest.jobs(5)) if manifest else ([], [])
    if manifest:
        manifest.close()
    busy = is_locked(settings.state / LOCK)
    value = {
        "library": str(settings.library),
        "busy": busy,
        "sources": [
            {
                "name": t.name,
                "kind": t.kind,
                "transport": t.transport,
                "container": t.container,
                "stored": t.stored,
                "purged": t.purged,
                "vanished": t.vanished,
                "waiting": t.waiting,
                "bytes": t.bytes,
            }
            for t in totals
        ],
        "jobs": [
            {
                "job": j.id,
                "action": j.action,
                "cause": j.cause,
                "started_ns": j.started_ns,
                "ended_ns": j.ended_ns,
                "ok": j.ok,
                "result": tables.job_result(j, busy=busy),
            }
            for j in jobs
        ],
    }
    context.show(value, lambda: f"library {settings.library}\n\n{tables.status_text(totals, jobs, busy=busy)}")
    return Exit.DONE


@command(app, "list")
def list_items(context: Context, names: Names = None, limit: Limit = "100", cursor: Cursor = None) -> Exit:
    """List stored files, what was stored last first."""
    if cursor is not None and not cursor.isdigit():
        raise ConfigError(f"--cursor {quoted(cursor)} is no cursor", hint="give the `next` of the page before")
    try:
        most = whole(1, 10_000)(limit)
    except Wrong as error:
        raise ConfigError(f"--limit {error}", hint=error.hint) from None
    manifest = Manifest.open_existing(context.loaded.settings.state)
    found: list[Item] = []
    if manifest is not None:
        try:
            wanted = _known(names or [], [t.name for t in manifest.totals()] if names else [])
            found = manifest.items(sources=wanted, limit=most + 1, before=int(cursor) if cursor else None)
        finally:
            manifest.close()
    page, more = found[:most], len(found) > most
    value = {"items": [i.as_json() for i in page], "next": str(page[-1].file_id) if more else None}

    def text() -> str:
        rows = [(i.source, i.state, tables.size(i.size), tables.when(i.mtime_ns), shown(i.library_path)) for i in page]
        rest = f"\nmore: --cursor {page[-1].file_id}" if more else ""
        if not rows:
            return "nothing is stored yet" if cursor is None else "no more files"
        return tables.table(("source", "state", "size", "modified", "in the library"), rows) + rest

    context.show(value, text)
    return Exit.DONE


def _known(names: list[str], known: list[str]) -> list[str]:
    """Source names as the manifest has them. Raises UnknownSource."""
    for name in names:
        if name.lower() not in known:
            hint = near(name, known) or (f"there are {', '.join(known)}" if known else "nothing is stored yet")
            raise UnknownSource(f"nothing was ever stored from a source {quoted(name)}", hint=hint)
    return [name.lower() for name in names]


@command(app, "healthcheck")
def healthcheck(context: Context) -> Exit:
    """Whether serve is alive and its last pass succeeded."""
    from sidecar.health import health

    ok, sentence = health(context.loaded.settings.state, time.time_ns())
    context.show({"ok": ok, "detail": sentence}, lambda: sentence)
    return Exit.DONE if ok else Exit.UNEXPECTED


@command(config_app, "show")
def config_show(context: Context) -> Exit:
    """Show every setting in force, and where it came from."""
    values = shown_values(context.loaded)
    context.show(
        {v.key: {"value": v.value, "origin": v.origin} for v in values},
        lambda: tables.table(("setting", "value", "from"), [(v.key, v.value, v.origin) for v in values]),
    )
    return Exit.DONE


@command(config_app, "validate")
def config_validate(context: Context) -> Exit:
    """Check the settings of all layers."""
    file = context.loaded.file
    context.show({"ok": True, "file": file}, lambda: f"the settings are valid{f' ({file})' if file else ''}")
    return Exit.DONE
