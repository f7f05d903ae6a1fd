"""All sources of one Docker Engine: found anew for each pass, because containers come and go."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.config import ResolvedHost, Settings
from sidecar.models import NS, Source
from sidecar.transports.base import Discovery
from sidecar.transports.docker.adapter import DockerAdapter
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.discovery import discover
from sidecar.transports.docker.inspected import own_container_id


class DockerProvider:
    """Connects when it is first asked, and again after the engine went away."""

    transport = "docker"

    def __init__(self, settings: Settings, host: ResolvedHost) -> None:
        self._settings = settings
        self._host = host
        self._engine: Engine | None = None
        self._inspects: dict[str, Mapping[str, Any]] = {}

    async def engine(self) -> Engine:
        """The connected engine. Raises EngineUnreachable, EngineRefused."""
        if self._engine is None:
            self._engine = await Engine.connect(self._host, self._settings.docker.timeout / NS)
        return self._engine

    async def discover(self) -> Discovery:
        """Look at all containers. Raises EngineUnreachable, EngineRefused."""
        engine = await self.engine()
        inspects, silent = await engine.inspect_all()
        self._inspects = {str(i.get("Id")): i for i in inspects}
        found = await discover(self._settings, inspects, engine.head, own=_own_id())
        if not silent:
            return found
        names = ", ".join(container[:12] for container in silent)
        return Discovery(found.sources, found.left_out, (*found.warnings, f"no answer about container {names}"))

    async def adapter(self, source: Source) -> DockerAdapter:
        """The way to one source that `discover` found."""
        engine = await self.engine()
        inspect = self._inspects.get(source.generation)
        if inspect is None:
            inspect = await engine.inspect(source.generation)
        named = self._settings.sources.get(source.name)
        return DockerAdapter(
            engine,
            source,
            inspect,
            stall=self._settings.sync.stall_timeout / NS,
            pull_only=self._settings.docker.pull_only,
            user=(named.user or "") if named else "",
        )

    async def close(self) -> None:
        """Close the connection; idempotent."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.close()


def _own_id() -> str:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        mountinfo = ""
    return own_container_id(mountinfo, socket.gethostname())
