"""What the purge tests share: a generator with old pictures, the program in this process, and looks at every side."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.cleanup.engine import CleanupEngine
from sidecar.cleanup.plan import PurgePlan, PurgeRules
from sidecar.cleanup.report import PurgeReport
from sidecar.config import load
from sidecar.events import Bus
from sidecar.jobs.report import JobReport
from sidecar.models import Source, shown
from sidecar.progress import ProgressManager
from sidecar.transports.base import TransportAdapter
from sidecar.workspace import Workspace, open_workspace
from tests.rig.generator import Generator
from tests.rig.program import Program, Result

DAY = 86_400.0
OLD = 3 * DAY + 0.25  # seconds: beyond purge.older_than, and not on a whole second
ALL = PurgeRules(keep_newest=0, allow_empty=True)


def pictures(names: Iterable[str]) -> dict[str, bytes]:
    """A content for each name, no two alike, of different sizes."""
    return {name: f"picture {name} ".encode() * (3 + len(name)) for name in names}


def given(one: Generator, name: str = "gen") -> tuple[str, str]:
    """The arguments that name a stand-in as the only source."""
    return "--source", f"{name}={one.name}:{one.root}"


def filled(cli: Program, one: Generator, files: dict[str, bytes], *, age: float = OLD) -> None:
    """Old pictures in the generator, and their copies in the library."""
    one.put(files, age=age)
    report = cli("sync", *given(one), "--json").ok().json
    assert report["sources"][0]["stored"] == len(files)


def purge(cli: Program, one: Generator, *args: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and the source's report of `purge --json`. Nothing is held back for counters unless asked."""
    keep = () if "--keep-newest" in args else ("--keep-newest", "0")
    done = cli("purge", *given(one), *keep, "--json", *args, env=env)
    assert done.out, done.err
    (report,) = done.json["sources"]
    assert isinstance(report, dict)
    return done.code, report


def outcomes(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """path -> (outcome, reason)."""
    found = {f["path"]: (f["outcome"], f["reason"]) for f in report["files"]}
    assert len(found) == len(report["files"]), "a file is listed twice"
    return found


def refused(done: Result) -> str:
    """The one line of a command that a guard stopped."""
    assert done.code == 5, done
    assert "Traceback" not in done.err
    return done.err.strip().splitlines()[-1]


def rows(state: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the manifest except the record of jobs, which a dry run is one of."""
    with closing(sqlite3.connect(f"file:{state}/manifest.sqlite3?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {t: db.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in tables if t != "jobs"}


def states(state: Path) -> dict[str, str]:
    """path -> the state of its newest row."""
    with closing(sqlite3.connect(f"file:{state}/manifest.sqlite3?mode=ro", uri=True)) as db:
        return {shown(path): word for path, word in db.execute("SELECT path, state FROM files ORDER BY id")}


def open_intents(state: Path) -> int:
    """How many purges have no outcome."""
    with closing(sqlite3.connect(f"file:{state}/manifest.sqlite3?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM purges WHERE outcome IS NULL").fetchone()
        return int(count)


def copies(library: Path) -> dict[bytes, bytes]:
    """SHA-256 of every file in the library, by name relative to it; the library's own folder is left out."""
    found = {}
    for folder, below, names in os.walk(os.fsencode(library)):
        below[:] = [name for name in below if name != b".media-sync"]
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, os.fsencode(library))] = hashlib.sha256(file.read()).digest()
    return found


def library_stats(library: Path) -> dict[str, tuple[int, int, int, int]]:
    """Mode, size, mtime and inode of everything in the library, its own folder included; not of the folder itself."""
    found = {}
    for path in library.rglob("*"):
        seen = path.lstat()
        found[str(path)] = (seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ino)
    return found


@dataclass
class Planned:
    """A plan, made and not yet executed, with everything that carries it out."""

    engine: CleanupEngine
    plan: PurgePlan
    source: Source
    adapter: TransportAdapter

    async def execute(self) -> PurgeReport:
        """Carry it out."""
        return await self.engine.execute("job", self.plan, self.source, self.adapter, ProgressManager("purge"))

    async def outcomes(self) -> dict[bytes, tuple[str, str]]:
        """Carry it out; path -> (outcome, reason)."""
        return {path: (outcome, reason) for path, outcome, reason in (await self.execute()).files}


@dataclass
class Bench:
    """The program's parts in this process, on the same library and state as the `cli` fixture."""

    work: Workspace

    async def sync(self) -> JobReport:
        """One sync of the source."""
        return await self.work.orchestrator.sync([], ProgressManager("sync"))

    @asynccontextmanager
    async def planned(self, rules: PurgeRules = ALL) -> AsyncIterator[Planned]:
        """A plan for the source; what the test does next happens between plan and execution."""
        (provider,) = self.work.providers
        (source,) = (await provider.discover()).sources
        adapter = await provider.adapter(source)
        try:
            engine = CleanupEngine(self.work.library, self.work.manifest, rules, Bus())
            yield Planned(engine, await engine.plan(source, adapter), source, adapter)
        finally:
            await adapter.close()


@asynccontextmanager
async def bench(cli: Program, one: Generator) -> AsyncIterator[Bench]:
    """Open library, state and engine in this process; the program must not run at the same time."""
    settings = {"library": str(cli.library), "state": str(cli.state), "host": cli.host}
    loaded = load(settings, env={}, cwd=cli.folder, sources=[given(one)[1]])
    async with open_workspace(loaded, {}) as work:
        yield Bench(work)
