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
    batches = [list(_batches(_ordered(way.streamed, position), limits)) for way in ways]
    cheapest = min(range(len(ways)), key=lambda at: choice.price(ways[at], len(batches[at])))
    return _transfers(ways[cheapest], batches[cheapest], position, limits)


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


class _Choice:
    """What one read of a folder or of a file costs, inf where it must not be."""

    def __init__(self, folders: Mapping[bytes, Freight], roads: frozenset[Road], costs: Costs, limits: Limits) -> None:
        self._folders = folders if Road.FOLDER in roads else {}
        self._costs = costs
        self._limits = limits
        self._lock = LOCKED if Road.STREAM in roads else 1.0
        self._alone = Road.FILE in roads
        self._most = limits.max_freeze if Road.STREAM in roads else math.inf  # seconds of one file on its own

    def folder(self, name: bytes, wanted: int) -> float:
        """All of a folder, as often as it takes to get so many files out of it."""
        if name not in self._folders:
            return math.inf
        inside = self._folders[name]
        seconds = self._costs.folder.seconds(inside.files, inside.size)
        if seconds > self._limits.max_freeze:
            return math.inf
        return seconds * math.ceil(wanted / self._limits.folder_files) * self._lock

    def each(self, files: Sequence[FileStat], *, streaming: bool) -> _Best:
        """Every file for itself, or in a stream that runs anyway, with its part of what starting the next one costs.

        Called for every changed file there is, so costs are taken apart once and not for each.
        """
        file, stream, limits = self._costs.file, self._costs.stream, self._limits
        best, lock, most = _Best(), self._lock, self._most if self._alone else -1.0
        first, per_byte = file.start + file.per_file, file.per_byte
        for f in files:
            size = f.size
            seconds = first + size * per_byte
            alone = seconds * lock if seconds <= most else math.inf
            if streaming:
                part = min(1.0, max(1 / limits.stream_files, size / limits.stream_bytes))
                streamed = stream.per_file + size * stream.per_byte + stream.start * part
                if streamed <= alone:
                    best.streamed.append(f)
                    best.cost += streamed
                    continue
            best.alone.append(f)
            best.cost += alone
        return best

    def price(self, best: _Best, batches: int) -> float:
        """What it comes to, with so many streams."""
        file, stream = self._costs.file, self._costs.stream
        return (
            sum(self.folder(name, len(files)) for name, files in best.whole)
            + self._lock * (len(best.alone) * (file.start + file.per_file) + _bytes(best.alone) * file.per_byte)
            + batches * stream.start
            + len(best.streamed) * stream.per_file
            + _bytes(best.streamed) * stream.per_byte
        )


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
        parts = choice.each(node.files, streaming=streaming)
        for below in node.folders:
            parts.add(bests.pop(below))
        inside = parts.all()
        whole = choice.folder(name, len(inside))
        bests[name] = _Best(whole, [(name, inside)]) if whole < parts.cost else parts
    return bests[b""]


def _bytes(files: Iterable[FileStat]) -> int:
    return sum([f.size for f in files])


def _ordered(files: list[FileStat], position: Mapping[bytes, int]) -> list[FileStat]:
    """In the order in which they were asked for."""
    return sorted(files, key=lambda f: position[f.path])


def _transfers(best: _Best, batches: Iterable[list[FileStat]], position: Mapping[bytes, int], limits: Limits
               ) -> list[Transfer]:  # fmt: skip
    """Bounded reads of what was chosen."""
    made: list[Transfer] = []
    for folder, files in best.whole:
        part = _ordered(files, position)
        made += (
            Transfer(Road.FOLDER, tuple(part[at : at + limits.folder_files]), folder)
            for at in range(0, len(part), limits.folder_files)
        )
    made += (Transfer(Road.STREAM, tuple(batch)) for batch in batches)
    return made + [Transfer(Road.FILE, (f,)) for f in _ordered(best.alone, position)]


def _batches(files: Iterable[FileStat], limits: Limits) -> Iterator[list[FileStat]]:
    """What goes into each stream."""
    batch: list[FileStat] = []
    size = 0
    for f in files:
        if batch and (size + f.size > limits.stream_bytes or len(batch) >= limits.stream_files):
            yield batch
            batch, size = [], 0
        batch.append(f)
        size += f.size
    if batch:
        yield batch


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
