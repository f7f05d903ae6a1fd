"""One look at a root: the scan and what is to be done about it. Loads rows of folders that have to be looked into only.

A few folders at a time, because of 200,000 files neither all rows nor all that is decided about them should be held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sidecar.manifest import Known, Manifest, Marks, SourceKey, Waiting
from sidecar.media.kinds import Kind, classify, group_ranges
from sidecar.models import FileStat, Rules, Scan
from sidecar.sync import marks
from sidecar.sync.context import SyncOptions
from sidecar.sync.diff import Decision, Terms, judge, media_groups
from sidecar.transports.base import TransportAdapter
from sidecar.values import dataclass

AT_ONCE = 5000  # files whose rows are held, about


@dataclass(frozen=True, slots=True)
class Place:
    """Where one looks: a root of a source, and the rules that hold there."""

    key: SourceKey
    root: bytes
    rules: Rules


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. `waiting` is what waited before, `full` whether every file was looked at."""

    scan: Scan
    decision: Decision
    waiting: dict[bytes, Waiting]
    marks: Marks
    folders: Mapping[bytes, Sequence[FileStat]]
    full: bool


async def look(manifest: Manifest, place: Place, adapter: TransportAdapter, options: SyncOptions, now_ns: int) -> Look:
    """Scan, and decide over every file. `now_ns` is this program's clock. Changes nothing."""
    held, waiting = await asyncio.to_thread(
        lambda: (
            manifest.marks.load(place.key, place.root, marks.context(place.key.generation_id, place.rules)),
            manifest.waiting(place.key, place.root),
        )
    )
    full = marks.is_due(held, now_ns, options.full_scan_every_ns)
    scan = await adapter.scan(place.root, marks.basis(held, waiting, full=full))
    terms = Terms(place.key.generation_id, place.rules, options.settling)

    def decided() -> tuple[Decision, dict[bytes, list[FileStat]]]:
        decision, folders = Decision(failed=list(scan.problems)), marks.by_folder(scan.entries)
        known = manifest.folders(place.key, place.root)
        left_out = marks.pictures_left_out(held, scan.grown)
        for names in _some([*folders, *(name for name in known if name not in folders)], folders):
            entries = [entry for name in names for entry in folders.get(name, ())]
            rows = manifest.known_in(place.key, place.root, listed(scan, names))
            beside = pictures_beside(manifest, place, scan, entries) | left_out
            judge(decision, scan, entries, rows, waiting, terms, beside)
        marks.vouch(decision, held, scan)
        return decision, folders

    decision, folders = await asyncio.to_thread(decided)
    return Look(scan, decision, waiting, held, folders, full)


def _some(names: Sequence[bytes], folders: Mapping[bytes, Sequence[FileStat]]) -> Iterator[list[bytes]]:
    """Folders in groups of not many files."""
    group: list[bytes] = []
    size = 0
    for name in names:
        group.append(name)
        size += 1 + len(folders.get(name, ()))
        if size >= AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def keep_marks(manifest: Manifest, place: Place, found: Look, waiting: Mapping[bytes, Waiting], now_ns: int) -> None:
    """After a pass that carried the decision out and left `waiting` behind: remember what need not be listed again."""
    fresh = marks.settled(found.scan, found.folders, found.decision, waiting.keys(), found.marks)
    fresh.update(marks.reshaped(found.marks, found.scan.same))
    gone = found.marks.folders.keys() - found.scan.same.keys() - fresh.keys()
    if not (fresh or gone or found.full):
        return
    full_ns = now_ns if found.full or found.marks.full_ns is None else found.marks.full_ns
    context = marks.context(place.key.generation_id, place.rules)
    manifest.marks.keep(place.key, place.root, context, full_ns, fresh, gone)


def listed(scan: Scan, folders: Iterable[bytes]) -> list[bytes]:
    """The folders among these of which everything is in the scan's list."""
    return [name for name in folders if name not in scan.same and name not in scan.grown]


def pictures_beside(manifest: Manifest, place: Place, scan: Scan, entries: Iterable[FileStat]) -> set[bytes]:
    """The groups of new texts that have a stored picture which was not listed, because it is as it was."""
    if not scan.grown:
        return set()
    texts = [entry.path for entry in entries
             if marks.folder_of(entry.path) in scan.grown and classify(entry.path).kind is Kind.TEXT]  # fmt: skip
    return media_groups(manifest.known_between(place.key, place.root, group_ranges(texts)))


def known_beside(manifest: Manifest, place: Place, scan: Scan, decision: Decision) -> dict[bytes, Known]:
    """What is stored already beside what is fetched: all of a folder that was listed, else files of the same stem."""
    new = [stat.path for stat in decision.fetch if marks.folder_of(stat.path) in scan.grown]
    folders = listed(scan, {marks.folder_of(stat.path) for stat in decision.fetch})
    return (manifest.known_in(place.key, place.root, folders)
            | manifest.known_between(place.key, place.root, group_ranges(new)))  # fmt: skip
