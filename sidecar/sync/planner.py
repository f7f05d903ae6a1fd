"""Which roads the changed files take: a pure function from files, folders and costs to bounded reads.

An archive read locks its container until it is drained (moby#29058), so none may be expected to take longer than
`max_freeze`; the agent's stream takes no lock. A file larger than that still has to come somehow: by stream where
there is one, alone where there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sidecar.models import FileStat, FileType, Road, Transfer

HEADER = 1024  # a member's header and its padding, about, bytes


@dataclass(frozen=True, slots=True)
class Costs:
    """What a read costs: seconds to start it, bytes per second, seconds for each file. Priors from Engine 20.10."""

    folder_start: float = 0.040
    folder_rate: float = 400e6
    file_start: float = 0.040
    file_rate: float = 400e6
    stream_start: float = 0.100
    stream_rate: float = 120e6
    per_file: float = 0.00005


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one plan: seconds of lock per archive read (inf where nothing is locked), size of one stream.

    `folder_files` are taken from one read of a folder at most: each is an open file until it is committed.
    """

    max_freeze: float = 0.250
    folder_files: int = 2048
    stream_bytes: int = 256 << 20
    stream_files: int = 2000


def plan(changed: Sequence[FileStat], entries: Iterable[FileStat], roads: frozenset[Road], costs: Costs,
         limits: Limits) -> list[Transfer]:  # fmt: skip
    """Cover every changed file exactly once with the cheapest bounded reads.

    `entries` is all that lies under the root: a folder's archive carries what is not wanted, too.
    """
    if not changed:
        return []
    folders: list[Transfer] = []
    rest = list(changed)
    if Road.FOLDER in roads:
        folders, rest = _by_folder(changed, entries, roads, costs, limits)
    if not rest:
        return folders
    if Road.STREAM in roads and (Road.FILE not in roads or _stream_is_cheaper(rest, costs)):
        return folders + _streams(rest, limits)
    if Road.FILE not in roads:
        return folders + _streams(rest, limits)
    big = [f for f in rest if Road.STREAM in roads and f.size / costs.file_rate > limits.max_freeze]
    alone = set(rest) - set(big)
    return folders + _streams(big, limits) + [Transfer(Road.FILE, (f,)) for f in rest if f in alone]


def _stream_is_cheaper(files: Sequence[FileStat], costs: Costs) -> bool:
    size = sum(f.size for f in files)
    stream = costs.stream_start + size / costs.stream_rate
    return stream <= len(files) * costs.file_start + size / costs.file_rate


def _streams(files: Sequence[FileStat], limits: Limits) -> list[Transfer]:
    done: list[Transfer] = []
    batch: list[FileStat] = []
    size = 0
    for f in files:
        if batch and (size + f.size > limits.stream_bytes or len(batch) >= limits.stream_files):
            done.append(Transfer(Road.STREAM, tuple(batch)))
            batch, size = [], 0
        batch.append(f)
        size += f.size
    if batch:
        done.append(Transfer(Road.STREAM, tuple(batch)))
    return done


@dataclass(slots=True)
class _Folder:
    """A folder with all that lies below it."""

    bytes: int = 0
    files: int = 0


def _by_folder(changed: Sequence[FileStat], entries: Iterable[FileStat], roads: frozenset[Road], costs: Costs,
               limits: Limits) -> tuple[list[Transfer], list[FileStat]]:  # fmt: skip
    """Whole folders, top down, where that is expected to be cheaper than fetching their changed files one by one."""
    totals: dict[bytes, _Folder] = defaultdict(_Folder)
    for e in entries:
        if e.type is FileType.FILE:
            for folder in _ancestors(e.path):
                totals[folder].bytes += e.size
                totals[folder].files += 1
    wanted: dict[bytes, list[FileStat]] = defaultdict(list)
    for f in changed:
        for folder in _ancestors(f.path):
            wanted[folder].append(f)
    taken: list[Transfer] = []
    covered: set[bytes] = set()
    for folder in sorted(wanted, key=lambda name: (name.count(b"/") + (name != b""), name)):
        if any(up in covered for up in _ancestors(folder + b"/x")):
            continue
        files, total = wanted[folder], totals[folder]
        read = costs.folder_start + (total.bytes + HEADER * total.files) / costs.folder_rate
        parts = [tuple(files[at : at + limits.folder_files]) for at in range(0, len(files), limits.folder_files)]
        if len(files) < 2 or read > limits.max_freeze or read * len(parts) > _otherwise(files, roads, costs):
            continue
        covered.add(folder)
        taken += [Transfer(Road.FOLDER, part, folder) for part in parts]
    inside = {f.path for t in taken for f in t.files}
    return taken, [f for f in changed if f.path not in inside]


def _otherwise(files: Sequence[FileStat], roads: frozenset[Road], costs: Costs) -> float:
    size = sum(f.size for f in files)
    alone = len(files) * costs.file_start + size / costs.file_rate
    if Road.STREAM not in roads:
        return alone
    return min(alone, costs.stream_start + len(files) * costs.per_file + size / costs.stream_rate)


def _ancestors(path: bytes) -> list[bytes]:
    """The folders that hold a path, the root b"" first."""
    found = [b""]
    at = path.find(b"/")
    while at >= 0:
        found.append(path[:at])
        at = path.find(b"/", at + 1)
    return found
