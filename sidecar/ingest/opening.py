"""The ways to all sinks of the settings, for a process that alone writes the manifest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.config import Settings
from sidecar.events import Event
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.sinks import make_sinks
from sidecar.manifest import Manifest


async def open_deliveries(settings: Settings, manifest: Manifest, tell: Callable[[Event], None]) -> list[Delivery]:
    """A way to each sink, none of them begun. Raises ConfigError for what is wrong with their options, and what the
    manifest raises.
    """
    sinks = make_sinks(settings.ingest)
    await asyncio.to_thread(manifest.deliveries.follow, sinks.keys())
    return [
        Delivery(name, sink, manifest, read_first=settings.media.enabled, tell=tell) for name, sink in sinks.items()
    ]
