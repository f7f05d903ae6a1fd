"""The codec on its own: what it asks, what it makes of answers, and what it makes of lies."""

from __future__ import annotations

import contextlib
import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import AgentFailed, MediaSyncError, RootMissing, StreamBroken
from sidecar.models import Basis, FileStat, FileType, Mark, Problem, PurgeItem, PurgeOutcome
from sidecar.transports.docker import scanwire, wire

TOKEN = b"0123456789abcdef0123456789abcdef"
OTHER = b"fedcba9876543210fedcba9876543210"
HELLO = b"hello 1000 1700000000000000000 0 0 0,1"
TOP = b"e 41ed 4096 1700000000.000000001 9 2 1024 1024 3 ."
KINDS = {FileType.FILE: 0o100000, FileType.DIRECTORY: 0o040000, FileType.LINK: 0o120000, FileType.OTHER: 0o010000}

part = st.binary(min_size=1, max_size=40).filter(lambda b: b not in (b".", b"..") and not set(b) & {0, 47})
paths = st.lists(part, min_size=1, max_size=4).map(b"/".join)
stats = st.builds(
    FileStat,
    path=paths,
    size=st.integers(0, (1 << 63) - 1),
    mtime_ns=st.integers(-(10**18), (1 << 63) - 1),
    inode=st.integers(0, (1 << 63) - 1),
    uid=st.integers(0, (1 << 32) - 1),
    gid=st.integers(0, (1 << 32) - 1),
    mode=st.integers(0, 0o7777),
    nlink=st.integers(1, 65000),
    type=st.sampled_from(FileType),
    device=st.integers(0, (1 << 64) - 1),
)


def answer(records: list[bytes], count: bytes = b"-") -> bytes:
    return b"".join(b"\n" + TOKEN + b" " + record for record in [*records, b"end " + count]) + b"\n"


def parse(data: bytes) -> list[bytes]:
    parser = wire.RecordParser(TOKEN)
    records = parser.feed(data)
    parser.require_finished()
    return records


def entry(found: FileStat) -> bytes:
    sign = b"-" if found.mtime_ns < 0 else b""
    return b"e %x %d %s%d.%09d %d %d %d %d %d ./%s" % (
        found.mode | KINDS[found.type], found.size, sign, *divmod(abs(found.mtime_ns), 10**9), found.device,
        found.inode, found.uid, found.gid, found.nlink, found.path,
    )  # fmt: skip


def taken(records: list[bytes], basis: Basis | None = None) -> scanwire.Entries:
    entries = scanwire.Entries(basis)
    entries.take(records)
    return entries


def item(path: bytes = b"a/b.png", private: bytes = b".media-sync-1") -> PurgeItem:
    return PurgeItem(path, 7, 5, True, hashlib.sha256(b"").digest(), private)


# ---- requests


def fields(request: bytes) -> tuple[list[bytes], bytes, list[bytes]]:
    """The header's words, root and fields of a request, read back the way an agent reads them."""
    head, _, rest = request.partition(b"\n")
    words = head.split()
    root_length, length = int(words[2]), int(words[3])
    root, rest = rest[:root_length], rest[root_length + -root_length % 512 :]
    assert len(rest) == length + -length % 512
    return words, root, rest[:length].split(b"\0")[:-1]


@given(root=paths, asked=st.lists(paths, max_size=30))
def test_a_request_carries_any_names(root: bytes, asked: list[bytes]) -> None:
    words, got, names = fields(scanwire.stat_request(TOKEN, b"/" + root, asked))
    assert words[:2] == [b"stat", TOKEN]
    assert got == b"/" + root
    assert names == [b"./" + path for path in asked]


@pytest.mark.parametrize("length", [1, 100, 4000])
def test_groups_for_one_process_stay_within_its_arguments(length: int) -> None:
    items = [item(b"d/" + b"x" * length)] * 1000
    words, _, names = fields(wire.purge_request(TOKEN, b"/r", items))
    step = int(words[4])
    assert step % 7 == 0
    assert step > 0
    assert sum(map(len, names[:step])) <= wire.STEP_BYTES
    assert names[7:14] == [b"./d/" + b"x" * length, b"7", b"0000000005", b"1", items[0].sha256.hex().encode(),
                           b".media-sync-1", b"1"]  # fmt: skip


@pytest.mark.parametrize("path", [b"/etc/passwd", b"../x", b"a/../b", b"a//b", b"a/", b".", b"a\0b"])
def test_paths_that_lead_out_are_never_sent(path: bytes) -> None:
    with pytest.raises(ValueError, match="not a path"):
        wire.tar_request(TOKEN, b"/r", [path])


@pytest.mark.parametrize("private", [b"", b".", b"..", b"a/b", b"-x", b"a b", b"a\nb", b"x" * 256])
def test_private_names_are_plain(private: bytes) -> None:
    with pytest.raises(ValueError, match="not a private name"):
        wire.purge_request(TOKEN, b"/r", [item(private=private)])


@pytest.mark.parametrize("root", [b"", b"relative", b"/nul\0"])
def test_roots_are_absolute(root: bytes) -> None:
    with pytest.raises(ValueError, match="not an absolute path"):
        scanwire.scan_request(TOKEN, root)


def test_groups_are_complete() -> None:
    with pytest.raises(ValueError, match="incomplete group"):
        wire.request("purge", TOKEN, b"/r", [b"a"] * 8, group=7)
    with pytest.raises(ValueError, match="NUL"):
        wire.request("stat", TOKEN, b"/r", [b"a\0b"])


def test_tokens_are_fresh() -> None:
    assert wire.new_token(lambda n: b"\xff" * n) == b"ff" * 16
    assert wire.new_token() != wire.new_token()


def test_agents_are_small_enough_to_send_each_time() -> None:
    assert len(wire.start_python("python3").preamble) < 40_000
    assert len(wire.start_sh().preamble) < 20_000
    assert wire.start_sh().argv[:2] == ("sh", "-c")
    assert wire.start_python("/opt/py").argv[:4] == ("/opt/py", "-I", "-S", "-c")


# ---- records


@given(bodies=st.lists(paths.map(lambda p: b"x " + p), max_size=20), cuts=st.lists(st.integers(0, 2000), max_size=10))
def test_records_survive_any_cutting(bodies: list[bytes], cuts: list[int]) -> None:
    data = answer(bodies, b"%d" % len(bodies))
    parser, got, last = wire.RecordParser(TOKEN), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        assert not parser.finished or cut == last
        got += parser.feed(data[last:cut])
        last = cut
    assert got == bodies
    assert parser.finished
    parser.require_finished()


@given(data=st.integers(0, 300))
def test_an_answer_without_its_end_is_not_finished(data: int) -> None:
    whole = answer([HELLO, TOP])
    parser = wire.RecordParser(TOKEN)
    parser.feed(whole[: min(data, len(whole) - 1)])
    assert not parser.finished
    with pytest.raises(AgentFailed, match="without its closing record"):
        parser.require_finished()


def test_a_name_cannot_forge_records_without_the_token() -> None:
    forged = b"e 81a4 1 1.000000000 9 1 0 0 1 ./x\n" + OTHER + b" end 1\n"
    assert parse(answer([forged])) == [forged]


def test_a_wrong_count_is_broken() -> None:
    with pytest.raises(StreamBroken, match="2 records"):
        parse(answer([HELLO, TOP], b"3"))


def test_going_on_behind_the_end_is_broken() -> None:
    parser = wire.RecordParser(TOKEN)
    parser.feed(answer([]))
    assert parser.feed(b"") == []
    with pytest.raises(StreamBroken, match="went on"):
        parser.feed(b"x")


def test_memory_is_bounded() -> None:
    parser = wire.RecordParser(TOKEN, max_record=1000)
    parser.feed(b"\n" + TOKEN + b" x")
    parser.feed(b"x" * 998)
    with pytest.raises(StreamBroken, match="too long"):
        parser.feed(b"xx")
    with pytest.raises(StreamBroken, match="too long"):
        wire.RecordParser(TOKEN, max_record=10).feed(answer([HELLO]))
    with pytest.raises(StreamBroken, match="too long"):
        wire.RecordParser(TOKEN, max_record=100).feed(b"noise" * 100)
    with pytest.raises(StreamBroken, match="too many"):
        wire.RecordParser(TOKEN, max_records=10).feed(answer([HELLO] * 11))


def test_what_a_shell_complains_before_the_first_record_is_told() -> None:
    parser = wire.RecordParser(TOKEN)
    parser.feed(b"sh: python3: not found\n")
    with pytest.raises(AgentFailed, match="python3: not found"):
        parser.require_finished()
    parser = wire.RecordParser(TOKEN)
    assert parser.feed(b"motd" + answer([HELLO])) == [HELLO]
    assert parser.noise == b"motd"


# ---- scans


@given(found=stats)
def test_entries_round_trip(found: FileStat) -> None:
    assert scanwire.parse_entry(entry(found)) == found


@pytest.mark.parametrize(
    ("record", "mtime_ns", "exact", "path"),
    [
        (b"e 81a4 1 1700000000 9 5 0 0 1 ./a", 1_700_000_000 * 10**9, False, b"a"),
        (b"e 81a4 1 -0.500000000 9 5 0 0 1 a", -500_000_000, True, b"a"),
        (
            b"t 81a4 1 17 9 5 0 0 1 1970-01-01 00:00:17.123456789 +0000 ./ +0000 ./a",
            17_123_456_789,
            True,
            b" +0000 ./a",
        ),
        (b"t 81a4 1 17 9 5 0 0 1 1970-01-01 00:00:17.123456789 ./a", 17_123_456_789, True, b"a"),
        (b"t 81a4 1 -1 9 5 0 0 1 1969-12-31 23:59:59.500000000 +0000 .", -500_000_000, True, b""),
    ],
)
def test_every_kind_of_stat_is_understood(record: bytes, mtime_ns: int, exact: bool, path: bytes) -> None:
    found = scanwire.parse_entry(record)
    assert (found.mtime_ns, found.exact, found.path) == (mtime_ns, exact, path)


def test_what_sqlite_cannot_hold_is_brought_into_its_range() -> None:
    """A time from 2262 on, and an inode number of a file system that hashes, such as CIFS or FUSE."""
    found = scanwire.parse_entry(b"e 81a4 1 9999999999.000000001 9 %d 0 0 1 ./a" % ((1 << 63) + 5))
    assert (found.mtime_ns, found.inode) == ((1 << 63) - 1, 5)
    assert scanwire.parse_entry(b"e 81a4 1 -9999999999.000000001 9 5 0 0 1 ./a").mtime_ns == -(1 << 63)


def test_a_tick_is_a_sign_of_life_and_nothing_else() -> None:
    assert parse(answer([b"tick", HELLO, b"tick", b"tick"], b"4")) == [HELLO]


def test_a_scan_is_put_together() -> None:
    file = FileStat(b"a\nb", 3, 4, 5, 6, 7, 0o644, device=8)
    records = parse(answer([HELLO, TOP, entry(file), b"problem permission_denied ./closed", b"note odd\nthing"]))
    scan = scanwire.read_scan(taken(records), b"/out", "sh")
    assert (scan.root, scan.scanner, scan.now_ns, scan.agent_uid) == (b"/out", "sh", 17 * 10**17, 1000)
    assert scan.owner == (1024, 1024)
    assert [e.path for e in scan.entries] == [b"", b"a\nb"]
    assert scan.entries[1] == file
    assert scan.problems == (Problem(b"closed", "permission denied"), Problem(b"", "odd%0Athing"))


D1, D2 = b"0123456789abcdef" * 2, b"ff" * 16
BASIS = Basis({b"a": Mark(bytes.fromhex(D1.decode()), b"", 2, 7), b"all": Mark(bytes.fromhex(D1.decode()), b"", 2)}, 5)
IN_A = entry(FileStat(b"a/x", 1, 2, 3, 4, 5, 0o644, device=8))


def test_marks_are_sent_along_and_come_back() -> None:
    basis = Basis({b"": Mark(b"\1" * 16, b"\2" * 16, 1), b"a": BASIS.marks[b"a"]}, 5)
    words, root, sent = fields(scanwire.scan_request(TOKEN, b"/r", basis))
    assert (words[0], root) == (b"scan", b"/r")
    assert sent == [b"5", b".", b"01" * 16, b"02" * 16, b"0", b"./a", D1, b"-", b"7"]
    records = [HELLO, TOP, b"mark %s %s 7 new\n" % (D1, D2), b"same %s %s 2 a" % (D1, D2)]
    scan = scanwire.read_scan(taken(records, basis), b"/r", "python")
    assert scan.marks == {b"new\n": Mark(basis.marks[b"a"].digest, b"\xff" * 16, 7, scan.now_ns)}
    assert scan.same == {b"a": Mark(basis.marks[b"a"].digest, b"\xff" * 16, 2, 7)}
    records = [HELLO, TOP, IN_A, b"more %s - 3 a" % D2]
    scan = scanwire.read_scan(taken(records, basis), b"/r", "python")
    assert scan.grown == {b"a"}
    assert scan.marks == {b"a": Mark(bytes.fromhex(D2.decode()), b"", 3, scan.now_ns)}
    assert scan.received == sum(map(len, records)) + 4 * len(b"\n" + TOKEN + b" ")


@pytest.mark.parametrize(
    "records",
    [
        [b"same %s - 2 b" % D1],  # never asked about
        [b"same %s - 2 a" % D2],  # not what was asked about
        [b"same %s - 3 a" % D1],
        [b"same %s - 2 a" % D1, b"same %s - 2 a" % D1],
        [b"mark %s - 2 a" % D2, b"same %s - 2 a" % D1],
        [b"same %s - 2 a" % D1, IN_A],
        [IN_A, b"same %s - 2 a" % D1],
        [b"same %s - 2" % D1],
        [b"more %s - 3 b" % D2],  # never asked about
        [b"more %s - 2 a" % D2],  # no more than there was
        [b"more %s - 3 all" % D2],  # all of which was to be listed
        [b"more %s - 3 a" % D2, b"same %s - 2 a" % D1],
        [b"mark %s 2 a" % D1],
        [b"mark %s - -1 a" % D1],
    ],
)
def test_marks_that_contradict_themselves_break_a_scan(records: list[bytes]) -> None:
    with pytest.raises(StreamBroken):
        scanwire.read_scan(taken([HELLO, TOP, *records], BASIS), b"/r", "python")


def test_marks_that_nobody_asked_for_break_a_scan() -> None:
    with pytest.raises(StreamBroken):
        taken([HELLO, TOP, b"mark %s - 1 a" % D1])


@pytest.mark.parametrize("records", [[], [HELLO], [TOP], [TOP, b"problem vanished ./x"]])
def test_a_scan_without_greeting_or_root_is_broken(records: list[bytes]) -> None:
    with pytest.raises(StreamBroken, match="no beginning"):
        scanwire.read_scan(taken(records), b"/out", "sh")


@pytest.mark.parametrize("path", [b"/etc/passwd", b"../x", b"a/../x", b"a/..", b"a//b", b"a/", b"a/./b", b"./../x"])
def test_paths_out_of_the_root_are_problems(path: bytes) -> None:
    entries = taken([HELLO, TOP, b"e 81a4 1 1.000000000 9 1 0 0 1 " + path])
    assert set(entries.found) == {b""}
    assert [p.reason for p in entries.problems] == ["not a path below the root"]


def test_a_name_listed_twice_is_a_problem_and_counts_once() -> None:
    first, second = FileStat(b"a", 1, 1, 1, 1, 1, 1, device=1), FileStat(b"a", 2, 2, 2, 2, 2, 2, device=2)
    entries = taken([entry(first), entry(second)])
    assert entries.found == {b"a": first}
    assert entries.problems == [Problem(b"a", "listed twice")]


@pytest.mark.parametrize(
    "record",
    [
        b"e 81a4 -1 1.000000000 9 1 0 0 1 a",
        b"e 81a4 1 1.0 9 1 0 0 1 a",
        b"e 81a4 9999999999999999999 1.000000000 9 1 0 0 1 a",
        b"e 81a4 1 99999999999999.000000000 9 1 0 0 1 a",
        b"e zz 1 1.000000000 9 1 0 0 1 a",
        b"e 81a4 1",
        b"t 81a4 1 17 9 5 0 0 1 nonsense ./a",
        b"hello x",
        b"problem",
        b"",
        b"\xff\xfe",
    ],
)
def test_malformed_records_are_broken(record: bytes) -> None:
    with pytest.raises(StreamBroken, match=r"malformed|impossible"):
        taken([record])


def test_stats_that_nobody_asked_for_are_dropped() -> None:
    records = [entry(FileStat(path, 1, 1, 1, 1, 1, 1, device=1)) for path in (b"a", b"b")]
    assert set(scanwire.read_stats(taken(records), [b"a", b"c"])) == {b"a"}


def test_no_root_and_no_tool_are_errors_of_their_own() -> None:
    with pytest.raises(RootMissing, match="not a directory"):
        taken([b"noroot not_a_directory"])
    with pytest.raises(wire.ToolMissing, match="find") as caught:
        taken([b"missing find"])
    assert not caught.value.transient
    assert caught.value.tool == "find"


def test_two_hundred_thousand_entries_parse_quickly() -> None:
    line = b"e 81a4 1500000 1700000000.123456789 9 %d 1024 1024 1 ./2026-01-01/ComfyUI_%06d_.png"
    data = answer([HELLO, TOP, *(line % (n, n) for n in range(200_000))])
    parser, entries = wire.RecordParser(TOKEN), scanwire.Entries()
    begun = time.process_time()
    for start in range(0, len(data), 1 << 16):
        entries.take(parser.feed(data[start : start + (1 << 16)]))
    assert parser.finished
    assert len(entries.found) == 200_001
    assert time.process_time() - begun < 10  # about one second; the margin is for busy machines


# ---- purge, settle, rmdir


def test_purge_results_come_with_their_items() -> None:
    items = [item(b"a"), item(b"b"), item(b"c")]
    answers = wire.PurgeAnswers(items)
    assert answers.take([b"r 1 purged"])[0].item is items[1]
    (kept, gone) = answers.take([b"r 2 changed size_or_mtime\x1b[31m", b"r 0 gone "])
    assert (kept.outcome, kept.detail) == (PurgeOutcome.CHANGED, "size or mtime%1B[31m")
    assert (gone.item.path, gone.outcome, gone.detail) == (b"a", PurgeOutcome.GONE, "")


@pytest.mark.parametrize("records", [[b"r 3 purged"], [b"r 0 purged", b"r 0 gone"], [b"r -1 gone"], [b"r 0 eaten"],
                                     [b"r 99999999999 gone"], [b"x"]])  # fmt: skip
def test_results_nobody_asked_for_are_broken(records: list[bytes]) -> None:
    with pytest.raises(StreamBroken):
        wire.PurgeAnswers([item(b"a"), item(b"b"), item(b"c")]).take(records)


def test_settled_and_removed_are_named_by_path() -> None:
    pairs = [(b"a", b"p1"), (b"b", b"p2")]
    assert wire.read_settled([b"r 1 restored", b"r 0 absent"], pairs) == {b"b": "restored", b"a": "absent"}
    with pytest.raises(StreamBroken, match="unknown outcome"):
        wire.read_settled([b"r 0 purged"], pairs)
    assert wire.read_removed([b"r 0 removed", b"r 1 kept"], [b"x", b"y"]) == [b"x"]


# ---- lies

garbage = st.one_of(
    st.binary(max_size=200),
    st.tuples(
        st.sampled_from(
            [b"e ", b"t ", b"r ", b"hello ", b"problem ", b"note ", b"missing ", b"noroot ", b"end ", b"same "]
        ),
        st.one_of(st.binary(max_size=60), st.from_regex(rb"[0-9a-f .+:-]{0,80}", fullmatch=True)),
    ).map(b"".join),
    stats.map(entry),
)


@given(records=st.lists(garbage, max_size=8), tail=st.binary(max_size=50))
def test_garbage_raises_nothing_but_our_own_errors(records: list[bytes], tail: bytes) -> None:
    data = answer(records) + tail

    def everything() -> None:
        parsed = wire.RecordParser(TOKEN).feed(data)
        scanwire.read_scan(taken(parsed, BASIS), b"/r", "sh")

    def results() -> None:
        parsed = wire.RecordParser(TOKEN).feed(data)
        wire.PurgeAnswers([item()] * 5).take(parsed)

    for use in (everything, results, lambda: wire.read_settled(records, []), lambda: wire.read_removed(records, [b"x"]),
                lambda: wire.read_problems(records)):  # fmt: skip
        said = ""
        try:
            use()
        except MediaSyncError as error:
            said = error.line()
        assert said.isprintable()


@given(records=st.lists(garbage, max_size=8))
def test_whatever_is_said_no_path_leads_out(records: list[bytes]) -> None:
    entries = scanwire.Entries()
    with contextlib.suppress(MediaSyncError):
        entries.take(records)
    for path in entries.found:
        assert not path.startswith(b"/")
        assert not {b"..", b"."} & set(path.split(b"/"))
        assert b"\0" not in path
