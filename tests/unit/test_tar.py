"""The tar reader against archives of real tars, and against every kind of damage."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.errors import StreamBroken
from sidecar.models import NS
from sidecar.transports.docker.tar import TarLimits, TarMember, TarReader, TarType
from tests.unit.tarmade import END, block, content, endless, padded, pax, read_all, short, whole

SIZES = (0, 1, 511, 512, 513, 1 << 20)
MTIME = 1_700_000_001


# -- what real tars write -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A folder with the sizes, names and times that hurt."""
    root = os.fsencode(tmp_path_factory.mktemp("tree"))
    dice = random.Random(7)
    names = [b"size %d.png" % n for n in SIZES]
    names += [b"caf\xe9.png", b"two\nlines.png", b"-dash.png", b"n" * 251 + b".png", b"x" * 100, b"y" * 99]
    names += [b"d" * 200 + b"/" + b"e" * 120 + b".png", b"p" * 90 + b"/" + b"q" * 90 + b"/x.png", "日本語.png".encode()]
    for at, name in enumerate(names):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(dice.randbytes(SIZES[at % len(SIZES)]))
        os.utime(path, ns=(0, MTIME * NS + 123_456_789 + at))
    os.symlink(b"z" * 180, os.path.join(root, b"long link"))
    os.symlink(b"../\xff", os.path.join(root, b"link"))
    os.link(os.path.join(root, b"size 513.png"), os.path.join(root, b"zz hard"))
    os.mkfifo(os.path.join(root, b"fifo"))
    return root


def check_tree(raw: bytes, tree: bytes, *, exact: bool, seed: int = 0) -> None:
    """Every entry of the folder comes back as the folder itself says."""
    reader = TarReader(short(raw, seed), buffer_size=70_000)
    members = {m.name.removeprefix(b"./").rstrip(b"/"): (m, data) for m, data in read_all(reader)}
    assert reader.complete
    assert reader.received == len(raw)
    seen = 0
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(folder, name)
            member, data = members[os.path.relpath(path, tree)]
            check_entry(path, member, data, members, exact=exact)
            seen += 1
    assert seen == len(members) - (b"" in members)


def check_entry(path: bytes, member: TarMember, data: bytes, members: dict[bytes, tuple[TarMember, bytes]], *, exact: bool) -> None:  # fmt: skip  # noqa: E501
    info = os.lstat(path)
    if member.type is TarType.HARDLINK:
        assert member.size == 0
        member, data = members[member.linkname.removeprefix(b"./")]
    if member.type is TarType.FILE:
        with open(path, "rb") as file:
            assert data == file.read()
        assert member.size == info.st_size
    elif member.type is TarType.SYMLINK:
        assert member.linkname == os.readlink(path)
    else:
        assert member.type is (TarType.DIRECTORY if os.path.isdir(path) else TarType.OTHER)
    assert (member.mode & 0o7777, member.uid, member.gid) == (info.st_mode & 0o7777, info.st_uid, info.st_gid)
    if exact and member.mtime_exact:
        assert member.mtime_ns == info.st_mtime_ns
    else:
        assert member.mtime_ns == info.st_mtime_ns // NS * NS


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_gnu_tar(tree: bytes, form: str) -> None:
    raw = subprocess.run(["tar", "-c", f"--format={form}", "-C", tree, "."], stdout=subprocess.PIPE, check=True).stdout
    check_tree(raw, tree, exact=form == "posix")


def test_times_before_the_epoch_keep_their_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    os.utime(tmp_path / "old", ns=(0, -5 * NS - 250_000_001))
    made = subprocess.run(["tar", "-c", "--format=posix", "-C", tmp_path, "old"], stdout=subprocess.PIPE, check=True)
    (member,) = TarReader(whole(made.stdout))
    assert (member.mtime_ns, member.mtime_exact) == (-5 * NS - 250_000_001, True)


def test_busybox_tar(tree: bytes) -> None:
    busybox = shutil.which("busybox")
    assert busybox, "busybox is one of the tars that containers have; install busybox-static"
    raw = subprocess.run([busybox, "tar", "-c", "-C", tree, "."], stdout=subprocess.PIPE, check=True).stdout
    check_tree(raw, tree, exact=False)


@pytest.mark.parametrize("form", ["v7", "ustar"])
def test_old_formats_of_gnu_tar(tmp_path: Path, form: str) -> None:
    deep = tmp_path / ("a" * (60 if form == "ustar" else 20))
    deep.mkdir()
    (deep / ("b" * 70)).write_bytes(b"content")
    raw = subprocess.run(
        ["tar", "-c", f"--format={form}", "-C", tmp_path, deep.name], stdout=subprocess.PIPE, check=True
    )
    folder, file = read_all(TarReader(whole(raw.stdout)))
    assert folder[0].type is TarType.DIRECTORY
    assert file[0].name == os.fsencode(f"{deep.name}/{'b' * 70}")
    assert file[1] == b"content"


def test_sparse_files_are_reported_and_passed_over(tmp_path: Path) -> None:
    with open(tmp_path / "holes", "wb") as file:
        for at in range(40):  # more holes than the header's own map holds
            file.seek(at * 65536)
            file.write(b"data")
        file.truncate(41 * 65536)
    (tmp_path / "plain").write_bytes(b"after")
    for form in (["--format=gnu"], *(["--format=posix", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))):
        command = ["tar", "-cS", *form, "-C", str(tmp_path), "holes", "plain"]
        reader = TarReader(whole(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
        (holes, _), (plain, data) = read_all(reader)
        assert (holes.name, holes.type) == (b"holes", TarType.SPARSE)
        assert (plain.name, data, reader.complete) == (b"plain", b"after", True)


names_st = st.lists(
    st.binary(min_size=1, max_size=255).map(lambda b: b.replace(b"\0", b"0").replace(b"/", b"1")).filter(
        lambda b: b not in (b".", b"..")
    ),
    min_size=1, max_size=4,
).map(b"/".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    files=st.lists(
        st.tuples(names_st, st.sampled_from(SIZES[:-1]), st.integers(-(1 << 33), 1 << 34), st.integers(0, 1 << 30)),
        min_size=1, max_size=5,
    ),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]),
    seed=st.integers(0, 1 << 20),
)  # fmt: skip
def test_python_tarfile(files: list[tuple[bytes, int, int, int]], form: int, seed: int) -> None:
    raw, expected = io.BytesIO(), []
    with tarfile.open(fileobj=raw, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        for name, size, mtime, uid in files:
            data = random.Random(name).randbytes(size)
            info = tarfile.TarInfo(os.fsdecode(name))
            info.size, info.mtime, info.uid = size, mtime, uid
            if form == tarfile.USTAR_FORMAT:
                info.mtime, info.uid = abs(mtime) % (1 << 33), uid % (1 << 21)
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:
                continue  # a name that ustar cannot hold
            expected.append((name, info.mtime * NS, info.uid, data))
    reader = TarReader(short(raw.getvalue(), seed), buffer_size=512 + seed % 5000)
    assert [(m.name, m.mtime_ns, m.uid, d) for m, d in read_all(reader)] == expected
    assert reader.complete


# -- the end ------------------------------------------------------------------------------------------------------


def small() -> tuple[bytes, dict[bytes, bytes]]:
    raw, files = io.BytesIO(), {b"a.png": b"A" * 700, b"b" * 150: b"B" * 512, b"empty": b"", b"d/c.txt": b"C"}
    for at, (name, data) in enumerate(files.items()):
        info = tarfile.TarInfo(os.fsdecode(name))
        info.size, info.mtime = len(data), 5 if at % 2 else 5.5
        raw.write(info.tobuf(tarfile.GNU_FORMAT if at % 2 else tarfile.PAX_FORMAT) + padded(data))
    return raw.getvalue() + END, files


def reader_content(reader: TarReader) -> Iterator[tuple[bytes, bytes]]:
    return ((member.name, content(member)) for member in reader)


def test_every_truncation_is_noticed() -> None:
    raw, files = small()
    for cut in range(len(raw)):
        for concatenated in (False, True):
            got: list[tuple[bytes, bytes]] = []
            reader = TarReader(whole(raw[:cut]), concatenated=concatenated, buffer_size=2048)
            with pytest.raises(StreamBroken, match="stream ends"):
                got.extend(reader_content(reader))
            assert all(data == files[name] for name, data in got)
            assert not reader.complete
            assert reader.received == cut
    reader = TarReader(whole(raw))
    assert {m.name: d for m, d in read_all(reader)} == files
    assert reader.complete


def test_every_flipped_header_bit_is_noticed() -> None:
    raw = block(b"a.png", b"%011o" % 3, link=b"", mtime=b"14527106701") + padded(b"abc") + END
    for bit in range(512 * 8):
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        reader = TarReader(whole(bytes(bad)))
        try:
            ((member, data),) = read_all(reader)
        except StreamBroken:
            assert not reader.complete
        else:  # a flip inside the checksum's own padding changes nothing that is meant
            assert 148 <= bit // 8 < 156
            assert (member.name, data) == (b"a.png", b"abc")


def test_unread_content_is_skipped_and_old_members_are_closed() -> None:
    raw, files = small()
    reader = TarReader(short(raw, 1), buffer_size=600)
    first = next(reader)
    half = next(first.chunks())
    assert files[first.name].startswith(bytes(half))
    assert half.readonly
    second = next(reader)
    with pytest.raises(ValueError, match="moved on"):
        next(first.chunks())
    assert content(second) == files[second.name]
    assert [m.name for m in reader] == list(files)[2:]
    assert reader.complete
    assert next(reader, None) is None


def test_only_files_have_content() -> None:
    reader = TarReader(whole(block(flag=b"2", link=b"/etc/passwd") + block(b"b") + END))
    with pytest.raises(ValueError, match="symlink has no content"):
        next(next(reader).chunks())
    assert [m.name for m in reader] == [b"b"]


def test_what_follows_a_single_archive_is_counted_up_to_a_cap() -> None:
    reader = TarReader(whole(block() + END + bytes(9000)))
    assert len(list(reader)) == 1
    assert reader.received == 512 + 1024 + 9000
    readinto, taken = endless(bytes(512))
    reader = TarReader(readinto, limits=TarLimits(drain=100_000), buffer_size=4096)
    assert (list(reader), reader.complete) == ([], True)
    assert 100_000 < taken[0] == reader.received < 120_000


def test_concatenated_archives() -> None:
    raw, files = small()
    for gap in (b"", bytes(512), bytes(8704)):
        reader = TarReader(short(raw + gap + raw + gap, 2), concatenated=True, buffer_size=1000)
        assert [m.name for m, _ in read_all(reader)] == [*files, *files]
        assert reader.complete
        reader = TarReader(whole(raw + gap + raw[:-512]), concatenated=True)
        with pytest.raises(StreamBroken, match="between its end blocks"):
            read_all(reader)
        assert not reader.complete
    with pytest.raises(StreamBroken, match="without its end blocks"):
        list(TarReader(whole(b""), concatenated=True))
    with pytest.raises(StreamBroken, match="inside a header"):
        list(TarReader(whole(raw + b"x" * 100), concatenated=True))


def test_nothing_is_read_behind_an_archive_whose_stream_goes_on() -> None:
    raw, files = small()

    def once(view: memoryview) -> int:
        nonlocal raw
        assert raw, "a read that would wait for ever"
        count = min(len(raw), len(view))
        view[:count], raw = raw[:count], raw[count:]
        return count

    reader = TarReader(once, open_ended=True, buffer_size=1000)
    assert [m.name for m, _ in read_all(reader)] == [*files]
    assert reader.complete
    with pytest.raises(StreamBroken, match="behind the end blocks"):
        read_all(TarReader(whole(small()[0] + bytes(512)), open_ended=True))


def test_global_records_end_with_their_archive() -> None:
    raw = pax((b"uid", b"7"), flag=b"g") + block() + END
    assert [m.uid for m in TarReader(whole(raw + block() + END), concatenated=True)] == [7, 0]


def test_an_error_of_the_source_passes_through_and_stays() -> None:
    def stalled(view: memoryview) -> int:
        raise TimeoutError("no byte for 5 s")

    reader = TarReader(stalled)
    with pytest.raises(TimeoutError):
        next(reader)
    with pytest.raises(StreamBroken, match="reading failed at byte 0"):
        next(reader)


def test_a_buffer_smaller_than_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="511"):
        TarReader(whole(b""), buffer_size=511)


# -- anything at all ----------------------------------------------------------------------------------------------


def broken_or_fine(raw: bytes, seed: int) -> Iterator[tuple[bytes, bytes]]:
    reader = TarReader(short(raw, seed), buffer_size=512 + seed % 3000, concatenated=bool(seed % 2))
    try:
        for member in reader:
            if member.type is TarType.FILE:
                yield member.name, content(member)
        problem = ""
    except StreamBroken as error:
        problem = str(error)
    assert reader.complete is not bool(problem)
    assert not problem or (" at byte " in problem and problem.isprintable())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=4000), st.integers(0, 1 << 16), st.booleans())
def test_garbage_raises_nothing_else(junk: bytes, seed: int, zeros: bool) -> None:
    list(broken_or_fine(junk, seed))
    list(broken_or_fine((END if zeros else block(b"ok")) + junk, seed))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"0", b"x", b"g", b"L", b"K", b"S", b"1", b"5", b"Z", b"\0"]),
            st.binary(max_size=12),
            st.binary(max_size=600),
        ),
        max_size=6,
    ),
    st.integers(0, 1 << 16),
)
def test_well_summed_nonsense_raises_nothing_else(parts: list[tuple[bytes, bytes, bytes]], seed: int) -> None:
    raw = b""
    for flag, odd, data in parts:
        size = b"%011o" % len(data) if seed % 3 else odd
        raw += block(odd, size, flag, uid=odd[:8] if seed % 7 == 0 else b"0", mtime=odd if seed % 5 == 0 else b"0")
        raw += padded(data)
    list(broken_or_fine(raw + END, seed))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_anywhere_never_changes_a_name_silently(data: st.DataObject) -> None:
    raw, files = small()
    at = data.draw(st.integers(0, len(raw) - 1))
    bad = bytearray(raw)
    bad[at] ^= data.draw(st.integers(1, 255))
    for name, body in broken_or_fine(bytes(bad), 4):
        if name in files:  # content has no checksum in tar, its length has
            assert len(body) == len(files[name])


def test_compressed_streams_are_not_guessed() -> None:
    with pytest.raises(StreamBroken, match=r"checksum|header"):
        list(TarReader(whole(gzip.compress(small()[0]))))


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=5),
    buffer=st.sampled_from([512, 700, 4096, 1 << 18]),
    seed=st.integers(0, 1 << 16),
)
def test_content_into_buffers_of_ones_own(sizes: list[int], buffer: int, seed: int) -> None:
    """All of each member, or a part of it and then the next one, whatever lay in the reader's own buffer."""
    dice = random.Random(seed)
    data = [dice.randbytes(size) for size in sizes]
    raw = b"".join(block(b"%d" % n, b"%011o" % len(d)) + padded(d) for n, d in enumerate(data)) + END
    reader = TarReader(short(raw, seed), buffer_size=buffer)
    for member, expected in zip(reader, data, strict=True):
        got, view = b"", memoryview(bytearray(dice.choice((1, 100, 1000, 9000))))
        while count := member.readinto(view):
            got += view[:count]
            if dice.random() < 0.1:
                break
        if dice.random() < 0.5:
            got += b"".join(bytes(c) for c in member.chunks())
        assert expected.startswith(got)
        assert len(got) == len(expected) or count
    assert reader.complete
    assert reader.received == len(raw)


def test_content_cut_short_breaks_the_reader_into_buffers_too() -> None:
    raw = block(b"a", b"%011o" % 9000) + bytes(3000)
    member = next(TarReader(whole(raw), buffer_size=512))
    view = memoryview(bytearray(4096))
    with pytest.raises(StreamBroken, match="before the member does"):
        sum(iter(lambda: member.readinto(view), 0))
