"""Each thing that is done to a file is told: once, by its name, with the job that did it and what ties it together."""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from generators.container import Entry

from sidecar.events import (
    FREQUENT,
    Event,
    FileDiscovered,
    FileEvent,
    FileKept,
    FilePurged,
    FileSkipped,
    FileStored,
    FileVerified,
    PurgePlanned,
    type_of,
)
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.job import Action, Cause, JobState, Request
from sidecar.media.kinds import PRIVATE_PREFIX
from sidecar.models import shown
from sidecar.workspace import Workspace, open_workspace
from tests.conftest import MakeGenerator
from tests.engine.commands import heavy_png
from tests.engine.inprocess import settings
from tests.rig.generator import Generator

DAY = 86_400.0
PURGE = {"older_than": "1h", "keep_newest": 0}


@dataclass
class Told:
    """A desk over one stand-in, and every event of files."""

    desk: JobDesk
    work: Workspace
    heard: list[Event] = field(default_factory=list)

    async def job(self, action: Action, *, dry_run: bool = False) -> tuple[JobState, dict[tuple[str, str], FileEvent]]:
        """Have one job done; how it ended, and what was told of files meanwhile, by type and path, each once."""
        self.heard.clear()
        view = self.desk.submit(Request(action, Cause.API, dry_run=dry_run, allow_empty=True))
        ended = await self.desk.wait(view.id)
        of_files = [event for event in self.heard if isinstance(event, FileEvent)]
        found = {(str(type_of(event)), shown(event.path)): event for event in of_files}
        assert len(found) == len(of_files), "one was told twice"
        assert {(event.job, event.source) for event in of_files} <= {(view.id, "gen")}
        return ended.state, found


@asynccontextmanager
async def telling(folder: Path, host: str, made: Generator) -> AsyncIterator[Told]:
    loaded = settings(folder, host, {"gen": made}, purge=PURGE)
    async with open_workspace(loaded, {}) as work, JobDesk(work.orchestrator, work.tools) as desk:
        told = Told(desk, work)
        work.tools.bus.subscribe(told.heard.append)
        work.tools.bus.subscribe(told.heard.append, *FREQUENT)
        yield told


async def test_the_story_of_files(engine_host: str, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator(user="1000", owner=(1000, 1000), root="/out")
    same, other = heavy_png(1000, 1), heavy_png(2000, 2)
    made.put({"a.png": same, "b/same.png": same, "c.png": other, "model.safetensors": b"x"}, age=DAY)
    made.put([Entry(b"theirs.png", other, mtime_ns=time.time_ns() - 10**15, mode=stat.S_IRUSR, uid=0)])
    async with telling(tmp_path, engine_host, made) as told:
        state, first = await told.job(Action.SYNC)
        assert state is JobState.PARTLY
        stored, again = sorted(("a.png", "b/same.png"), key=lambda path: ("file.stored", path) not in first)
        assert set(first) == {
            *(("file.discovered", path) for path in ("a.png", "b/same.png", "c.png")),
            ("file.stored", stored), ("file.duplicate", again), ("file.stored", "c.png"),
            ("file.skipped", "model.safetensors"), ("file.failed", "theirs.png"),
        }  # fmt: skip
        found, kept = first["file.discovered", "c.png"], first["file.stored", "c.png"]
        assert isinstance(found, FileDiscovered)
        assert isinstance(kept, FileStored)
        assert (found.size, kept.size) == (len(other), len(other))
        assert kept.sha256 == hashlib.sha256(other).digest()
        assert (found.root, found.correlation) == (b"/out", kept.correlation)
        assert found.at_ns <= kept.at_ns
        assert isinstance(first["file.skipped", "model.safetensors"], FileSkipped)

        assert (await told.job(Action.SYNC))[1] == {}, "nothing is news the second time"

        _, checked = await told.job(Action.VERIFY)
        copies = {event.path: event for event in checked.values() if isinstance(event, FileVerified)}
        assert set(checked) == {("file.verified", shown(path)) for path in (b"a.png", b"b/same.png", b"c.png")}
        assert {event.outcome for event in copies.values()} == {"good"}
        assert copies[b"c.png"].correlation == kept.correlation

        _, planned = await told.job(Action.PURGE, dry_run=True)
        assert set(planned) == {("purge.planned", path) for path in ("a.png", "b/same.png", "c.png")}
        assert all(isinstance(event, PurgePlanned) and event.dry_run for event in planned.values())

        def meddle(event: Event) -> None:
            if isinstance(event, PurgePlanned) and event.path == b"c.png":
                made.write("c.png", other[::-1])

        told.work.tools.bus.subscribe(meddle, PurgePlanned)
        _, gone = await told.job(Action.PURGE)
        assert set(gone) == {
            *(("purge.planned", path) for path in ("a.png", "b/same.png", "c.png")),
            ("file.purged", "a.png"), ("file.purged", "b/same.png"), ("file.kept", "c.png"),
        }  # fmt: skip
        assert not any(isinstance(event, PurgePlanned) and event.dry_run for event in gone.values())
        purged = gone["file.purged", "a.png"]
        assert isinstance(purged, FilePurged)
        assert (purged.size, purged.correlation) == (len(same), first["file.discovered", "a.png"].correlation)
        assert isinstance(gone["file.kept", "c.png"], FileKept)
        assert gone["file.kept", "c.png"].correlation == kept.correlation


async def test_what_comes_back_is_told(engine_host: str, generator: MakeGenerator, tmp_path: Path) -> None:
    """A purge that was killed had moved the original away."""
    made = generator()
    made.put({"a.png": heavy_png(1000, 1)}, age=DAY)
    async with telling(tmp_path, engine_host, made) as told:
        _, first = await told.job(Action.SYNC)
        manifest, private = told.work.manifest, PRIVATE_PREFIX + b"0" * 24
        source = (await told.work.tools.catalog.refresh()).source("gen")
        assert source is not None
        key = manifest.look_up(source)
        (record,) = manifest.known(key, b"/output").values()
        manifest.intend(key, "killed", [(record.file_id, private)], (0, 0), time.time_ns())
        made.exec("mv", made.path("a.png"), made.path(private))
        _, then = await told.job(Action.SYNC)
        assert set(then) == {("file.restored", "a.png")}
        assert then["file.restored", "a.png"].correlation == first["file.stored", "a.png"].correlation
