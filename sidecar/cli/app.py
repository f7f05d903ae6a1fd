"""The commands of `media-sync`: their names and options. What a command does is imported when it is called."""

from __future__ import annotations

import io
import sys
import time
from typing import Annotated

import typer
from loguru import logger

from sidecar import __version__, logs
from sidecar.cli.context import Context, command, leave
from sidecar.cli.exits import Exit, usage_line
from sidecar.config import shown_values

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
ingest_app = typer.Typer(invoke_without_command=True, help="Tell sinks, and see how they stand.", rich_markup_mode=None)
app.add_typer(ingest_app, name="ingest")

Names = Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="Only these sources.", show_default=False)]
Sinks = Annotated[list[str] | None, typer.Argument(metavar="SINK", help="Only these sinks.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Allow a purge that leaves nothing.")]
AcceptMissing = Annotated[
    bool,
    typer.Option("--accept-missing", help="Missing copies whose originals are gone were deleted on purpose: never "
                                          "complain of them again."),
]  # fmt: skip
OlderThan = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", help="Least age of what is deleted (24h).")
]
MaxDelete = Annotated[str | None, typer.Option("--max-delete", metavar="N|P%", help="Refuse to delete more than this.")]
KeepNewest = Annotated[str | None, typer.Option("--keep-newest", metavar="N", help="Highest numbers that stay.")]

Every = Annotated[str | None, typer.Option("--every", metavar="AGE", help="From one pass to the next (1m).")]
Query = Annotated[str, typer.Option("--query", metavar="QUERY", help="Only what matches: words, KEY:VALUE.")]
Again = Annotated[bool, typer.Option("--again", help="Also what was looked into before.")]
Limit = Annotated[str, typer.Option("--limit", metavar="N", help="Items on a page, up to 10000.")]
Cursor = Annotated[str | None, typer.Option("--cursor", metavar="CURSOR", help="`next` of the last page.")]


def main() -> None:
    """Entry point of `media-sync` and `python -m sidecar`. Ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is still shown
    try:
        code = app(prog_name="media-sync", standalone_mode=False)
    except typer.Abort:
        code = Exit.PARTLY
    except Exception as error:
        if (said := usage_line(error)) is None:
            raise
        logs.setup("info", "auto")
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


@ingest_app.callback()
@config_app.callback()
def _config(context: typer.Context) -> None:
    """Options before the command of a group."""
    _help(context)


@command(app, "sync")
def sync(context: Context, names: Names = None, dry_run: DryRun = False) -> Exit:
    """Pull what is new into the library."""
    from sidecar.cli import working

    return working.sync(context, names or [], dry_run=dry_run)


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
    from sidecar.cli import working

    return working.purge(context, names or [], dry_run=dry_run, allow_empty=allow_empty)


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
    from sidecar.cli import working

    return working.run(context, names or [], dry_run=dry_run, allow_empty=allow_empty)


@command(app, "verify")
def verify(
    context: Context, names: Names = None, dry_run: DryRun = False, accept_missing: AcceptMissing = False
) -> Exit:
    """Re-read all copies and compare them with the record.

    A damaged or missing copy is pulled again by the next sync if its original is still there.
    """
    from sidecar.cli import working

    return working.verify(context, names or [], dry_run=dry_run, accept_missing=accept_missing)


@command(app, "serve")
def serve(context: Context, schedule__every: Every = None) -> Exit:
    """Sync and purge again and again, until told to stop. There is no result: --json is --log-format json."""
    from sidecar.cli import working

    return working.serve(context)


@command(app, "sources")
def sources(context: Context) -> Exit:
    """Show the sources, and what was left out and why."""
    from sidecar.cli import looking

    return looking.sources(context)


@command(app, "doctor")
def doctor(context: Context) -> Exit:
    """Check engine, folders, clocks and sources."""
    from sidecar.cli import looking

    return looking.doctor(context)


@command(app, "status")
def status(context: Context) -> Exit:
    """Show what is stored, what waits, and the last jobs."""
    from sidecar.cli import stored

    return stored.status(context)


@command(app, "list")
def list_items(
    context: Context, names: Names = None, query: Query = "", limit: Limit = "100", cursor: Cursor = None
) -> Exit:
    """List stored files, what was stored last first.

    A query like 'seed:1234 model:flux "red fox" -cat after:2026-11-01 kind:video' finds by words in names and prompts,
    and by source: kind: state: name: after: before: seed: prompt: negative: model: lora: software:.
    """
    from sidecar.cli import stored

    return stored.items(context, names or [], query=query, limit=limit, cursor=cursor)


@command(app, "index")
def index(context: Context, again: Again = False) -> Exit:
    """Look into stored files: type, integrity, metadata, thumbnail. `serve` does so by itself."""
    from sidecar.cli import indexing

    return indexing.index(context, again=again)


@command(app, "healthcheck")
def healthcheck(context: Context) -> Exit:
    """Whether serve is alive and its last pass succeeded."""
    from sidecar.telling.health import health

    found = health(context.loaded.settings.state, time.time_ns())
    context.show({"ok": found.ok, "detail": found.sentence, "warnings": list(found.warnings)},
                 lambda: "\n".join((found.sentence, *found.warnings)))  # fmt: skip
    return Exit.DONE if found.ok else Exit.UNEXPECTED


@command(config_app, "show")
def config_show(context: Context) -> Exit:
    """Show every setting in force, and where it came from."""
    from sidecar.cli import tables

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


@command(ingest_app, "status")
def ingest_status(context: Context) -> Exit:
    """Show how far each sink was told, and what it refused."""
    from sidecar.cli import ingesting

    return ingesting.status(context)


@command(ingest_app, "retry")
def ingest_retry(context: Context, names: Sinks = None) -> Exit:
    """Tell sinks what waits, and once more what they refused. A serve that runs does it."""
    from sidecar.cli import ingesting

    return ingesting.retry(context, names or [])


@command(ingest_app, "backfill")
def ingest_backfill(context: Context, names: Sinks = None) -> Exit:
    """Tell sinks of every file that was ever stored; goes on where it was cut short. A serve that runs does it."""
    from sidecar.cli import ingesting

    return ingesting.backfill(context, names or [])
