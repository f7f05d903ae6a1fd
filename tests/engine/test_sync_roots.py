"""Several roots of one source: fetched side by side, and one that is missing takes nothing from the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from sidecar.errors import RootMissing
from sidecar.manifest import Manifest
from sidecar.models import NS, Road, Transfer
from sidecar.progress import ProgressManager
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Settling
from sidecar.sync.engine import SyncEngine
from sidecar.sync.report import SyncReport
from sidecar.transports.base import TransportAdapter
from tests.conftest import MakeGenerator
from tests.engine.inprocess import Parts, opened
from tests.engine.syncing import pngs
from tests.rig.generator import Generator
from tests.rig.program import Program

FILES = pngs("1/a.png", "2/b.png", "3/c.png")


class Meeting:
    """The real adapter, whose streams begin only when those of `many` roots are about to."""

    def __init__(self, adapter: TransportAdapter, many: int) -> None:
        self._adapter = adapter
        self._all_here = threading.Barrier(many)
        self.roots: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    @contextmanager
    def read(self, root: bytes, transfer: Transfer, on_open: Callable[[Callable[[], None]], None]) -> Iterator[Any]:
        assert transfer.road is Road.STREAM
        self._all_here.wait(timeout=120)
        self.roots.add(root)
        with self._adapter.read(root, transfer, on_open) as reading:
            yield reading


class Slow:
    """The real manifest, as on a disk that takes its time: who does not wait for the other root knows nothing of it."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manifest, name)

    def record(self, *args: Any) -> None:
        time.sleep(0.5)
        self._manifest.record(*args)


def two_roots(made: Generator) -> None:
    """The same new pictures in both, and beside them a model that no archive should carry along."""
    for root in ("/one", "/two"):
        for name, data in FILES.items():
            made.exec("sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1" && touch -d "2026-01-01 00:00" "$1"', "-",
                      f"{root}/{name.decode()}", stdin=data)  # fmt: skip
        made.exec("truncate", "-s", "400M", f"{root}/model.safetensors")


async def passed(cli: Program, host: str, made: Generator, *roots: bytes) -> tuple[Parts, Meeting, SyncReport]:
    async with opened(cli.folder, host, {"gen": made}, settle=0) as parts:
        source = replace(parts.source(), roots=roots, mounts=("layer",) * len(roots), places=("",) * len(roots))
        meeting = Meeting(await parts.provider.adapter(source), 2)
        options = SyncOptions(Settling(0, 600 * NS), max_freeze=0.25)
        sync = SyncEngine(parts.library, cast(Manifest, Slow(parts.manifest)), options, parts.bus)
        try:
            report = await sync.run("job", source, meeting, ProgressManager("sync"))
        finally:
            await meeting.close()
        return parts, meeting, report


def test_roots_are_fetched_side_by_side_and_one_that_is_missing_is_an_error_of_its_own(
    cli: Program, engine_host: str, generator: MakeGenerator
) -> None:
    made = generator()
    two_roots(made)
    parts, meeting, report = asyncio.run(passed(cli, engine_host, made, b"/one", b"/two", b"/none"))
    assert isinstance(report.error, RootMissing)
    assert meeting.roots == {b"/one", b"/two"}
    assert (report.scanned, report.stored, report.duplicates, len(report.skipped)) == (8, 6, 3, 2)
    assert report.road[Road.STREAM] == 6
    assert parts.files() == FILES | {b"two/" + name: data for name, data in FILES.items()}
    assert len({inode for _, inode in inodes(parts)}) == 3, "each content is in the library once"


def inodes(parts: Parts) -> set[tuple[bytes, int]]:
    top = parts.library.root / "gen"
    return {(bytes(path.relative_to(top)), path.stat().st_ino) for path in top.rglob("*") if path.is_file()}
