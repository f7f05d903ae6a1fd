"""Commands that tell what is stored, from the manifest alone: `status` and `list`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sidecar.cli import tables
from sidecar.cli.context import Context
from sidecar.cli.exits import Exit
from sidecar.config import Wrong, near, quoted, whole
from sidecar.errors import ConfigError, UnknownSource
from sidecar.host.locks import LOCK, is_locked
from sidecar.ingest.standing import standings
from sidecar.manifest import Item, JobRow, Manifest, SourceTotals
from sidecar.manifest.query import parse
from sidecar.models import shown


def status(context: Context) -> Exit:
    """What is stored, what waits, and the last jobs."""
    settings = context.loaded.settings
    manifest = Manifest.open_existing(settings.state)
    totals, jobs = (manifest.totals(), manifest.jobs(5)) if manifest else ([], [])
    sinks = [one.as_json() for one in standings(settings.ingest, manifest)]
    unread = manifest.findings.waiting() if manifest else 0
    if manifest:
        manifest.close()
    busy = is_locked(settings.state / LOCK)
    value = {
        "library": str(settings.library),
        "busy": busy,
        "sources": [_source(one) for one in totals],
        "jobs": [_job(one, busy=busy) for one in jobs],
        "sinks": sinks,
        "unread": unread,
    }

    def text() -> str:
        parts = [f"library {settings.library}", tables.status_text(totals, jobs, busy=busy)]
        if unread:
            parts.append(_unread(unread))
        return "\n\n".join([*parts, tables.sinks_text(sinks)] if sinks else parts)

    context.show(value, text)
    return Exit.DONE


def _source(of: SourceTotals) -> dict[str, Any]:
    return {
        "name": of.name,
        "kind": of.kind,
        "transport": of.transport,
        "container": of.container,
        "stored": of.stored,
        "purged": of.purged,
        "vanished": of.vanished,
        "waiting": of.waiting,
        "bytes": of.bytes,
    }


def _job(row: JobRow, *, busy: bool) -> dict[str, Any]:
    return {
        "job": row.id,
        "action": row.action,
        "cause": row.cause,
        "started_ns": row.started_ns,
        "ended_ns": row.ended_ns,
        "ok": row.ok,
        "result": tables.job_result(row, busy=busy),
    }


def items(context: Context, names: Sequence[str], *, query: str, limit: str, cursor: str | None) -> Exit:
    """A page of stored files that match, what was stored last first. Raises ConfigError, UnknownSource."""
    asked = parse(query)
    if cursor is not None and not re.fullmatch("[0-9]{1,18}", cursor):
        raise ConfigError(f"--cursor {quoted(cursor)} is no cursor", hint="give the `next` of the page before")
    try:
        most = whole(1, 10_000)(limit)
    except Wrong as error:
        raise ConfigError(f"--limit {error}", hint=error.hint) from None
    manifest = Manifest.open_existing(context.loaded.settings.state)
    found: list[Item] = []
    unread = 0
    if manifest is not None:
        try:
            wanted = _known(
                (*names, *asked.sources), [t.name for t in manifest.totals()] if names or asked.sources else []
            )
            found = manifest.items(
                replace(asked, sources=tuple(wanted)), limit=most + 1, before=int(cursor) if cursor else None
            )
            unread = manifest.findings.waiting() if query and not found else 0
        finally:
            manifest.close()
    page, more = found[:most], len(found) > most
    value = {"items": [i.as_json() for i in page], "next": str(page[-1].file_id) if more else None}

    def text() -> str:
        rows = [(i.source, i.state, tables.size(i.size), tables.when(i.mtime_ns), shown(i.library_path)) for i in page]
        rest = f"\nmore: --cursor {page[-1].file_id}" if more else ""
        if not rows:
            nothing = "no more files" if cursor is not None else "nothing matches" if query else "nothing is stored yet"
            return f"{nothing}; {_unread(unread)}" if unread else nothing
        return tables.table(("source", "state", "size", "modified", "in the library"), rows) + rest

    context.show(value, text)
    return Exit.DONE


def _unread(count: int) -> str:
    return f"{count} files were not looked into yet: serve does so by itself, `media-sync index` at once"


def _known(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Source names as the manifest has them. Raises UnknownSource."""
    for name in names:
        if name.lower() not in known:
            hint = near(name, known) or (f"there are {', '.join(known)}" if known else "nothing is stored yet")
            raise UnknownSource(f"nothing was ever stored from a source {quoted(name)}", hint=hint)
    return [name.lower() for name in names]
