"""Commands beside a running `serve`, which alone works with the state: they leave word in the manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.errors import Locked
from sidecar.manifest import Manifest
from sidecar.telling.health import SILENT_NS, read_sign


@contextmanager
def beside_serve(state: Path, locked: Locked) -> Iterator[Manifest]:
    """The manifest of a `serve` that is alive. Raises `locked` when what has the state is another command."""
    manifest = Manifest.open_existing(state)
    if manifest is None:
        raise locked
    try:
        sign = read_sign(manifest)
        if sign is None or abs(time.time_ns() - sign.beat_ns) > SILENT_NS:
            raise locked
        yield manifest
    finally:
        manifest.close()
