"""Passes in a process that stays, as `serve` makes them: `python -m tests.bench.passes LIBRARY STATE HOST SOURCE`.

Prints the seconds of the second pass, and what it found, as JSON. The first one is there to be warm.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sidecar import logs
from sidecar.config import load
from sidecar.jobs.job import Cause
from sidecar.progress import ProgressManager
from sidecar.workspace import open_workspace


async def second_pass(library: str, state: str, host: str, source: str) -> dict[str, Any]:
    """The report of the source in the second of two passes, with `pass_seconds`."""
    options = {"library": library, "state": state, "host": host}
    loaded = load(options, env=os.environ, cwd=Path.cwd(), sources=[source])
    async with open_workspace(loaded, os.environ) as work:
        for _ in range(2):
            progress = ProgressManager("run")
            begun = time.monotonic()
            report = await work.orchestrator.run([], progress, cause=Cause.SCHEDULE)
            seconds = time.monotonic() - begun
            progress.close()
    return {"ok": report.ok, "sources": [report.as_json()["sync"][0] | {"pass_seconds": seconds}]}


if __name__ == "__main__":
    logs.setup("error", "json")
    print(json.dumps(asyncio.run(second_pass(*sys.argv[1:5]))))
