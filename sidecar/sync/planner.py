"""Which roads the changed files take: a pure function from files, folders and costs to bounded reads.

An archive read locks its container until it is drained (moby#29058), so none may be expected to take longer than
`max_freeze`; the agent's stream takes no lock. A file larger than that still has to come somehow: by stream where
there is one, alone where there is none.

Folders lie in folders, so the cheapest archives are found from the leaves up: a folder is read whole when that costs
less than the best for each of its parts. A stream costs its start only once, whatever it carries, so this is done
twice, as if there were no stream and as if one were running already, and what then really costs less is taken.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from sidecar.models import FileStat, FileType, Road, Transfer
from sidecar.sync.costs import Costs
from sidecar.values import dataclass

LOCKED = 1.25  # what a second of lock counts, beside one of the agent's stream


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one plan: seconds of lock per archive read (inf where nothing is locked), size of one stream.

    `folder_files` are taken from one read of a folder at most: each is an open file until it is committed.
    """

    max_freeze: float = 0.250
    folder_files: int = 2048
    stream_bytes: int = 256 << 20
    stream_files: int = 2000


@dataclass(slots=True)
class Freight:
    """What an archive of a folder carries: everything in it and below, wanted or not. Sizes in bytes."""

    files: int = 0
    size: int = 0


def freights(entries: Iterable[FileStat]) -> dict[bytes, Freight]:
    """What lies in each folder and below it. `entries` are all files of a root; the root itself is b""."""
    direct: dict[bytes, Freight] = defaultdict(Freight)
    for e in entries:
        if e.type is FileType.FILE:
            here = direct[e.path.rpartition(b"/")[0]]
            here.files += 1
            here.size += e.size
    below: dict[bytes, Freight] = defaultdict(Freight)
    for folder, here in direct.items():
        for up in _with_ancestors(folder):
            below[up].files += here.files
            below[up].size += here.size
    return dict(below)


def plan(changed: Sequence[FileStat], folders: Mapping[bytes, Freight], roads: frozenset[Road], costs: Costs,
         limits: Limits) -> list[Transfer]:  # fmt: skip
    """Cover every changed file exactly once with the cheapest bounded reads.

    `folders` is what else lies around them, from `freights`. `roads` are those that can be taken; one of them has to
    be FILE or STREAM, for not every file is in a folder that may be read whole.
    """
    if not roads & {Road.FILE, Road.STREAM}:
        raise ValueError("folders alone do not reach every file")
    if not changed:
        return []
    choice = _Choice(folders, roads, costs, limits)
    tree = _tree(changed)
    ways = [_best(tree, choice, streaming=False)]
    if Road.STREAM in roads:
        ways += [_best(tree, choice, streaming=True), _Best(streamed=list(changed))]
        ways = [way for way in ways if way.cost < math.inf]  # without a stream not every file may come
    position = {f.path: at for at, f in enumerate(changed)}
    plans = [_transfers(best, position, choice) for best in ways]
    return min(plans, key=lambda transfers: total(transfers, folders, roads, costs))


def total(transfers: Iterable[Transfer], folders: Mapping[bytes, Freight], roads: frozenset[Road], costs: Costs
          ) -> float:  # fmt: skip
    """What a plan is expected to cost, in seconds; those of a lock count more where a stream could do without."""
    weight = LOCKED if Road.STREAM in roads else 1.0
    return sum(expected(t, folders, costs) * (1.0 if t.road is Road.STREAM else weight) for t in transfers)


def expected(transfer: Transfer, folders: Mapping[bytes, Freight], costs: Costs) -> float:
    """The seconds that one read is expected to take, and so to lock its container unless it is a stream."""
    carried = freight(transfer, folders)
    return costs.of(transfer.road).seconds(carried.files, carried.size)


def freight(transfer: Transfer, folders: Mapping[bytes, Freight]) -> Freight:
    """What one read carries."""
    if transfer.road is Road.FOLDER:
        return folders[transfer.folder]
    return Freight(len(transfer.files), sum(f.size for f in transfer.files))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What one read of a folder or of a file costs, inf where it must not be."""

    folders: Mapping[bytes, Freight]
    roads: frozenset[Road]
    costs: Costs
    limits: Limits

    def folder(self, name: bytes, wanted: int) -> float:
        if Road.FOLDER not in self.roads or name not in self.folders:
            return math.inf
        inside = self.folders[name]
        seconds = self.costs.folder.seconds(inside.files, inside.size)
        if seconds > self.limits.max_freeze:
            return math.inf
        return seconds * math.ceil(wanted / self.limits.folder_files) * self._lock()

    def file(self, size: int) -> float:
        seconds = self.costs.file.seconds(1, size)
        if Road.FILE not in self.roads or (Road.STREAM in self.roads and seconds > self.limits.max_freeze):
            return math.inf
        return seconds * self._lock()

    def streamed(self, size: int) -> float:
        """One more file in a stream that runs anyway, with its part of what starting the next one costs."""
        road, limits = self.costs.stream, self.limits
        part = min(1.0, max(1 / limits.stream_files, size / limits.stream_bytes))
        return road.seconds(1, size) - road.start * (1 - part)

    def _lock(self) -> float:
        return LOCKED if Road.STREAM in self.roads else 1.0


@dataclass(slots=True)
class _Node:
    """A folder with changed files in it or below."""

    files: list[FileStat] = field(default_factory=list)
    folders: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Best:
    """The cheapest way found for a set of files: what comes by folder, by stream, and file by file."""

    cost: float = 0.0
    whole: list[tuple[bytes, list[FileStat]]] = field(default_factory=list)
    streamed: list[FileStat] = field(default_factory=list)
    alone: list[FileStat] = field(default_factory=list)

    def add(self, other: _Best) -> None:
        self.cost += other.cost
        self.whole += other.whole
        self.streamed += other.streamed
        self.alone += other.alone

    def all(self) -> list[FileStat]:
        return [*self.streamed, *self.alone, *(f for _, files in self.whole for f in files)]


def _tree(changed: Iterable[FileStat]) -> dict[bytes, _Node]:
    nodes: dict[bytes, _Node] = {b"": _Node()}
    for f in changed:
        folder = f.path.rpartition(b"/")[0]
        if folder not in nodes:
            nodes[folder] = _Node()
            for below, up in _upwards(folder):
                known = up in nodes
                nodes.setdefault(up, _Node()).folders.add(below)
                if known:
                    break
        nodes[folder].files.append(f)
    return nodes


def _best(nodes: Mapping[bytes, _Node], choice: _Choice, *, streaming: bool) -> _Best:
    """The cheapest cover of the tree, from the leaves up; `streaming`: as if a stream were running already."""
    bests: dict[bytes, _Best] = {}
    deepest_first = sorted(nodes, key=lambda name: -(name.count(b"/") + (name != b"")))
    for name in deepest_first:
        node = nodes[name]
        parts = _each(node.files, choice, streaming=streaming)
        for below in node.folders:
            parts.add(bests.pop(below))
        inside = parts.all()
        whole = choice.folder(name, len(inside))
        bests[name] = _Best(whole, [(name, inside)]) if whole < parts.cost else parts
    return bests[b""]


def _each(files: Iterable[FileStat], choice: _Choice, *, streaming: bool) -> _Best:
    best = _Best()
    for f in files:
        alone = choice.file(f.size)
        streamed = choice.streamed(f.size) if streaming else math.inf
        if streamed <= alone and streaming:
            best.streamed.append(f)
            best.cost += streamed
        else:
            best.alone.append(f)
            best.cost += alone
    return best


def _transfers(best: _Best, position: Mapping[bytes, int], choice: _Choice) -> list[Transfer]:
    """Bounded reads of what was chosen, each in the order in which its files were asked for."""
    limits = choice.limits

    def ordered(files: list[FileStat]) -> list[FileStat]:
        return sorted(files, key=lambda f: position[f.path])

    made: list[Transfer] = []
    for folder, files in best.whole:
        part = ordered(files)
        made += (
            Transfer(Road.FOLDER, tuple(part[at : at + limits.folder_files]), folder)
            for at in range(0, len(part), limits.folder_files)
        )
    made += _streams(ordered(best.streamed), limits)
    return made + [Transfer(Road.FILE, (f,)) for f in ordered(best.alone)]


def _streams(files: Sequence[FileStat], limits: Limits) -> Iterator[Transfer]:
    batch: list[FileStat] = []
    size = 0
    for f in files:
        if batch and (size + f.size > limits.stream_bytes or len(batch) >= limits.stream_files):
            yield Transfer(Road.STREAM, tuple(batch))
            batch, size = [], 0
        batch.append(f)
        size += f.size
    if batch:
        yield Transfer(Road.STREAM, tuple(batch))


def _with_ancestors(folder: bytes) -> Iterator[bytes]:
    """A folder and all that hold it, up to the root b""."""
    yield folder
    for _, up in _upwards(folder):
        yield up


def _upwards(folder: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each folder on the way to the root, and the one that holds it."""
    while folder:
        up = folder.rpartition(b"/")[0]
        yield folder, up
        folder = up
