"""What the log says of a quiet day: a summary at times, because passes that did nothing say nothing."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger

from sidecar.config import format_duration
from sidecar.events import Bus, Event, FileFailed, FilePurged, FileStored, JobChanged, SourceChanged, SourceSlowed
from sidecar.jobs.job import PASSING, JobState
from sidecar.logs import size
from sidecar.models import NS

NAMED = 5  # sources that a summary names; of the others it tells how many they are


class Story:
    """Counts what happens, from any thread, until it is told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._from: Counter[str] = Counter()
        self._slowed: set[str] = set()

    def heard(self, event: Event) -> None:
        """Count one event."""
        with self._lock:
            match event:
                case FileStored():
                    self._counts["stored"] += 1
                    self._counts["bytes_stored"] += 0 if event.duplicate else event.size
                    self._from[event.source] += 1
                case FileFailed():
                    self._counts["failed"] += 1
                case FilePurged():
                    self._counts["purged"] += 1
                    self._counts["bytes_freed"] += event.size
                case SourceSlowed() if event.until_ns:
                    self._slowed.add(event.source)
                case SourceSlowed():
                    self._slowed.discard(event.source)
                case SourceChanged() if event.change == "gone":
                    self._slowed.discard(event.source)
                case JobChanged():
                    view = event.view
                    if view.request.cause in PASSING and view.state.ended and view.state is not JobState.CANCELLED:
                        self._counts["passes"] += 1
                        self._counts["passes_failed"] += view.state is not JobState.DONE
                case _:
                    pass

    def tell(self) -> tuple[str, dict[str, Any]]:
        """The summary since the last one: a sentence, and its figures. Slowed sources stay until they work again."""
        with self._lock:
            c, sources, slowed = self._counts, self._from, sorted(self._slowed)
            self._counts, self._from = Counter(), Counter()
        unwell = f" ({c['passes_failed']} did not end well)" if c["passes_failed"] else ""
        origin = f" ({size(c['bytes_stored'])} from {_names(sources)})" if sources else ""
        parts = [f"{c['passes']} passes{unwell}", f"{c['stored']} stored{origin}"]
        if c["purged"]:
            parts.append(f"{c['purged']} purged ({size(c['bytes_freed'])} freed)")
        parts.append(f"{c['failed']} failed")
        if slowed:
            parts.append(f"left alone for failing: {_names(dict.fromkeys(slowed, 0))}")
        keys = ("passes", "passes_failed", "stored", "bytes_stored", "purged", "bytes_freed", "failed")
        return ", ".join(parts), {key: c[key] for key in keys} | {"slowed": len(slowed)}


def _names(sources: Counter[str] | dict[str, int]) -> str:
    """Those with the most files first."""
    ordered = sorted(sources, key=lambda name: (-sources[name], name))
    rest = len(ordered) - NAMED
    return ", ".join(ordered[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


@asynccontextmanager
async def summing_up(bus: Bus, every_ns: int | None) -> AsyncIterator[None]:
    """Log a summary every so many ns while the body runs; never, for None."""
    if every_ns is None:
        yield
        return
    story = Story()
    leave = bus.subscribe(story.heard)
    telling = asyncio.create_task(_tell(story, every_ns), name="summaries")
    try:
        yield
    finally:
        leave()
        telling.cancel()
        await asyncio.wait([telling])


async def _tell(story: Story, every_ns: int) -> None:
    while True:
        await asyncio.sleep(every_ns / NS)
        sentence, figures = story.tell()
        logger.bind(**figures).info("the last {}: {}", format_duration(every_ns), sentence)
