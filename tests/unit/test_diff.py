"""The decision over a scan: each entry ends in exactly one place, and with a reason where it is not fetched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.manifest import Known, Waiting
from sidecar.models import NS, FileStat, FileType, Problem, Rules, Scan
from sidecar.sync.diff import Decision, Settling, Terms, decide

NOW = 1_700_000_000 * NS
SETTLING = Settling(2 * NS, 600 * NS)
OLD = NOW - 60 * NS
GENERATION = 7


def stat(path: bytes = b"a.png", *, size: int = 10, mtime_ns: int = OLD, inode: int = 5, exact: bool = True,
         kind: FileType = FileType.FILE) -> FileStat:  # fmt: skip
    return FileStat(path, size, mtime_ns, inode, type=kind, exact=exact)


def known(*, size: int = 10, mtime_ns: int = OLD, inode: int = 5, exact: bool = True, generation: int = GENERATION,
          file_id: int = 1) -> Known:  # fmt: skip
    return Known(file_id, size, mtime_ns, inode, exact, generation, b"h" * 32, b"gen/a.png", OLD)


def decided(*entries: FileStat, records: dict[bytes, Known] | None = None, waits: dict[bytes, Waiting] | None = None,
            rules: Rules | None = None, now: int = NOW, problems: tuple[Problem, ...] = ()) -> Decision:  # fmt: skip
    scan = Scan(b"/out", entries, now, "python", problems)
    return decide(scan, records or {}, waits or {}, Terms(GENERATION, rules or Rules(), SETTLING))


@pytest.mark.parametrize(
    ("record", "now", "same"),
    [
        (known(), stat(), True),
        (known(size=11), stat(), False),
        (known(mtime_ns=OLD + 1), stat(), False),
        (known(inode=6), stat(), False),
        (known(inode=-1), stat(), True),
        (known(mtime_ns=OLD + 1, exact=False), stat(), True),
        (known(mtime_ns=OLD + 1), stat(exact=False), True),
        (known(mtime_ns=OLD + NS), stat(exact=False), False),
    ],
)
def test_unchanged_is_size_time_and_inode_as_far_as_both_know(record: Known, now: FileStat, same: bool) -> None:
    found = decided(now, records={b"a.png": record})
    assert (found.unchanged, len(found.fetch)) == ((1, 0) if same else (0, 1))


def test_a_row_follows_what_is_known_better_now() -> None:
    assert decided(stat(), records={b"a.png": known()}).moved_on == []
    assert decided(stat(), records={b"a.png": known(generation=6)}).moved_on == [(1, stat())]
    ((_, better),) = decided(stat(), records={b"a.png": known(exact=False, inode=-1, mtime_ns=OLD)}).moved_on
    assert (better.exact, better.inode, better.mtime_ns) == (True, 5, OLD)
    lesser = stat(mtime_ns=OLD // NS * NS, inode=-1, exact=False)
    ((_, kept),) = decided(lesser, records={b"a.png": known(generation=6, mtime_ns=OLD + 5)}).moved_on
    assert (kept.exact, kept.inode, kept.mtime_ns) == (True, 5, OLD + 5), "a worse look never forgets a better one"


def test_absence_counts_only_where_everything_was_listed() -> None:
    records = {path: known(file_id=n) for n, path in enumerate((b"a.png", b"d/b.png", b"d/e/c.png", b"dd.png"))}
    assert decided(records=records).vanished == [0, 1, 2, 3]
    assert decided(records=records, problems=(Problem(b"d", "denied"),)).vanished == [0, 3]
    assert decided(records=records, problems=(Problem(b"", "denied"),)).vanished == []
    assert decided(records=records, problems=(Problem(b"d/b.png", "denied"),)).vanished == [0, 2, 3]


@pytest.mark.parametrize(
    ("age", "fetched", "must_end", "reason"),
    [
        (60 * NS, False, True, None),
        (2 * NS, False, True, None),
        (2 * NS - 1, False, None, "changed a moment ago"),
        (-NS + 1, False, None, "changed a moment ago"),
        (-NS, False, None, "its mtime lies in the future"),
        (60 * NS, True, None, "no end"),
        (600 * NS, True, False, None),
        (600 * NS, False, False, None),
    ],
)
def test_when_a_file_is_settled(age: int, fetched: bool, must_end: bool | None, reason: str | None) -> None:
    now = stat(mtime_ns=NOW - age)
    waits = {b"a.png": Waiting(10, NOW - age, 5, NOW, fetched=True, reason="no end")} if fetched else {}
    found = decided(now, waits=waits)
    assert found.fetch == ({now: must_end} if must_end is not None else {})
    assert [p.reason for p in found.unsettled] == ([reason] if reason else [])
    assert found.waiting.keys() == {b"a.png"}
    assert found.waiting[b"a.png"].fetched is fetched


def test_an_empty_file_waits_for_ever() -> None:
    found = decided(stat(size=0, mtime_ns=NOW - 10_000 * NS))
    assert [p.reason for p in found.unsettled] == ["empty"]


def test_a_file_from_the_future_is_timed_by_our_own_watch() -> None:
    future = stat(mtime_ns=NOW + 3600 * NS)
    first = decided(future).waiting
    assert first[b"a.png"].since_ns == NOW
    assert decided(future, waits=first, now=NOW + NS).fetch == {}
    assert decided(future, waits=first, now=NOW + 2 * NS).fetch == {future: True}
    moved = replace(future, size=11)
    assert decided(moved, waits=first, now=NOW + 2 * NS).waiting[b"a.png"].since_ns == NOW + 2 * NS


def test_bytes_without_their_end_come_again_once_they_changed() -> None:
    waits = {b"a.png": Waiting(10, OLD, 5, OLD, fetched=True, reason="no end")}
    assert decided(stat(), waits=waits).fetch == {}
    for moved in (stat(size=11), stat(mtime_ns=OLD + 1), stat(inode=6)):
        assert decided(moved, waits=waits).fetch == {moved: True}


def test_what_is_left_out_and_why() -> None:
    rules = Rules(include=("*.png", "*.txt"), exclude=("no*",))
    entries = [stat(b"l.png", kind=FileType.LINK), stat(b"p.png", kind=FileType.OTHER), stat(b"a.webp"),
               stat(b"no.png"), stat(b"x.tmp"), stat(b"a.txt"), stat(b"stray.txt"), stat(b"a.png"),
               stat(b"d", kind=FileType.DIRECTORY)]  # fmt: skip
    found = decided(*entries, rules=rules)
    assert {p.path: p.reason for p in found.skipped} == {
        b"l.png": "a link",
        b"p.png": "not a regular file",
        b"a.webp": "not matched by include",
        b"no.png": "excluded by pattern",
        b"x.tmp": "not matched by include",
        b"stray.txt": "text without a picture of its name",
    }
    assert {s.path for s in found.fetch} == {b"a.txt", b"a.png"}
    assert found.scanned == 8


def test_a_file_that_may_not_be_read_is_a_failure_and_not_a_wait() -> None:
    mine = replace(stat(b"mine.png"), uid=1000, mode=0o600)
    theirs = replace(stat(b"theirs.png"), uid=0, mode=0o600)
    found = decide(Scan(b"/", (mine, theirs), NOW, "sh", agent_uid=1000), {}, {}, Terms(GENERATION, Rules(), SETTLING))
    assert [p.path for p in found.failed] == [b"theirs.png"]
    assert set(found.fetch) == {mine}


NAMES = st.sampled_from([b"a.png", b"a.txt", b"d/a.mp4", b"d/a.json", b"x.tmp", b"m.safetensors", b"z", b"..png"])
STATS = st.builds(
    FileStat,
    path=NAMES,
    size=st.integers(0, 3),
    mtime_ns=st.sampled_from([0, OLD, OLD + 1, NOW - NS, NOW, NOW + NS, NOW + 10**15]),
    inode=st.integers(-1, 2),
    uid=st.sampled_from([-1, 0, 1000]),
    mode=st.sampled_from([-1, 0o600, 0o644]),
    type=st.sampled_from(FileType),
    exact=st.booleans(),
)
KNOWN = st.builds(known, size=st.integers(0, 3), mtime_ns=st.sampled_from([0, OLD, NOW]), inode=st.integers(-1, 2),
                  exact=st.booleans(), generation=st.sampled_from([6, 7]), file_id=st.integers(1, 99))  # fmt: skip
WAITING = st.builds(Waiting, st.integers(0, 3), st.sampled_from([OLD, NOW]), st.integers(-1, 2), st.just(OLD),
                    st.booleans(), st.just("why"))  # fmt: skip


@given(st.lists(STATS, unique_by=lambda s: s.path), st.dictionaries(NAMES, KNOWN), st.dictionaries(NAMES, WAITING),
       st.sampled_from([-1, 0, 1000]))  # fmt: skip
def test_every_entry_ends_in_exactly_one_place(
    entries: list[FileStat], records: dict[bytes, Known], waits: dict[bytes, Waiting], uid: int
) -> None:
    scan = Scan(b"/", tuple(entries), NOW, "python", agent_uid=uid)
    found = decide(scan, records, waits, Terms(GENERATION, Rules(), SETTLING))
    files = {e.path for e in entries if e.type is not FileType.DIRECTORY}
    named = [p.path for p in (*found.skipped, *found.unsettled, *found.failed)] + [s.path for s in found.fetch]
    assert len(named) == len(set(named))
    assert set(named) <= files
    assert found.scanned == len(files) == len(named) + found.unchanged
    assert all(p.reason for p in (*found.skipped, *found.unsettled, *found.failed))
    assert found.waiting.keys() == {p.path for p in found.unsettled} | {s.path for s in found.fetch}
    assert len(found.vanished) == len(records.keys() - files)
    assert all(s.size > 0 for s in found.fetch)
