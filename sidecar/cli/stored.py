"""Commands that tell what is stored, from the manifest alone: `status` and `list`."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.cli import tables
from sidecar.cli.context import Context
from sidecar.cli.exits import Exit
from sidecar.config import Wrong, near, quoted, whole
from sidecar.errors import ConfigError, UnknownSource
from sidecar.host.locks import LOCK, is_locked
from sidecar.manifest import Item, Manifest
from sidecar.models import shown


def status(context: Context) -> Exit:
    """What is stored, what waits, and the last jobs."""
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


def items(context: Context, names: Sequence[str], *, limit: str, cursor: str | None) -> Exit:
    """A page of stored files, what was stored last first. Raises ConfigError, UnknownSource."""
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
            wanted = _known(names, [t.name for t in manifest.totals()] if names else [])
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


def _known(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Source names as the manifest has them. Raises UnknownSource."""
    for name in names:
        if name.lower() not in known:
            hint = near(name, known) or (f"there are {', '.join(known)}" if known else "nothing is stored yet")
            raise UnknownSource(f"nothing was ever stored from a source {quoted(name)}", hint=hint)
    return [name.lower() for name in names]
