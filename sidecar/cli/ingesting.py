"""Commands that tell sinks, and of sinks: `ingest status`, `ingest retry` and `ingest backfill`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from tqdm import tqdm

from sidecar.cli import tables
from sidecar.cli.beside import beside_serve
from sidecar.cli.context import Context, run_async
from sidecar.cli.exits import Exit
from sidecar.config import Settings, near, quoted
from sidecar.errors import ConfigError, Locked, ManifestDamaged, MediaSyncError
from sidecar.events import Bus, Event, SinkTold
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.opening import open_deliveries
from sidecar.ingest.standing import standings
from sidecar.logs import printable
from sidecar.manifest import Manifest
from sidecar.models import shown
from sidecar.workspace import open_state

MOST = 1000  # refused files that are listed as JSON; as text tables.LISTED


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
    return _ask(context, names, everything=False)


def backfill(context: Context, names: Sequence[str]) -> Exit:
    """Tell of everything that was ever stored. Raises ConfigError, Locked."""
    return _ask(context, names, everything=True)


def _ask(context: Context, names: Sequence[str], *, everything: bool) -> Exit:
    """Have it done: by this process, or by the `serve` that has the state."""
    settings = context.loaded.settings
    wanted = _known(names, settings)
    try:
        found = run_async(_tell(settings, wanted, everything=everything))
    except Locked as locked:
        return _leave_word(context, wanted, locked, everything=everything)
    context.show({"sinks": found, "left_to_serve": False}, lambda: tables.told_text(found))
    return Exit.DONE if all(one["ok"] for one in found) else Exit.PARTLY


def _leave_word(context: Context, names: Sequence[str], locked: Locked, *, everything: bool) -> Exit:
    settings = context.loaded.settings
    with beside_serve(settings.state, locked) as manifest:
        found = [one for one in standings(settings.ingest, manifest) if one.name in names]
        if unknown := [one.name for one in found if one.row is None]:
            raise ConfigError(f"serve does not know the sink {quoted(unknown[0])}",
                              hint="start it again with these settings") from None  # fmt: skip
        manifest.deliveries.ask(names, time.time_ns(), everything=everything)
    context.show(
        {"sinks": [_outcome(one.as_json(), 0, one.problem or None) for one in found], "left_to_serve": True},
        lambda: "serve does it now; `media-sync ingest status` shows how far it is",
    )
    return Exit.DONE


def _known(names: Sequence[str], settings: Settings) -> list[str]:
    known = list(settings.ingest.sinks)
    if not known:
        raise ConfigError("no sink is configured", hint="add one to ingest.sinks; the README shows how")
    for name in names:
        if name.lower() not in known:
            hint = near(name, known) or f"there are {', '.join(known)}"
            raise ConfigError(f"there is no sink {quoted(name)}", hint=hint)
    return [name.lower() for name in names] or known


async def _tell(settings: Settings, names: Sequence[str], *, everything: bool) -> list[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        manifest, bus = open_state(settings, stack), Bus()
        deliveries = [one for one in await open_deliveries(settings, manifest, bus.emit) if one.name in names]
        await asyncio.to_thread(manifest.deliveries.ask, names, time.time_ns(), everything=everything)
        return await tell_all(settings, manifest, bus, deliveries)


async def tell_all(settings: Settings, manifest: Manifest, bus: Bus, deliveries: Sequence[Delivery]
                   ) -> list[dict[str, Any]]:  # fmt: skip
    """Side by side for all, so that one that is down delays only itself; answers what became of each.

    `bus` is what the deliveries tell. Raises what the manifest raises.
    """
    took: dict[str, int] = defaultdict(int)
    with tqdm(unit=" records", disable=not sys.stderr.isatty()) as bar:

        def heard(event: Event) -> None:
            assert isinstance(event, SinkTold)  # noqa: S101 (what it is subscribed to)
            took[event.sink] += event.told
            bar.update(event.told + event.refused)

        deaf = bus.subscribe(heard, SinkTold)
        problems = await asyncio.gather(*(_one(delivery) for delivery in deliveries))
        deaf()
    rows = {one.name: one.as_json() for one in standings(settings.ingest, manifest)}
    return [_outcome(rows[d.name], took[d.name], problem) for d, problem in zip(deliveries, problems, strict=True)]


async def _one(delivery: Delivery) -> str | None:
    """Why a sink could not be told everything; None when it was."""
    try:
        await delivery.catch_up()
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
