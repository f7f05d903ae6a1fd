"""Commands that tell sinks, and of sinks: `ingest status`, `ingest retry` and `ingest backfill`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from tqdm import tqdm

from sidecar.cli import tables
from sidecar.cli.context import Context, run_async
from sidecar.cli.exits import Exit
from sidecar.config import Settings, near, quoted
from sidecar.errors import ConfigError, ManifestDamaged, MediaSyncError
from sidecar.events import Event, SinkTold
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.opening import open_deliveries
from sidecar.ingest.standing import standings
from sidecar.logs import printable
from sidecar.manifest import Manifest
from sidecar.models import shown
from sidecar.workspace import open_state

MOST = 1000  # refused files that are listed as JSON; as text tables.LISTED
Work = Callable[[Delivery], Awaitable[None]]


def status(context: Context) -> Exit:
    """How far each sink was told, and what it would not take."""
    settings = context.loaded.settings
    manifest = Manifest.open_existing(settings.state)
    try:
        found = [one.as_json() | {"refusals": _refusals(manifest, one.name)}
                 for one in standings(settings.ingest, manifest)]  # fmt: skip
    finally:
        if manifest is not None:
            manifest.close()

    def text() -> str:
        lines = [tables.sinks_text(found)]
        for one in found:
            some = one["refusals"][: tables.LISTED]
            lines += [printable(f"{one['name']}: refused: {r['library_path']}: {r['reason']}") for r in some]
            if one["refused"] > len(some):
                lines.append(f"{one['name']}: refused: and {one['refused'] - len(some)} more, see --json")
        return "\n".join(lines) if found else "no sink is configured"

    context.show({"sinks": found}, text)
    return Exit.DONE


def _refusals(manifest: Manifest | None, sink: str) -> list[dict[str, Any]]:
    rows = manifest.deliveries.refusals(sink, MOST) if manifest is not None else []
    return [{"library_path": shown(path), "reason": reason, "at_ns": at_ns} for _, path, reason, at_ns in rows]


def retry(context: Context, names: Sequence[str]) -> Exit:
    """Tell what waits, and once more what was refused. Raises ConfigError, Locked."""

    async def work(delivery: Delivery) -> None:
        await delivery.catch_up()
        await delivery.retry()

    return _told(context, names, work)


def backfill(context: Context, names: Sequence[str]) -> Exit:
    """Tell of everything that was ever stored. Raises ConfigError, Locked."""

    async def work(delivery: Delivery) -> None:
        await delivery.catch_up()
        await delivery.backfill()

    return _told(context, names, work)


def _told(context: Context, names: Sequence[str], work: Work) -> Exit:
    settings = context.loaded.settings
    wanted = _known(names, settings)
    found = run_async(_tell(settings, wanted, work))
    context.show({"sinks": found}, lambda: tables.told_text(found))
    return Exit.DONE if all(one["ok"] for one in found) else Exit.PARTLY


def _known(names: Sequence[str], settings: Settings) -> list[str]:
    known = list(settings.ingest.sinks)
    if not known:
        raise ConfigError("no sink is configured", hint="add one to ingest.sinks; the README shows how")
    for name in names:
        if name.lower() not in known:
            hint = near(name, known) or f"there are {', '.join(known)}"
            raise ConfigError(f"there is no sink {quoted(name)}", hint=hint)
    return [name.lower() for name in names] or known


async def _tell(settings: Settings, names: Sequence[str], work: Work) -> list[dict[str, Any]]:
    """Side by side for all, so that one that is down delays only itself; answers what became of each."""
    took: dict[str, int] = defaultdict(int)
    with tqdm(unit=" records", disable=not sys.stderr.isatty()) as bar:

        def heard(event: Event) -> None:
            if isinstance(event, SinkTold):
                took[event.sink] += event.told
                bar.update(event.told + event.refused)

        async with AsyncExitStack() as stack:
            manifest = open_state(settings, stack)
            deliveries = [d for d in await open_deliveries(settings, manifest, heard) if d.name in names]
            problems = await asyncio.gather(*(_one(delivery, work) for delivery in deliveries))
            rows = {one.name: one.as_json() for one in standings(settings.ingest, manifest)}
    return [_outcome(rows[d.name], took[d.name], problem) for d, problem in zip(deliveries, problems, strict=True)]


async def _one(delivery: Delivery, work: Work) -> str | None:
    """Why a sink could not be told everything; None when it was."""
    try:
        await work(delivery)
    except ManifestDamaged:
        raise
    except MediaSyncError as error:
        await delivery.note(error)
        return error.line()
    finally:
        await delivery.close()
    return None


def _outcome(row: dict[str, Any], took: int, problem: str | None) -> dict[str, Any]:
    left = row["backlog"] + row["refused"]
    if problem is None and row["backlog"]:
        problem = f"{row['backlog']} changes wait until their files were looked into, which `serve` does"
    return {"name": row["name"], "ok": problem is None and not left, "told": took, "backlog": row["backlog"],
            "refused": row["refused"], "unfilled": row["unfilled"], "problem": problem}  # fmt: skip
