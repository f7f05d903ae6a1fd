"""Everything that listens to a running service and tells others: Prometheus, the log's story, heartbeat and webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sidecar.jobs.desk import view_of
from sidecar.jobs.work import Tools
from sidecar.notify import notifying
from sidecar.telling.metrics import Metrics, counting
from sidecar.telling.story import summing_up

REMEMBERED = 1000  # jobs of earlier runs that are looked through for the last success of each source


@asynccontextmanager
async def telling(tools: Tools) -> AsyncIterator[Metrics]:
    """Listen on the bus while the body runs. Entered before the first job begins, left after the last has ended."""
    rows = await asyncio.to_thread(tools.manifest.jobs, REMEMBERED)
    async with AsyncExitStack() as stack:
        metrics = stack.enter_context(counting(tools.bus, [view_of(row) for row in rows]))
        if tools.settings.media.enabled:
            metrics.ask(tools.manifest.findings.waiting)
        await stack.enter_async_context(summing_up(tools.bus, tools.settings.log.summary_every))
        await stack.enter_async_context(notifying(tools.settings.notify, tools.bus))
        yield metrics
