"""Looks at everything that a run depends on and says what would go wrong, and what to do. Changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from sidecar.config import Loaded
from sidecar.errors import ConfigError, MediaSyncError
from sidecar.host.mounts import goes_with_container
from sidecar.library import read_marker
from sidecar.manifest import Manifest
from sidecar.models import NS, Check, LeftOut, Source, Verdict, shown
from sidecar.transports import open_providers
from sidecar.transports.base import SourceProvider

SKEW = 2.0  # seconds
_SPARE = 1 << 30


async def examine(loaded: Loaded, env: Mapping[str, str]) -> AsyncIterator[Check]:
    """All checks, as they are made."""
    settings = loaded.settings
    yield Check("configuration", Verdict.OK, f"valid{f', from {loaded.file}' if loaded.file else ''}")
    yield _folder("library", settings.library)
    yield _folder("state", settings.state)
    yield _belonging(settings.library, settings.state)
    try:
        providers = open_providers(loaded, env)
    except ConfigError as error:
        yield Check("engine", Verdict.FAIL, str(error), error.hint, error)
        return
    for provider in providers:
        try:
            async for check in provider.examine():
                yield check
            async for check in _sources(provider):
                yield check
        except MediaSyncError as error:
            yield Check("engine", Verdict.FAIL, str(error), error.hint, error)
        finally:
            await provider.close()


async def _sources(provider: SourceProvider) -> AsyncIterator[Check]:
    found = await provider.discover()
    for warning in found.warnings:
        yield Check("discovery", Verdict.WARN, warning)
    for left in found.left_out:
        if left.faulty:
            error = ConfigError(left.reason, hint=left.hint)
            yield Check(f"source {left.name}", Verdict.FAIL, _faulty(left), left.hint, error)
    if not found.sources:
        yield Check("sources", Verdict.WARN, "no source found", "label a container media-sync.enable=true")
    for source in found.sources:
        yield await _source(provider, source)


def _faulty(left: LeftOut) -> str:
    where = left.container if left.container not in left.reason and left.container != left.name else ""
    return f"{where}: {left.reason}" if where else left.reason


async def _source(provider: SourceProvider, source: Source) -> Check:
    name = f"source {source.name}"
    try:
        adapter = await provider.adapter(source)
        try:
            able = await adapter.prepare()
            before = time.time_ns()
            scan = await adapter.scan(source.roots[0])
            after = time.time_ns()
        finally:
            await adapter.close()
    except MediaSyncError as error:
        return Check(name, Verdict.FAIL, str(error), error.hint, error)
    able = adapter.capabilities
    skew = max(before - scan.now_ns, scan.now_ns - after, 0) / NS
    purge = "can be purged" if able.purge and source.rules.purge else f"not purged ({able.why_not_purge or 'label'})"
    roads = "+".join(sorted(road.value for road in able.roads))
    root = shown(source.roots[0])
    detail = (
        f"{source.container} ({source.state}), {len(scan.entries)} names under {root}, "
        f"scanner {able.scanner}, reads {roads}, {purge}, clock skew {skew:.1f} s"
    )
    if scan.problems:
        return Check(name, Verdict.WARN, f"{detail}; {len(scan.problems)} folders cannot be listed",
                     "let the agent's user read them, or set sources.<name>.user")  # fmt: skip
    if skew > SKEW:
        return Check(name, Verdict.WARN, detail, "set the clocks: ages are told by the container's")
    return Check(name, Verdict.OK, detail)


def _folder(name: str, path: Path) -> Check:
    where = path
    while not where.exists() and where != where.parent:
        where = where.parent
    if not where.is_dir():
        return Check(name, Verdict.FAIL, f"{where} is not a folder", "choose another folder")
    if not os.access(where, os.W_OK | os.X_OK) or os.statvfs(where).f_flag & os.ST_RDONLY:
        return Check(name, Verdict.FAIL, f"{path} cannot be written", "mount it read-write, or set PUID and PGID")
    if goes_with_container(str(path)):
        return Check(name, Verdict.FAIL, f"{path} is not mounted: it would be lost with this container",
                     f"add -v /your/folder:{path}, or a volume")  # fmt: skip
    stat = os.statvfs(where)
    free = stat.f_bavail * stat.f_frsize
    detail = f"{path}{'' if where == path else ' will be made'}, {free / 1e9:.1f} GB free"
    if free < _SPARE:
        return Check(name, Verdict.WARN, detail, "free space: nothing is pulled into a full library")
    return Check(name, Verdict.OK, detail)


def _belonging(library: Path, state: Path) -> Check:
    """Whether library and manifest know each other."""
    try:
        manifest = Manifest.open_existing(state)
    except MediaSyncError as error:
        return Check("manifest", Verdict.FAIL, str(error), error.hint, error)
    if manifest is None:
        return Check("manifest", Verdict.OK, "none yet: the first sync makes it")
    try:
        expected, marker = manifest.library_id(), read_marker(library)
    finally:
        manifest.close()
    if expected is not None and marker != expected:
        what = "has no marker" if marker is None else "belongs to another state folder"
        return Check("manifest", Verdict.FAIL, f"library {library} {what}", "mount the library's disk")
    return Check("manifest", Verdict.OK, "sound, and belongs to this library")
