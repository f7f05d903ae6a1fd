"""What `serve` does beside its jobs and a single command does behind its own: look into files, tell sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from sidecar.cli.indexing import look_into
from sidecar.cli.ingesting import tell_all
from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.ingest.opening import open_deliveries
from sidecar.workspace import Workspace


async def prepare(work: Workspace) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
    """What tells the sinks of the settings, for later; answers what became of each. Raises ConfigError for a sink that
    cannot be made: before anything else is done. The other way round nothing that fails here undoes what was done.
    """
    deliveries = await open_deliveries(work.settings, work.manifest, work.tools.bus.emit)

    async def tell() -> list[dict[str, Any]]:
        if work.settings.media.enabled:
            await _look(work)
        told = await tell_all(work.settings, work.manifest, work.tools.bus, deliveries)
        for one in told:
            if one["problem"]:
                logger.warning("sink {} was not told everything: {}; the next run goes on", one["name"], one["problem"])
        return told

    return tell


async def _look(work: Workspace) -> None:
    if waiting := work.manifest.findings.waiting():
        logger.info("looking into {} files before sinks are told of them", waiting)
    try:
        await look_into(work)
    except ManifestDamaged:
        raise
    except (MediaSyncError, OSError) as error:
        line = error.line() if isinstance(error, MediaSyncError) else str(error)
        logger.warning("media: not everything was looked into: {}", line)
