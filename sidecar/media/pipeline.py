"""Looks into what was stored: type, integrity, metadata, thumbnail. Off the transfer path, in processes of its own.

What there is to do comes from the manifest, and its place moves with what was found out: stopped anywhere, it goes on
where it was. A file that cannot be read has that on record, and is as well stored as any other.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loguru import logger

from sidecar.config import MediaSettings
from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.events import Bus, Event, FileStored, MetadataRead
from sidecar.library import Library
from sidecar.manifest import Finding, Manifest, Unread
from sidecar.media.metadata.telling import RAW
from sidecar.media.piece import Bounds
from sidecar.media.steps import step_names
from sidecar.media.thumbnails import Thumbnails
from sidecar.media.workers import Examined, Workers
from sidecar.models import NS

REST = 20.0  # seconds without work until the processes are let go, and it is looked whether somebody asked for any
AGAIN = 30.0  # seconds until it is tried again when the disk or the manifest refused


class MediaPipeline:
    """Works through what nobody looked into, and tells the bus of each; a context, in which it listens."""

    def __init__(self, library: Library, manifest: Manifest, state: Path, settings: MediaSettings, bus: Bus,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        bounds = Bounds(settings.max_pixels, max(1, settings.max_time // NS), settings.max_memory)
        self._library = library
        self._manifest = manifest
        self._thumbnails = Thumbnails(state)
        self._workers = Workers(settings.workers, bounds)
        self._steps = [name for name in step_names() if settings.thumbnails or name != "thumbnail"]
        self._bus = bus
        self._clock_ns = clock_ns
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._woken = False
        self._deaf: Callable[[], None] = lambda: None

    def _heard(self, _: Event) -> None:
        """A listener of the bus, called from any thread: something was stored."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Look into whatever comes, until cancelled. What may mend is tried again. Raises ManifestDamaged."""
        while True:
            self._news.clear()
            self._woken = False
            try:
                await self.catch_up()
            except ManifestDamaged:
                raise
            except (MediaSyncError, OSError) as error:
                line = error.line() if isinstance(error, MediaSyncError) else str(error)
                logger.warning("media: nothing is looked into for now: {}", line)
                await asyncio.sleep(AGAIN)
                continue
            try:
                await asyncio.wait_for(self._news.wait(), REST)
            except TimeoutError:
                await self._workers.rest()

    async def catch_up(self) -> int:
        """Look into everything that is there; answers how many contents. Raises MediaSyncError, OSError."""
        done = 0
        while True:
            unread, place = await asyncio.to_thread(self._manifest.findings.unread)
            if place is None:
                return done
            found = await all_of([self._look(one) for one in unread])
            await asyncio.to_thread(self._manifest.findings.keep, found, place, self._clock_ns())
            for one, finding in zip(unread, found, strict=True):
                self._bus.emit(MetadataRead("", one.source, one.root, one.path, one.library_path, one.hash,
                                            finding.problems, finding.thumbnail))  # fmt: skip
            done += len(unread)

    async def _look(self, one: Unread) -> Finding:
        path = os.path.join(os.fsencode(self._library.root), one.library_path)
        try:
            await asyncio.to_thread(os.stat, path)
        except OSError as error:
            await asyncio.to_thread(self._library.check_marker)  # else no copy can be read, and that says nothing of it
            return Finding(one.hash, problems=(f"its copy cannot be read: {error.strerror}",))
        examined = await self._workers.examine(path, self._steps)
        if examined.thumbnail:
            examined = await asyncio.to_thread(self._keep_small, one.hash, examined)
        values = dict(examined.values)
        said = values.get("metadata", {})
        raws = {name: said[name] for name in RAW if name in said}
        if raws:
            values["metadata"] = {name: value for name, value in said.items() if name not in raws}
        return Finding(one.hash, values, examined.problems, bool(examined.thumbnail), raws)

    def _keep_small(self, sha256: bytes, examined: Examined) -> Examined:
        try:
            self._thumbnails.put(sha256, examined.thumbnail)
        except OSError as error:
            return replace(examined, thumbnail=b"", problems=(*examined.problems, f"thumbnail: {error.strerror}"))
        return examined

    async def __aenter__(self) -> MediaPipeline:
        self._deaf = self._bus.subscribe(self._heard, FileStored)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._deaf()
        await self._workers.close()


async def all_of(work: Sequence[Coroutine[Any, Any, Finding]]) -> list[Finding]:
    """What all of these come to. Raises the first error of any, when none of them runs any more."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]
