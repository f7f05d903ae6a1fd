"""`index`: looks into what was stored, as `serve` does by itself."""

from __future__ import annotations

import os
import sys
from typing import Any

from tqdm import tqdm

from sidecar.cli.context import Context, run_async
from sidecar.cli.exits import Exit
from sidecar.events import Event, MetadataRead
from sidecar.media.pipeline import MediaPipeline
from sidecar.models import shown
from sidecar.workspace import open_workspace


def index(context: Context, *, again: bool) -> Exit:
    """Look into everything that nobody looked into, or into all of it."""
    value = run_async(_look(context, again=again))

    def text() -> str:
        lines = [f"  {one['library_path']}: {one['reason']}" for one in value["problems"]]
        return "\n".join([f"looked into {value['files']} files, {value['thumbnails']} thumbnails made", *lines])

    context.show(value, text)
    return Exit.DONE


async def _look(context: Context, *, again: bool) -> dict[str, Any]:
    told = _Told()
    async with open_workspace(context.loaded, os.environ) as work:
        if again:
            work.manifest.findings.forget()
        work.tools.bus.subscribe(told.heard, MetadataRead)
        with tqdm(total=work.manifest.findings.waiting(), unit=" files", disable=not sys.stderr.isatty()) as bar:
            told.bar = bar
            async with MediaPipeline(work.library, work.manifest, work.settings.state, work.settings.media,
                                     work.tools.bus) as pipeline:  # fmt: skip
                await pipeline.catch_up()
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
