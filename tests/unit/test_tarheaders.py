"""What single headers and records mean, what cannot be meant, and what costs too much."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.errors import StreamBroken
from sidecar.models import NS
from sidecar.transports.docker.tar import TarLimits, TarMember, TarReader, TarType
from sidecar.transports.docker.tarheaders import byte_sum
from tests.unit.tarmade import END, block, endless, padded, pax, read_all, whole

# -- header fields made by hand -----------------------------------------------------------------------------------


def one(raw: bytes) -> TarMember:
    (member,) = TarReader(whole(raw + END))
    return member


def test_base_256_numbers() -> None:
    big = 1 << 33
    member = one(block(size=b"\x80" + (5).to_bytes(11, "big"), mtime=(-3 % (1 << 96)).to_bytes(12, "big"), uid=b"\x80" + big.to_bytes(7, "big")) + padded(b"12345"))  # fmt: skip  # noqa: E501
    assert (member.size, member.mtime_ns, member.uid) == (5, -3 * NS, big)


def test_signed_checksums_of_old_writers_count() -> None:
    assert one(block(b"caf\xe9", signed=True)).name == b"caf\xe9"


def test_v7_directory_contiguous_file_and_unknown_type() -> None:
    assert one(block(b"d/", flag=b"\0", tail=b"")).type is TarType.DIRECTORY
    assert one(block(flag=b"7")).type is TarType.FILE
    reader = TarReader(whole(block(size=b"600", flag=b"Q") + padded(bytes(384)) + block(b"b") + END))
    assert [(m.name, m.type) for m in reader] == [(b"a", TarType.OTHER), (b"b", TarType.FILE)]


def test_star_prefix() -> None:
    tail = (b"ustar\x0000".ljust(345 - 257, b"\0") + b"folder").ljust(131 + 88, b"\0") + b"12345670123 12345670123 "
    head = block(tail=tail.ljust(508 - 257, b"\0") + b"tar\0")
    assert one(head).name == b"folder/a"


def test_global_records_hold_until_they_are_taken_back() -> None:
    raw = pax((b"uid", b"7"), (b"path", b"all"), flag=b"g") + block(b"1") + pax((b"path", b"")) + block(b"2")
    raw += pax((b"uid", b"8")) + block(b"3") + block(b"4")
    got = [(m.name, m.uid) for m in TarReader(whole(raw + END))]
    assert got == [(b"all", 7), (b"2", 7), (b"all", 8), (b"all", 7)]


def test_pax_wins_over_gnu_long_names_and_sizes() -> None:
    raw = block(b"././@LongLink", b"4", b"L") + padded(b"long") + block(b"l", b"3", b"K") + padded(b"to\0")
    raw += pax((b"path", b"pax\n=name"), (b"size", b"3"), (b"SCHILY.xattr.user.x", b"\0\n1 ="))
    member, data = next(iter(read_all(TarReader(whole(raw + block(size=b"0") + padded(b"abc") + END)))))
    assert (member.name, member.linkname, member.size, data) == (b"pax\n=name", b"to", 3, b"abc")


def test_links_and_devices_carry_no_content_whatever_their_size_says() -> None:
    raw = b"".join(block(bytes((65 + n,)), b"777", b"%d" % n, link=b"x") for n in range(1, 7))
    assert [m.size for m in TarReader(whole(raw + END))] == [0] * 6


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (block(size=b"12x45"), "size that is not a number"),
        (block(size=b"1_0"), "size that is not a number"),
        (block(size=b"-10"), "size that is not a number"),
        (block(size=b"19"), "size that is not a number"),
        (block(size=b""), "size that is empty"),
        (block(size=b"\xff" * 12), "a size of -1 bytes"),
        (block(size=b"\x80" + (1 << 60).to_bytes(11, "big")), "a size of 1152921504606846976 bytes"),
        (block(mtime=b"tomorrow"), "a: a mtime that is not a number"),
        (block(uid=b"root"), "uid that is not a number"),
        (pax((b"size", b"-4")) + block(), "a size of -4 bytes"),
        (pax((b"size", b"4_0")) + block(), "pax size that is not a number"),
        (pax((b"size", b"9" * 20)) + block(), "a size of 99999999999999999999 bytes"),
        (pax((b"mtime", b"1e9")) + block(), "pax mtime that is not a number"),
        (pax((b"mtime", b"nan")) + block(), "pax mtime that is not a number"),
        (pax((b"gid", b"x")) + block(), "pax gid that is not a number"),
        (pax((b"path", b"a\0b")) + block(), "holds a NUL"),
        (block(b"x", b"7", b"x") + padded(b"6 a=bc\n") + block(), "pax record"),
        (block(b"x", b"6", b"x") + padded(b"9 a=b\n") + block(), "pax record"),
        (block(b"x", b"6", b"x") + padded(b"0 a=b\n") + block(), "pax record"),
        (block(b"x", b"5", b"x") + padded(b"5 ab\n") + block(), "pax record"),
        (block(b"x", b"2", b"x") + padded(b"zz") + block(), "pax record"),
        (pax((b"mtime", b"1")), "stream ends after an extension header"),
        (block() + bytes(512) + block(b"b"), "a lone zero block"),
        (block()[:500] + b"y" * 12, "wrong checksum"),
    ],
)
def test_what_cannot_be_meant_breaks_the_stream(raw: bytes, says: str) -> None:
    reader = TarReader(whole(raw + END))
    with pytest.raises(StreamBroken, match=says):
        read_all(reader)
    assert not reader.complete
    with pytest.raises(StreamBroken, match=says):  # and it stays so
        next(reader)


# -- bombs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "says"),
    [
        (pax((b"path", b"x")), "17 extension headers"),
        (pax((b"path", b"x"), flag=b"g"), "17 extension headers"),
        (block(b"L", b"4", b"L") + padded(b"long"), "17 extension headers"),
        (block(b"L", b"00010000000", b"L") + bytes(1 << 21), "extension headers of 2097664 bytes"),
        (block(b"L", b"%011o" % 70_000, b"L") + bytes(70_144), "a name of 70000 bytes"),
        (block(b"x", b"77777777777", b"x"), "extension headers of 8589935103 bytes"),
        (block(), "more than 50 members"),
    ],
)  # fmt: skip
def test_header_bombs_are_capped(piece: bytes, says: str) -> None:
    readinto, taken = endless(piece)
    with pytest.raises(StreamBroken, match=says):
        read_all(TarReader(readinto, limits=TarLimits(members=50)))
    assert taken[0] < 4 << 20


def test_an_endless_sparse_map_is_capped() -> None:
    head = block(flag=b"S", tail=b"ustar  \0".ljust(225, b"\0") + b"\1")
    with pytest.raises(StreamBroken, match="sparse map for one member"):
        read_all(TarReader(whole(head + b"\1" * (2 << 20))))


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**18), 10**19), st.booleans())
def test_pax_times_are_exact_to_the_nanosecond(ns: int, terse: bool) -> None:
    text = f"{'-' if ns < 0 else ''}{abs(ns) // NS}.{abs(ns) % NS:09}"
    value = (text.rstrip("0").rstrip(".") if terse else text + "4").encode()
    (member,) = TarReader(whole(pax((b"mtime", value)) + block() + END))
    assert (member.mtime_ns, member.mtime_exact) == (ns, True)


# -- the short cut ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=256))
def test_a_fast_sum_is_the_sum(data: bytes) -> None:
    assert byte_sum(data) == sum(data)


FIELDS = {"name": (0, 100), "owner": (100, 124), "size": (124, 136), "mtime": (136, 148), "sum": (148, 156),
          "flag": (156, 157), "link": (157, 257), "magic": (257, 265), "rest": (265, 512)}  # fmt: skip
FIRST = block(b"x_00001_.png", b"00000000003", mtime=b"14524770000") + padded(b"abc")
VALUES = st.one_of(
    st.binary(max_size=12),
    st.text("01234567 \0-_89", max_size=12).map(str.encode),
    st.sampled_from([b"00000000005\0", b"00000000005 ", b"0000000000_5", b"0000000000\x005",
                     b"\x80" + bytes(10) + b"\5",
                     b"77777777777\0", b"ustar  \0", b"ustar\x0000", b"a" * 100, b"d/", b"", b"\xff" * 12]),
)  # fmt: skip


def outcome(before: bytes, header: bytes) -> tuple[object, ...]:
    """What becomes of a header behind others: every field of the last member and its content, or nothing."""
    reader = TarReader(whole(before + header + padded(b"12345") + END), limits=TarLimits(size=1 << 33))
    try:
        member, data = read_all(reader)[-1]
    except StreamBroken:
        return ("broken",)
    fields = (member.name, member.linkname, member.type, member.size, member.mtime_ns, member.mtime_exact, member.mode)
    return (*fields, member.uid, member.gid, data)


@example([("size", b"000000000_5\0")], True, -1)
@example([("size", b"000000000005")], True, -1)
@example([("mtime", b"000000000012")], True, -1)
@example([("mtime", b" 0000000001\0")], True, -1)
@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(FIELDS)), VALUES), max_size=3), st.booleans(), st.integers(-1, 511))
def test_the_short_cut_answers_as_the_full_way(changes: list[tuple[str, bytes]], mended: bool, flipped: int) -> None:
    """Headers like the one before them, but for some fields: with a right checksum, or with one bit flipped."""
    header = bytearray(block(b"x_00002_.png", b"00000000005", mtime=b"14524770001"))
    for name, value in changes:
        start, stop = FIELDS[name]
        header[start:stop] = value[: stop - start].ljust(stop - start, b"\0")
    if mended:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    elif flipped >= 0:
        header[flipped] ^= 1 << flipped % 8
    assert outcome(FIRST, bytes(header)) == outcome(b"", bytes(header))


def test_a_member_too_many_is_noticed_on_the_short_cut_too() -> None:
    with pytest.raises(StreamBroken, match="more than 3 members"):
        read_all(TarReader(whole(FIRST * 4 + END), limits=TarLimits(members=3)))


def test_the_whole_content_of_a_member_at_once() -> None:
    data = bytes(range(256)) * 40
    raw = block(b"a", b"%011o" % len(data)) + padded(data) + block(b"b") + END
    for size in (512, 1 << 18):
        reader = TarReader(whole(raw), buffer_size=size)
        first = next(reader)
        assert first.whole() == data
        assert next(reader).whole() == b""
        with pytest.raises(ValueError, match="moved on"):
            first.whole()
    torn = TarReader(whole(raw[:5000]))
    with pytest.raises(StreamBroken, match="before the member does"):
        next(torn).whole()
