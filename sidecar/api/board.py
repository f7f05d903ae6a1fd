"""What the API may see of the service. Everything is owned by the service, which puts this together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import field

from sidecar.api.previews import Previews
from sidecar.config import Settings
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.work import Tools
from sidecar.manifest import Search
from sidecar.media.thumbnails import Thumbnails
from sidecar.telling.health import Health
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Board:
    """The parts of one running service.

    `health` says whether the service and its last passes are well. `engines` ask each provider for
    a sign of life, and raise MediaSyncError. `metrics` is what Prometheus reads, None where nothing is counted.
    """

    tools: Tools
    desk: JobDesk
    search: Search
    health: Callable[[], Awaitable[Health]]
    engines: tuple[Callable[[], Awaitable[None]], ...]
    metrics: Callable[[], bytes] | None = None
    clock: Callable[[], float] = time.monotonic
    previews: Previews = field(init=False)
    thumbnails: Thumbnails = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "previews", Previews(self.tools))
        object.__setattr__(self, "thumbnails", Thumbnails(self.tools.settings.state))

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.tools.settings
