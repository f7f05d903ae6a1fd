"""What the API may see of the service. Everything is owned by the service, which puts this together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.config import Settings
from sidecar.events import Bus
from sidecar.library import Library
from sidecar.manifest import Search


@dataclass(frozen=True, slots=True)
class Board:
    """The parts of one running service."""

    settings: Settings
    library: Library
    search: Search
    bus: Bus
    clock_ns: Callable[[], int] = time.time_ns
    clock: Callable[[], float] = time.monotonic
