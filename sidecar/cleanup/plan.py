"""Which originals may go: a pure decision over a fresh scan, the manifest and the rules. Unsure means keep."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from types import MappingProxyType

from sidecar.manifest import Known
from sidecar.media.kinds import Kind, classify, counter, group_key, is_dated_folder
from sidecar.models import NS, FileStat, FileType, Rules, Scan, same_stat
from sidecar.patterns import matches
from sidecar.values import dataclass

EMPTIES = 20  # a plan that leaves nothing of more files than this needs the operator's word
SKEW_NS = 10 * 60 * NS
_NOTHING: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PurgeRules:
    """What the operator decided for every source. Ages in ns; `max_delete` a count or, as a str, a percentage."""

    min_stored_ns: int = 0
    keep_newest: int = 1
    max_count: int | None = None
    max_percent: float | None = None
    kinds: frozenset[Kind] = frozenset((Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.TEXT))
    remove_empty_dated: bool = False
    allow_empty: bool = False
    required: tuple[str, ...] = ()  # sinks that must have got what goes


@dataclass(frozen=True, slots=True)
class Candidate:
    """One original that may go, what it was at the scan, and the copy that has to prove itself first."""

    file_id: int
    stat: FileStat
    sha256: bytes
    library_path: bytes
    owner: tuple[int, int]


@dataclass(frozen=True, slots=True)
class RootPlan:
    """The decision for one root: who may go, and of every other file why it stays."""

    root: bytes
    candidates: tuple[Candidate, ...]
    kept: tuple[tuple[bytes, str], ...]
    refused: str | None = None
    files: int = 0


@dataclass(slots=True)
class PurgePlan:
    """What a purge would do to one source. Made by `CleanupEngine.plan`, executed once."""

    source: str
    roots: tuple[RootPlan, ...]
    refused: str | None = None
    used: bool = field(default=False, repr=False)

    @property
    def candidates(self) -> int:
        """How many originals may go."""
        return sum(len(root.candidates) for root in self.roots)

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(c.stat.size for root in self.roots for c in root.candidates)

    def kept(self) -> Counter[str]:
        """How many files stay, by reason."""
        return Counter(reason for root in self.roots for _, reason in root.kept)


def plan_root(scan: Scan, known: dict[bytes, Known], generation_id: int, rules: Rules, purge: PurgeRules,
              clock_ns: int, lacking: Mapping[int, str] = _NOTHING) -> RootPlan:  # fmt: skip
    """Decide over every file of a scan. `clock_ns` is this process's own clock, to notice one that jumped.

    `lacking` has, for each file that a required sink has not got, the sink's name.
    """
    files = [e for e in scan.entries if e.type is not FileType.DIRECTORY]
    if abs(scan.now_ns - clock_ns) > SKEW_NS:
        minutes = abs(scan.now_ns - clock_ns) // (60 * NS)
        reason = f"the source's clock and this one differ by {minutes} minutes"
        return RootPlan(scan.root, (), tuple((f.path, "clock jumped") for f in files), reason, len(files))
    owners = {e.path: (e.uid, e.gid) for e in scan.entries if e.type is FileType.DIRECTORY} | {b"": scan.owner}
    newest = _newest(files, purge.keep_newest, scan.now_ns)
    look = _Look(generation_id, rules, purge, scan.now_ns, clock_ns, newest, owners, lacking)
    verdicts = {f.path: _why_kept(f, known.get(f.path), look) for f in files}
    _keep_companions(verdicts)
    candidates = tuple(
        Candidate(record.file_id, f, record.hash, record.library_path, owners.get(_folder(f.path), (-1, -1)))
        for f in files
        if not verdicts[f.path] and (record := known[f.path])
    )
    kept = tuple((path, reason) for path, reason in verdicts.items() if reason)
    return RootPlan(scan.root, candidates, kept, _empties(candidates, files, purge), len(files))


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at a root found, for judging its files: clocks in ns, owners of its folders as (uid, gid)."""

    generation_id: int
    rules: Rules
    purge: PurgeRules
    now_ns: int
    clock_ns: int
    newest: set[bytes]
    owners: dict[bytes, tuple[int, int]]
    lacking: Mapping[int, str]


def _why_kept(f: FileStat, record: Known | None, look: _Look) -> str:
    """The first reason to keep a file; "" when there is none."""
    rules, kind = look.rules, classify(f.path)
    if f.type is not FileType.FILE:
        return "a link" if f.type is FileType.LINK else "not a regular file"
    if kind.reason or kind.kind not in look.purge.kinds:
        return kind.reason or "not a kind that is purged"
    if record is None:
        return "not stored yet"
    if record.generation_id != look.generation_id:
        return "new generation, not looked at by a sync yet"
    if not same_stat(record.size, record.mtime_ns, record.inode, f.size, f.mtime_ns, f.inode,
                     exact=record.exact and f.exact):  # fmt: skip
        return "changed since it was stored"
    return _too_young(f, record, look) or _spared(f, rules, look) or undelivered(record.file_id, look.lacking)


def undelivered(file_id: int, lacking: Mapping[int, str]) -> str:
    """Why a file stays that a required sink has not got; "" for one that all of them have."""
    return f"not delivered to {lacking[file_id]} yet" if file_id in lacking else ""


def _too_young(f: FileStat, record: Known, look: _Look) -> str:
    if f.mtime_ns > look.now_ns:
        return "its mtime lies in the future"
    if look.now_ns - f.mtime_ns <= look.rules.older_than_ns:
        return "younger than the age limit"
    return "stored too short a time ago" if look.clock_ns - record.stored_ns < look.purge.min_stored_ns else ""


def _spared(f: FileStat, rules: Rules, look: _Look) -> str:
    if matches(f.path, rules.preserve):
        return "preserved by pattern"
    if matches(f.path, rules.exclude) or (rules.include and not matches(f.path, rules.include)):
        return "not to be pulled any more"  # stored under other rules; what is none of our business now stays
    if f.path in look.newest:
        return "newest of its prefix"
    if f.uid != look.owners.get(_folder(f.path), (-1, -1))[0]:
        return "foreign owner"
    return ""


def _newest(files: Iterable[FileStat], keep: int, now_ns: int) -> set[bytes]:
    """The highest numbers of each folder and prefix, which a generator's counter goes on from."""
    if not keep:
        return set()
    today = day_begun(now_ns)
    series: dict[tuple[bytes, bytes], dict[int, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for f in files:
        numbered = counter(f.path)
        if numbered is None:
            continue
        date = is_dated_folder(f.path)
        if date is not None and date < today:
            continue
        series[numbered.folder, numbered.prefix][numbered.number].append(f.path)
    return {path for numbers in series.values() for n in sorted(numbers)[-keep:] for path in numbers[n]}


def day_begun(now_ns: int) -> datetime.date:
    """The earliest day that it may be where the source is: folders are named in the container's time zone."""
    return (datetime.datetime.fromtimestamp(now_ns / NS, datetime.UTC) - datetime.timedelta(hours=12)).date()


def _keep_companions(verdicts: dict[bytes, str]) -> None:
    """Files of one stem go together or not at all."""
    staying = {group_key(path) for path, reason in verdicts.items() if reason}
    if not staying:
        return
    for path, reason in verdicts.items():
        if not reason and group_key(path) in staying:
            verdicts[path] = "belongs to a file that stays"


def _empties(candidates: Sequence[Candidate], files: list[FileStat], purge: PurgeRules) -> str | None:
    """Whether nothing that a person would look for is left: placeholders, logs and models are no pictures."""
    count = len(candidates)
    if count > EMPTIES and not purge.allow_empty and count == sum(classify(f.path).pulled for f in files):
        return f"all {count} files would go; give --allow-empty if that is meant"
    return None


def narrow(plan: PurgePlan, files: Collection[tuple[bytes, bytes]]) -> None:
    """Keep all but these originals, (root, path) each: what somebody looked at and said yes to."""
    plan.roots = tuple(_narrowed(root, {path for at, path in files if at == root.root}) for root in plan.roots)


def _narrowed(root: RootPlan, wanted: set[bytes]) -> RootPlan:
    verdicts = {c.stat.path: "" if c.stat.path in wanted else "not among those that were confirmed"
                for c in root.candidates}  # fmt: skip
    _keep_companions(verdicts)
    kept = tuple((path, reason) for path, reason in verdicts.items() if reason)
    going = tuple(c for c in root.candidates if not verdicts[c.stat.path])
    return replace(root, candidates=going, kept=(*root.kept, *kept))


def limit(plans: Sequence[PurgePlan], purge: PurgeRules) -> None:
    """Refuse all plans of one run when together they would delete more than `purge.max_delete` allows."""
    willing = [plan for plan in plans if plan.refused is None]
    count = sum(plan.candidates for plan in willing)
    files = sum(root.files for plan in willing for root in plan.roots)
    reason = None
    if purge.max_count is not None and count > purge.max_count:
        reason = f"{count} files would go, purge.max_delete allows {purge.max_count}"
    elif purge.max_percent is not None and count * 100 > purge.max_percent * files:
        reason = f"{count} of {files} files would go, purge.max_delete allows {purge.max_percent:g} %"
    if reason:
        for plan in willing:
            plan.refused = reason


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]
