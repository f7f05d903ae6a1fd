"""What a pass is given: the operator's decisions, and the parts that it works with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import field

from sidecar.events import Bus
from sidecar.library import Library
from sidecar.manifest import Manifest
from sidecar.models import NS
from sidecar.sync.diff import Settling
from sidecar.sync.groups import Bounds
from sidecar.sync.slots import Slots
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What the operator decided for every pass. `max_freeze` in seconds; a dry run decides and fetches nothing.

    `folder_files` is how many files one read of a folder may leave open until they are committed. Every
    `full_scan_every_ns` a scan looks at every file and compares it with its row, see `sidecar.sync.marks`.
    """

    settling: Settling
    max_freeze: float
    bounds: Bounds = field(default_factory=Bounds)
    dry_run: bool = False
    folder_files: int = 2048
    full_scan_every_ns: int = 3600 * NS


@dataclass(frozen=True, slots=True)
class Parts:
    """Where files go, what records them, who hears of it, what sources share. `clock_ns` tells ns since the epoch."""

    library: Library
    manifest: Manifest
    options: SyncOptions
    bus: Bus
    slots: Slots
    clock_ns: Callable[[], int]
    placing: threading.Lock = field(default_factory=threading.Lock)  # what one root stores, the next one knows of
