"""Marks: a decision with them is the decision without. A real agent on real folders, a real manifest."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.manifest import Manifest, MarkedFolder, Marks, NewFile, SourceKey, Waiting
from sidecar.models import NS, Basis, FileStat, FileType, Mark, Problem, PurgeOutcome, Road, Rules, Scan, Source
from sidecar.sync import marks
from sidecar.sync.context import SyncOptions
from sidecar.sync.costs import PRIORS
from sidecar.sync.diff import Decision, Settling, Terms, decide
from sidecar.sync.look import Look, Place, keep_marks, known_beside, look
from sidecar.sync.planner import Limits, freights, plan
from sidecar.transports.base import TransportAdapter
from sidecar.transports.docker import scanwire, wire
from tests.unit.agent.harness import python_agent

NOW = 1_700_000_000 * NS
OLD = NOW - 3600 * NS
HOUR = 3600 * NS
OPTIONS = SyncOptions(Settling(2 * NS, 600 * NS), 0.25, full_scan_every_ns=HOUR)
MARK = Mark(b"d" * 16, b"s" * 16, 3)
ROOT = b"/output"


class Lister:
    """An agent that goes on, as in a container; every scan is of the same moment, so that ages compare."""

    def __init__(self) -> None:
        agent = python_agent()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(agent.argv, stdin=pipe, stdout=pipe, env=agent.env, cwd="/", bufsize=0)
        self._send(agent.start.preamble)
        self.top = b""

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        while data:
            data = data[self._process.stdin.write(data) :]

    async def scan(self, root: bytes, basis: Basis | None = None) -> Scan:
        token, entries = wire.new_token(), scanwire.Entries(basis)
        parser = wire.RecordParser(token)
        self._send(scanwire.scan_request(token, self.top, basis))
        assert self._process.stdout is not None
        while not parser.finished:
            entries.take(parser.feed(self._process.stdout.read(1 << 16)))
        return replace(scanwire.read_scan(entries, root, "python"), now_ns=NOW)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def lister() -> Iterator[Lister]:
    made = Lister()
    yield made
    made.close()


@dataclass
class World:
    """A root, what the manifest knows of it, and what an operator decided."""

    lister: Lister
    top: Path
    manifest: Manifest = field(default_factory=Manifest.empty)
    rules: Rules = field(default_factory=Rules)
    generation: int = 1
    now_ns: int = NOW

    @property
    def key(self) -> SourceKey:
        source = Source("gen", "comfyui", "docker", f"id-{self.generation}", "comfy", (ROOT,), "running")
        return self.manifest.enter(source, NOW)

    @property
    def place(self) -> Place:
        return Place(self.key, ROOT, self.rules)

    def look(self) -> Look:
        adapter = cast(TransportAdapter, self.lister)
        self.lister.top = os.fsencode(self.top)
        return asyncio.run(look(self.manifest, self.place, adapter, OPTIONS, self.now_ns))

    def without_marks(self) -> Decision:
        self.lister.top = os.fsencode(self.top)
        scan = asyncio.run(self.lister.scan(ROOT))
        terms = Terms(self.key.generation_id, self.rules, OPTIONS.settling)
        return decide(scan, self.manifest.known(self.key, ROOT), self.manifest.waiting(self.key, ROOT), terms)

    def carry_out(self, found: Look, comes: Callable[[bytes], bool] = lambda _: True) -> None:
        """What a pass does with a decision; files that do not come wait for the next one."""
        decision, waiting = found.decision, dict(found.decision.waiting)
        self.manifest.confirm(self.key, decision.moved_on, NOW, decision.vanished)
        for stat in decision.fetch:
            if comes(stat.path):
                self.manifest.record(self.key, ROOT, [stored(stat)], NOW)
                del waiting[stat.path]
        self.manifest.set_waiting(self.key, ROOT, waiting)
        keep_marks(self.manifest, self.place, found, waiting, self.now_ns)

    def run(self, comes: Callable[[bytes], bool] = lambda _: True) -> Look:
        """A pass."""
        found = self.look()
        self.carry_out(found, comes)
        return found

    def marked(self) -> set[bytes]:
        context = marks.context(self.key.generation_id, self.rules)
        return set(self.manifest.marks.load(self.key, ROOT, context).folders)

    def later(self) -> None:
        """Wait until the clock of files, coarser than that of programs, goes beyond what it is now."""
        mark, now = self.top.parent / f"{self.top.name}.clock", time.time_ns()
        mark.touch()
        while mark.stat().st_ctime_ns <= now:
            mark.touch()
        mark.unlink()

    def put(self, name: str, size: int = 10, mtime_ns: int = OLD) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "r+b" if path.is_file() else "wb") as file:  # in place, as ComfyUI does
            file.truncate(size)
        os.utime(path, ns=(mtime_ns, mtime_ns))


def stored(stat: FileStat) -> NewFile:
    return NewFile(stat, bytes([stat.size % 256]) * 32, b"gen/" + stat.path, "image")


@pytest.fixture
def world(lister: Lister, tmp_path: Path) -> Iterator[World]:
    made = World(lister, tmp_path)
    yield made
    made.manifest.close()


def plain(decision: Decision) -> object:
    """A decision in an order of its own: folders are looked at in any."""
    said = (decision.skipped, decision.unsettled, decision.failed)
    named = [sorted((p.path, p.reason) for p in problems) for problems in said]
    fetch = {stat.path: (stat, must) for stat, must in decision.fetch.items()}
    moved = sorted(decision.moved_on, key=lambda pair: pair[0])
    waiting = {path: replace(w, since_ns=0) for path, w in decision.waiting.items()}
    return named, fetch, moved, sorted(decision.vanished), waiting, decision.scanned, decision.unchanged


FOLDERS = ("", "a", "a/b", "c")
NAMES = ("1.png", "2.png", "1.txt", "2.txt", "2.log", "tmp.png.tmp")
PATHS = st.builds(lambda folder, name: f"{folder}/{name}".lstrip("/"), st.sampled_from(FOLDERS), st.sampled_from(NAMES))
TIMES = st.sampled_from([OLD, OLD + 1, NOW - NS, NOW + 900 * NS])
STEPS = st.one_of(
    st.tuples(st.just("put"), PATHS, st.sampled_from([0, 10, 11]), TIMES),
    st.tuples(st.sampled_from(["remove", "link", "forget", "purge", "fails"]), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.sampled_from(["move folder", "lose folder"]), st.sampled_from(FOLDERS[1:])),
    st.tuples(st.sampled_from(["new generation", "exclude", "an hour", "nothing"])),
)


def step(world: World, what: str, *args: object) -> None:
    """Something happens: in the source, to the manifest's rows, or to what the operator wants."""
    path = world.top / str(args[0]) if args else world.top
    with suppress(OSError):  # what is not there cannot be renamed
        if what == "put":
            world.put(str(args[0]), cast(int, args[1]), cast(int, args[2]))
        elif what == "remove":
            path.unlink()
        elif what == "link":
            path.symlink_to("1.png")
        elif what == "rename":
            path.rename(world.top / str(args[1]))
        elif what == "move folder":
            path.rename(world.top / "moved")
        elif what == "lose folder":
            shutil.rmtree(path)
        elif what in ("forget", "purge"):
            _row_changes(world, what, str(args[0]).encode())
    if what == "new generation":
        world.generation += 1
    elif what == "exclude":
        world.rules = Rules() if world.rules.exclude else Rules(exclude=("2.png", "*.log"))
    elif what == "an hour":
        world.now_ns += HOUR


def _row_changes(world: World, what: str, path: bytes) -> None:
    known = world.manifest.known(world.key, ROOT).get(path)
    if known is None:
        return
    if what == "forget":
        world.manifest.distrust([known.file_id], NOW)
        return
    world.manifest.intend(world.key, "job", [(known.file_id, b"private")], (0, 0), NOW)
    world.manifest.conclude("job", [(known.file_id, PurgeOutcome.CHANGED, "")], NOW)


@given(rounds=st.lists(st.lists(STEPS, max_size=4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_decision_with_marks_is_the_decision_without(rounds: list[list[tuple[str, object]]], lister: Lister) -> None:
    with tempfile.TemporaryDirectory() as top:
        world = World(lister, Path(top))
        for number, name in enumerate(("1.png", "a/1.png", "a/1.txt", "a/b/1.png", "a/b/2.log", "c/2.png")):
            world.put(name, 10 + number)
        world.run()
        for steps in rounds:
            for one in steps:
                step(world, *one)
            failing = {str(one[1]).encode() for one in steps if one[0] == "fails"}
            wanted, found = world.without_marks(), world.look()
            assert plain(found.decision) == plain(wanted)
            world.carry_out(found, lambda path, failing=failing: path not in failing)  # type: ignore[misc]
        assert world.marked() <= {b"", b"a", b"a/b", b"c", b"moved", b"moved/b"}
        world.manifest.close()


def test_what_is_done_is_not_listed_again(world: World) -> None:
    for name in ("1.png", "a/2.png", "a/3.log", "a/b/4.png"):
        world.put(name)
    first = world.run()
    assert (len(first.decision.fetch), first.full) == (3, True)
    again = world.run()
    assert [e.path for e in again.scan.entries if e.type is not FileType.DIRECTORY] == []
    assert (again.decision.scanned, again.decision.unchanged, again.full) == (4, 3, False)
    assert [p.path for p in again.decision.skipped] == [b"a/3.log"]
    assert again.decision.skipped == first.decision.skipped


def test_a_pass_where_nothing_happened_writes_nothing(world: World) -> None:
    world.put("a/1.png")
    world.run()
    before = world.manifest._db.total_changes
    found = world.look()
    keep_marks(world.manifest, world.place, found, {}, NOW)
    assert world.manifest._db.total_changes == before


def listed(found: Look) -> set[bytes]:
    return {e.path for e in found.scan.entries if e.type is not FileType.DIRECTORY}


def test_a_folder_is_listed_while_anything_in_it_waits(world: World) -> None:
    world.put("a/whole.png")
    world.put("a/growing.png", mtime_ns=NOW - NS)
    world.put("b/fails.png")
    world.run(lambda path: path != b"b/fails.png")
    assert world.marked() == {b""}
    assert listed(world.run()) == {b"a/whole.png", b"a/growing.png", b"b/fails.png"}
    world.put("a/growing.png", mtime_ns=OLD)
    world.run()
    assert world.marked() == {b"", b"a", b"b"}


@pytest.mark.parametrize("change", ["distrust", "purged", "vanished", "recorded", "moved on"])
def test_a_mark_goes_with_the_first_row_that_changes(change: str, world: World) -> None:
    for name in ("a/1.png", "b/2.png"):
        world.put(name)
    world.run()
    assert world.marked() == {b"", b"a", b"b"}
    row = world.manifest.known(world.key, ROOT)[b"a/1.png"]
    if change == "distrust":
        world.manifest.distrust([row.file_id], NOW)
    elif change == "purged":
        world.manifest.intend(world.key, "job", [(row.file_id, b"p")], (0, 0), NOW)
        world.manifest.conclude("job", [(row.file_id, PurgeOutcome.PURGED, "")], NOW)
    elif change == "vanished":
        world.manifest.confirm(world.key, [], NOW, [row.file_id])
    elif change == "recorded":
        world.manifest.record(world.key, ROOT, [stored(FileStat(b"a/9.png", 9, OLD, 9))], NOW)
    else:
        world.manifest.confirm(world.key, [(row.file_id, FileStat(b"a/1.png", 10, OLD, 77))], NOW, [])
    assert world.marked() == {b"", b"b"}


def test_a_mark_is_refused_when_its_rows_are_not_there(world: World) -> None:
    """Another command took a row away while the pass was under way."""
    for name in ("a/1.png", "b/2.png"):
        world.put(name)
    world.run()
    world.manifest.confirm(world.key, [], NOW, [k.file_id for k in world.manifest.known(world.key, ROOT).values()])
    found = world.look()
    for stat in found.decision.fetch:
        world.manifest.record(world.key, ROOT, [stored(stat)], NOW)
    world.manifest.distrust([world.manifest.known(world.key, ROOT)[b"a/1.png"].file_id], NOW)
    keep_marks(world.manifest, world.place, found, {}, NOW)
    assert world.marked() == {b"", b"b"}
    assert set(world.look().decision.fetch) == {e for e in found.scan.entries if e.path == b"a/1.png"}


def test_a_full_scan_is_due_at_first_after_its_time_and_when_the_clock_went_back() -> None:
    assert marks.is_due(Marks(), NOW, HOUR)
    assert not marks.is_due(Marks({}, NOW), NOW, HOUR)
    assert not marks.is_due(Marks({}, NOW), NOW + HOUR - 1, HOUR)
    assert marks.is_due(Marks({}, NOW), NOW + HOUR, HOUR)
    assert marks.is_due(Marks({}, NOW), NOW - 1, HOUR)
    assert marks.is_due(Marks({}, NOW), NOW, 0)


def test_a_full_scan_sends_nothing_along(world: World) -> None:
    world.put("a/1.png")
    world.run()
    assert listed(world.run()) == set()
    world.now_ns += HOUR
    assert listed(world.run()) == {b"a/1.png"}
    assert listed(world.run()) == set()


def test_what_a_glance_misses_the_full_scan_finds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one loss of shapes: a picture rewritten in place long after, in a folder where nothing else happens."""
    monkeypatch.setattr(marks, "QUIET_NS", 0)
    world.put("a/1.png")
    world.run()
    world.run()
    world.put("a/1.png", 11)
    assert world.run().decision.fetch == {}
    world.now_ns += HOUR
    assert [stat.path for stat in world.run().decision.fetch] == [b"a/1.png"]


def test_nobodys_shape_is_trusted_while_it_is_young(world: World) -> None:
    world.put("a/1.png")
    world.run()
    world.run()
    held = world.manifest.marks.load(world.key, ROOT, marks.context(world.key.generation_id, world.rules))
    assert {f.mark.shape for f in held.folders.values()} == {b""}
    world.put("a/1.png", 11)
    assert [stat.path for stat in world.run().decision.fetch] == [b"a/1.png"]


def test_other_patterns_another_generation_or_program_know_no_marks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("a/1.png")
    world.run()
    was = marks.context(1, Rules())
    assert was == marks.context(1, Rules(preserve=("x",)))
    assert was not in (
        marks.context(2, Rules()),
        marks.context(1, Rules(include=("*.png",))),
        marks.context(1, Rules(exclude=("*.png",))),
    )
    world.generation += 1
    assert world.marked() == set()
    found = world.run()
    assert (listed(found), len(found.decision.moved_on)) == ({b"a/1.png"}, 1)
    monkeypatch.setattr("sidecar.__version__", "9.9")
    assert marks.context(1, Rules()) != was


def test_skipped_names_come_back_as_they_were(world: World) -> None:
    odd = (b"a/\xff\n.log", b"a/two  words.json")
    held = MarkedFolder(replace(MARK, names=2), tuple(Problem(path, "réason: why") for path in odd))
    context = marks.context(1, Rules())
    world.manifest.marks.keep(world.key, ROOT, context, NOW, {b"a": held}, ())
    assert world.manifest.marks.load(world.key, ROOT, context) == Marks({b"a": held}, NOW)


def test_folders_with_waiting_files_are_not_in_a_basis() -> None:
    held = Marks({b"a": MarkedFolder(MARK), b"": MarkedFolder(MARK), b"a/b": MarkedFolder(MARK)}, NOW)
    assert set(marks.basis(held, [b"a/x.png"], full=False).marks) == {b"", b"a/b"}
    assert set(marks.basis(held, [b"x.png"], full=False).marks) == {b"a", b"a/b"}
    assert marks.basis(held, [], full=True).marks == {}


def test_a_mark_that_counts_other_names_than_came_is_not_kept() -> None:
    """A name that was refused (out of the root, listed twice) is in the agent's mark and not in the list."""
    entries = (FileStat(b"a/1.png", 1, OLD), FileStat(b"a/2.png", 1, OLD))
    scan = Scan(ROOT, entries, NOW, "python", marks={b"a": MARK, b"b": replace(MARK, names=0)})
    found = marks.settled(scan, marks.by_folder(entries), Decision(), (), Marks())
    assert set(found) == {b"b"}


def test_a_folder_where_something_waits_or_failed_is_not_settled() -> None:
    empty = replace(MARK, names=0)
    scan = Scan(ROOT, (), NOW, "python", marks=dict.fromkeys((b"", b"waits", b"failed", b"denied", b"done"), empty))
    decision = Decision(failed=[Problem(b"failed/1.png", "why"), Problem(b"denied", "permission denied")])
    assert set(marks.settled(scan, {}, decision, [b"waits/2.png"], Marks())) == {b"done"}


@pytest.mark.parametrize("how", ["same", "grown"])
def test_no_archive_of_a_folder_carries_along_what_was_not_listed(how: str) -> None:
    """Nobody knows how much is in a folder that is the same: to read all of it would hold the generator up."""
    new = [FileStat(b"%d.png" % n, 10, OLD) for n in range(50)]
    said = {b"old": MARK}
    unlisted = Scan(
        ROOT, (), NOW, "python", **{"same": {"same": said}, "grown": {"marks": said, "grown": set(said)}}[how]
    )  # type: ignore[arg-type]
    roads = frozenset(Road)
    assert {t.road for t in plan(new, freights(new), roads, PRIORS, Limits())} == {Road.FOLDER}
    with_it = plan(new, freights([*new, *marks.unseen(unlisted)]), roads, PRIORS, Limits())
    assert Road.FOLDER not in {t.road for t in with_it}
    inside = [replace(stat, path=b"new/" + stat.path) for stat in new]
    beside = plan(inside, freights([*inside, *marks.unseen(unlisted)]), roads, PRIORS, Limits())
    assert [t.folder for t in beside] == [b"new"]


def test_known_beside_what_is_fetched(world: World) -> None:
    for name in ("a/1.png", "b/2.png"):
        world.put(name)
    world.run()
    world.later()
    world.put("a/1.webp")
    world.put("c/3.png")
    found = world.look()
    assert found.scan.grown == {b"a"}
    assert set(known_beside(world.manifest, world.place, found.scan, found.decision)) == {b"a/1.png"}
    world.put("a/1.png", 11)
    found = world.look()
    assert found.scan.grown == set()
    assert set(known_beside(world.manifest, world.place, found.scan, found.decision)) == {b"a/1.png"}


def test_of_a_folder_that_got_more_only_that_is_listed(world: World) -> None:
    for name in ("a/1.png", "a/2.png", "a/3.log", "b/4.png"):
        world.put(name)
    world.run()
    world.later()
    world.put("a/5.png")
    world.put("a/5.txt")
    world.put("a/1.txt")
    found = world.run()
    assert listed(found) == {b"a/5.png", b"a/5.txt", b"a/1.txt"}
    assert (found.decision.scanned, found.decision.unchanged, len(found.decision.fetch)) == (7, 3, 3)
    assert world.marked() == {b"", b"a", b"b"}
    assert listed(world.run()) == set()
    (world.top / "a" / "2.png").unlink()
    world.put("a/6.png")
    assert listed(world.run()) == {b"a/1.png", b"a/1.txt", b"a/3.log", b"a/5.png", b"a/5.txt", b"a/6.png"}


def test_a_text_comes_late_and_its_picture_was_left_out(world: World) -> None:
    world.rules = Rules(exclude=("*.mp4",))
    for name in ("a/1.mp4", "a/2.png"):
        world.put(name)
    (world.top / "a" / "3.png").symlink_to("2.png")
    world.run()
    world.later()
    for name in ("a/1.txt", "a/2.txt", "a/3.txt", "a/4.txt"):
        world.put(name)
    wanted, found = world.without_marks(), world.look()
    assert found.scan.grown == {b"a"}
    assert {stat.path for stat in found.decision.fetch} == {b"a/1.txt", b"a/2.txt"}
    assert plain(found.decision) == plain(wanted)


def test_a_text_that_was_alone_comes_when_its_picture_does(world: World) -> None:
    world.put("a/1.png")
    world.put("a/2.txt")
    assert [p.path for p in world.run().decision.skipped] == [b"a/2.txt"]
    world.put("a/2.png")
    found = world.run()
    assert (set(found.scan.grown), {stat.path for stat in found.decision.fetch}) == (set(), {b"a/2.png", b"a/2.txt"})


def test_rows_are_found_by_folder_however_deep(world: World) -> None:
    for name in ("1.png", "a/2.png", "a/b/3.png", "a0/4.png"):
        world.put(name)
    world.run()
    assert world.manifest.folders(world.key, ROOT) == [b"", b"a", b"a/b", b"a0"]
    assert set(world.manifest.known_in(world.key, ROOT, [b"a", b""])) == {b"a/2.png", b"1.png"}
    world.manifest.set_waiting(world.key, ROOT, {b"a/x.png": Waiting(1, 1, 1, 1, False, "why")})
    assert world.manifest.folders(world.key, b"/other") == []
