"""`index`: looks into what was stored, as `serve` does by itself."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm

from sidecar.cli.beside import beside_serve
from sidecar.cli.context import Context, run_async
from sidecar.cli.exits import Exit
from sidecar.errors import Locked
from sidecar.events import Event, MetadataRead
from sidecar.media.pipeline import MediaPipeline
from sidecar.models import shown
from sidecar.workspace import Workspace, open_workspace


def index(context: Context, *, again: bool) -> Exit:
    """Look into everything that nobody looked into, or into all of it. Raises Locked."""
    try:
        value = run_async(_look(context, again=again))
    except Locked as locked:
        if not context.loaded.settings.media.enabled:
            raise
        return _leave_word(context, locked, again=again)

    def text() -> str:
        lines = [f"  {one['library_path']}: {one['reason']}" for one in value["problems"]]
        return "\n".join([f"looked into {value['files']} files, {value['thumbnails']} thumbnails made", *lines])

    context.show({**value, "left_to_serve": 0}, text)
    return Exit.DONE


def _leave_word(context: Context, locked: Locked, *, again: bool) -> Exit:
    with beside_serve(context.loaded.settings.state, locked) as manifest:
        if again:
            manifest.findings.forget()
        waiting = manifest.findings.waiting()
    context.show({"files": 0, "thumbnails": 0, "problems": [], "left_to_serve": waiting},
                 lambda: f"serve looks into files by itself: {waiting} wait")  # fmt: skip
    return Exit.DONE


async def _look(context: Context, *, again: bool) -> dict[str, Any]:
    async with open_workspace(context.loaded, os.environ) as work:
        if again:
            work.manifest.findings.forget()
        return await look_into(work)


async def look_into(work: Workspace) -> dict[str, Any]:
    """Look into everything that nobody looked into, with a bar. Raises MediaSyncError, OSError."""
    told = _Told()
    with tqdm(total=work.manifest.findings.waiting(), unit=" files", disable=not sys.stderr.isatty()) as bar:
        told.bar = bar
        deaf = work.tools.bus.subscribe(told.heard, MetadataRead)
        async with MediaPipeline(work.library, work.manifest, work.settings.state, work.settings.media,
                                 work.tools.bus) as pipeline:  # fmt: skip
            await pipeline.catch_up()
        deaf()
    return {"files": told.files, "thumbnails": told.thumbnails, "problems": told.problems}


class _Told:
    """What the events come to."""

    def __init__(self) -> None:
        self.files = 0
        self.thumbnails = 0
        self.problems: list[dict[str, str]] = []
        self.bar: Any = None

    def heard(self, event: Event) -> None:
        """A listener of the bus."""
        if isinstance(event, MetadataRead):
            self.files += 1
            self.thumbnails += event.thumbnail
            path = shown(event.library_path)
            self.problems += [{"library_path": path, "reason": reason} for reason in event.problems]
            self.bar.update()
