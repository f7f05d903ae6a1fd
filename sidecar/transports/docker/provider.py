"""All sources of one Docker Engine: found anew for each pass, because containers come and go."""

from __future__ import annotations

import asyncio
import datetime
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.config import ResolvedHost, Settings
from sidecar.errors import EngineRefused
from sidecar.models import NS, Check, Source, Verdict
from sidecar.transports.base import Discovery, Gap, Happened
from sidecar.transports.docker.adapter import DockerAdapter
from sidecar.transports.docker.client import Engine, PathInfo
from sidecar.transports.docker.discovery import discover
from sidecar.transports.docker.events import Feed
from sidecar.transports.docker.inspected import own_container_id

RACES = "CVE-2018-15664, CVE-2026-41568, CVE-2026-42306"
RACES_FIXED = "29.5.1"


class DockerProvider:
    """Connects when it is first asked, and again after the engine went away."""

    transport = "docker"

    def __init__(self, settings: Settings, host: ResolvedHost) -> None:
        self._settings = settings
        self._host = host
        self._engine: Engine | None = None
        self._connecting = asyncio.Lock()
        self._inspects: dict[str, Mapping[str, Any]] = {}

    async def engine(self) -> Engine:
        """The connected engine. Raises EngineUnreachable, EngineRefused."""
        async with self._connecting:  # a pass and a look after an event may ask at once
            if self._engine is None:
                self._engine = await self._connect()
            return self._engine

    async def _connect(self) -> Engine:
        return await Engine.connect(self._host, self._settings.docker.timeout / NS)

    async def discover(self) -> Discovery:
        """Look at all containers. Raises EngineUnreachable, EngineRefused."""
        engine = await self.engine()
        inspects, silent = await engine.inspect_all()
        self._inspects = {str(i.get("Id")): i for i in inspects}
        stand_ins = {str(one.get("Id")): _stand_in(one) for one in silent}

        async def look(container: str, path: bytes) -> PathInfo | None:
            if container in stand_ins:
                raise EngineRefused("did not answer in time", hint="is somebody copying from it, or its engine busy?")
            return await engine.head(container, path)

        found = await discover(self._settings, [*inspects, *stand_ins.values()], look, own=_own_id())
        if not silent:
            return found
        names = ", ".join(container[:12] for container in stand_ins)
        return Discovery(found.sources, found.left_out, (*found.warnings, f"no answer about container {names}"))

    async def ping(self) -> None:
        """Ask over the connection that there is; else over one of its own, for connecting is up to a pass."""
        if self._engine is not None:
            await self._engine.now_ns()
            return
        engine = await self._connect()
        await engine.close()

    async def examine(self) -> AsyncIterator[Check]:
        """Engine, API, socket and rights."""
        engine = await self.engine()
        version = str(engine.version.get("Version", "?"))
        api = str(engine.version.get("ApiVersion", "?"))
        where = f"{self._host.url} ({self._host.origin})"
        yield Check("engine", Verdict.OK, f"Docker {version}, API {api}, at {where}")
        if _older(version, RACES_FIXED):
            yield Check("engine races", Verdict.WARN, f"Docker {version} has known races in archive reads ({RACES})",
                        f"update to {RACES_FIXED} or later when you can")  # fmt: skip
        kind = "root on this host, read-only or not" if self._host.url.startswith("unix:") else "root on that host"
        if self._host.url.startswith(("tcp:", "http:")) and self._host.tls is None:
            yield Check("socket", Verdict.WARN, "TCP without TLS: fine for a socket proxy on a private network only",
                        "anybody who reaches an engine's port is root there")  # fmt: skip
        else:
            yield Check("socket", Verdict.OK, f"{kind}; a socket proxy narrows that")
        found = await engine.control.containers.list(all=True)
        mode = "reading only (docker.pull_only): no agent, no purge" if self._settings.docker.pull_only else "exec"
        yield Check("permissions", Verdict.OK, f"may list {len(found)} containers; uses {mode}")

    @property
    def tells(self) -> bool:
        """An engine does."""
        return True

    def happenings(self) -> AsyncGenerator[Happened | Gap, None]:
        """What the engine tells of its containers."""
        return Feed(self._connect).run()

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


def _stand_in(listed: Mapping[str, Any]) -> dict[str, Any]:
    """What the list says of a container in the form of an inspect, so that it is chosen as it would be if it answered.

    Nobody can look into it, so it ends up as left out, with a fault where somebody asked for it.
    """
    created = listed.get("Created")
    return {
        "Id": listed.get("Id"),
        "Name": next(iter(listed.get("Names") or ()), ""),
        "Created": datetime.datetime.fromtimestamp(created, datetime.UTC).isoformat() if created else "",
        "State": {"Status": listed.get("State")},
        "Config": {"Image": listed.get("Image"), "Labels": listed.get("Labels")},
        "Mounts": listed.get("Mounts"),
    }


def _own_id() -> str:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        mountinfo = ""
    return own_container_id(mountinfo, socket.gethostname())


def _older(version: str, than: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", text)[:3]]

    return numbers(version) < numbers(than)
