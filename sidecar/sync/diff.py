"""What to do with each file of a scan: a pure decision over the scan, the manifest's knowledge and the rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import field

from sidecar.manifest import Known, Waiting
from sidecar.media.kinds import Classification, Kind, classify, group_key
from sidecar.models import NS, FileStat, FileType, Problem, Rules, Scan, same_stat
from sidecar.patterns import matches
from sidecar.values import dataclass

UNUSABLE = "the library cannot hold it: "  # begins the reason of a file whose bytes came and found no name
EMPTY = "empty"
UNFETCHED = "not fetched yet"
ALONE = "text without a picture of its name"
_LINK, _SPECIAL = "a link", "not a regular file"
NO_FILE = frozenset((_LINK, _SPECIAL))  # reasons for which something is left out, whatever its name
UNUSABLE_NS = 24 * 3600 * NS  # after which it is tried again: somebody may have made room


@dataclass(frozen=True, slots=True)
class Settling:
    """How long a file must be left alone, ns: `quiet` for every file, `incomplete` when its format's end is missing."""

    quiet_ns: int
    incomplete_ns: int


@dataclass(slots=True)
class Decision:
    """What a scan asks for. `fetch` maps each file to whether it must show its format's end to be stored.

    `unchanged` are (file id, stat) seen again; `moved_on` those among them whose row needs to follow (a new
    generation, a more exact mtime). `vanished` are file ids that a complete scan did not show.
    """

    fetch: dict[FileStat, bool] = field(default_factory=dict)
    unchanged: int = 0
    moved_on: list[tuple[int, FileStat]] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    skipped: list[Problem] = field(default_factory=list)
    unsettled: list[Problem] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    waiting: dict[bytes, Waiting] = field(default_factory=dict)
    scanned: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a decision goes by, besides what was found."""

    generation_id: int
    rules: Rules
    settling: Settling


def decide(scan: Scan, known: dict[bytes, Known], waiting: dict[bytes, Waiting], terms: Terms,
           pictures: Collection[bytes] = ()) -> Decision:  # fmt: skip
    """Sort every entry of a scan into unchanged, to fetch, unsettled, skipped or failed; nothing is left unsaid.

    `pictures` are groups (see `group_key`) that have a picture which the scan does not show.
    """
    result = Decision(failed=list(scan.problems))
    judge(result, scan, scan.entries, known, waiting, terms, pictures)
    return result


def judge(result: Decision, scan: Scan, entries: Sequence[FileStat], known: dict[bytes, Known],
          waiting: dict[bytes, Waiting], terms: Terms, pictures: Collection[bytes] = ()) -> None:  # fmt: skip
    """Add to a decision what becomes of some folders: `entries` and `known` are all that is in them, and no more.

    Of a folder that got more, `entries` is what is new and `known` is nothing: `pictures` has to name its groups then.
    A file's fate depends on nothing outside its folder.
    """
    seen: set[bytes] = set()
    new: list[FileStat] = []
    for stat in entries:
        if stat.type is FileType.DIRECTORY:
            continue
        result.scanned += 1
        seen.add(stat.path)
        record = known.get(stat.path)
        if record is not None and _unchanged(record, stat):
            result.unchanged += 1
            _follow(result, record, stat, terms.generation_id)
        else:
            new.append(stat)
    named = [classify(stat.path) for stat in new]
    if any(one.kind is Kind.TEXT for one in named):  # nobody else asks for all pictures of a folder
        pictures = {*media_groups(stat.path for stat in entries if stat.type is FileType.FILE), *pictures}
    for stat, one in zip(new, named, strict=True):
        reason = _left_out(stat, one, terms.rules, pictures)
        if reason:
            result.skipped.append(Problem(stat.path, reason))
        elif not stat.readable_by(scan.agent_uid):
            result.failed.append(
                Problem(stat.path, f"permission denied: the agent (uid {scan.agent_uid}) may not read it")
            )
        else:
            _settle(result, stat, waiting.get(stat.path), scan.now_ns, terms.settling)
    unlisted = frozenset(p.path for p in scan.problems)
    result.vanished += [
        record.file_id for path, record in known.items() if path not in seen and not _hidden_by(path, unlisted)
    ]


def _unchanged(record: Known, stat: FileStat) -> bool:
    return same_stat(
        record.size,
        record.mtime_ns,
        record.inode,
        stat.size,
        stat.mtime_ns,
        stat.inode,
        exact=record.exact and stat.exact,
    )


def _follow(result: Decision, record: Known, stat: FileStat, generation_id: int) -> None:
    better = stat.exact and not record.exact
    if record.generation_id == generation_id and not better and (record.inode >= 0 or stat.inode < 0):
        return
    keep_time = record.exact and not stat.exact
    result.moved_on.append(
        (
            record.file_id,
            FileStat(
                stat.path,
                stat.size,
                record.mtime_ns if keep_time else stat.mtime_ns,
                stat.inode if stat.inode >= 0 else record.inode,
                exact=record.exact or stat.exact,
            ),
        )
    )


def media_groups(paths: Iterable[bytes]) -> set[bytes]:
    """Folder and stem of every picture, video and sound, to tell companions from stray text."""
    return {group_key(path) for path in paths if classify(path).kind in (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO)}


def _left_out(stat: FileStat, named: Classification, rules: Rules, pictures: Collection[bytes]) -> str:
    """Why a file is not pulled at all; "" when it is."""
    if stat.type is not FileType.FILE:
        return _LINK if stat.type is FileType.LINK else _SPECIAL
    if reason := _unwanted(stat.path, rules) or named.reason:
        return reason
    if named.kind is Kind.TEXT and group_key(stat.path) not in pictures:
        return ALONE
    return ""


def left_out_by_name(path: bytes, rules: Rules) -> str:
    """Why no file of that name is pulled, whatever it is; "" when it may be."""
    return _unwanted(path, rules) or classify(path).reason


def _unwanted(path: bytes, rules: Rules) -> str:
    if rules.include and not matches(path, rules.include):
        return "not matched by include"
    return "excluded by pattern" if rules.exclude and matches(path, rules.exclude) else ""


def _settle(result: Decision, stat: FileStat, before: Waiting | None, now_ns: int, settling: Settling) -> None:
    """Fetch now, or wait: an in-place writer may be at work for a long while without the size moving."""
    same = before is not None and same_stat(
        before.size, before.mtime_ns, before.inode, stat.size, stat.mtime_ns, stat.inode, exact=stat.exact
    )
    since = before.since_ns if before is not None and same else now_ns
    # a clock that went backwards, or an mtime in the future, proves nothing: then only our own observation counts
    age = now_ns - stat.mtime_ns if stat.mtime_ns <= now_ns else now_ns - since
    fetched = before is not None and same and before.fetched
    if fetched and before is not None and before.reason.startswith(UNUSABLE) and now_ns - since < UNUSABLE_NS:
        result.failed.append(Problem(stat.path, before.reason))
        result.waiting[stat.path] = before
        return
    patient = age >= settling.incomplete_ns
    reason = ""
    if stat.size == 0:
        reason = EMPTY
    elif age < settling.quiet_ns:
        # a shell knows its clock to the second only
        reason = "changed a moment ago" if stat.mtime_ns < now_ns + NS else "its mtime lies in the future"
    elif fetched and not patient and before is not None:
        reason = before.reason
    if reason:
        result.unsettled.append(Problem(stat.path, reason))
        result.waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, since, fetched, reason)
        return
    result.fetch[stat] = not patient
    result.waiting[stat.path] = Waiting(stat.size, stat.mtime_ns, stat.inode, since, fetched, UNFETCHED)


def _hidden_by(path: bytes, unlisted: frozenset[bytes]) -> bool:
    """Whether a name may be absent only because its folder, or one above it, could not be listed."""
    if not unlisted:
        return False
    if b"" in unlisted or path in unlisted:
        return True
    at = path.find(b"/")
    while at >= 0:
        if path[:at] in unlisted:
            return True
        at = path.find(b"/", at + 1)
    return False
