"""A file is complete when its own format says so, and at no cut short of that."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.media.endings import Ending, EndingCheck, State, ending_check, ending_of
from tests.unit import mediamade as made

ALL = [*made.FINISHED, *made.FILMS]
# What stands at the end of these without being part of the media: padding behind the last pixels, tags.
TAIL = {"pages.tif": 4, "pages_packed.tif": 4}
# A cut exactly here leaves a whole file: in front of an ID3v1 tag, between the images of an MPO.
WHOLE_AT: dict[str, Callable[[bytes], int]] = {
    "tagged.mp3": lambda raw: len(raw) - 128,
    "several.jpg": lambda raw: raw.find(b"\xff\xd8", 5000),
}


def checked(name: str | bytes, raw: bytes, *, piece: int = 65536) -> Ending:
    check = ending_check(os.fsencode(name))
    assert check is not None
    for at in range(0, len(raw), piece):
        check.feed(memoryview(raw)[at : at + piece])
    ending = check.verdict()
    if len(raw) <= 1 << 20:
        assert ending_of(os.fsencode(name), raw) == ending, "at once as in pieces"
    return ending


@pytest.mark.parametrize("name", ALL)
def test_finished_files_are_complete(name: str) -> None:
    ending = checked(name, made.finished(name))
    assert ending == Ending(State.COMPLETE, format=ending.format)


@pytest.mark.parametrize("name", ALL)
def test_no_cut_is_complete(name: str) -> None:
    raw = made.finished(name)
    end = len(raw) - TAIL.get(name, 0)
    dice = random.Random(name)
    cuts = {0, 1, 3, 7, 11, 12, 31, 32, 33, end - 1, end - 2, end - 4, end - 8, end // 2, end // 4, end * 3 // 4}
    cuts |= {dice.randrange(end) for _ in range(25)} | {dice.randrange(end - 200, end) for _ in range(10)}
    whole_at = WHOLE_AT[name](raw) if name in WHOLE_AT else end
    for cut in sorted(cuts):
        if 0 <= cut < end and cut != whole_at:
            ending = checked(name, raw[:cut])
            assert ending.state is State.INCOMPLETE, cut
            assert ending.reason


def top_boxes(raw: bytes) -> list[int]:
    """Where the top-level boxes of an ISO file start."""
    starts, at = [], 0
    while at < len(raw):
        starts.append(at)
        at += int.from_bytes(raw[at : at + 4], "big")
    return starts


@pytest.mark.parametrize("name", [n for n in ALL if n.endswith((".mp4", ".mov", ".m4a", ".avif", ".jxl"))])
def test_no_cut_between_boxes_is_complete(name: str) -> None:
    raw = made.finished(name)
    for start in top_boxes(raw):
        assert checked(name, raw[:start]).state is not State.COMPLETE


@pytest.mark.parametrize("until", ["header", "content"])
@pytest.mark.parametrize("name", list(made.FILMS))
def test_what_a_killed_writer_leaves_is_never_complete(name: str, until: str) -> None:
    raw = made.FILMS[name].unfinished(until)
    ending = checked(name, raw)
    if (name, until) == ("fragments.mp4", "content"):
        assert ending.state is State.UNKNOWN  # each fragment is whole, and more could have followed
    else:
        assert ending.state is State.INCOMPLETE
    if (name, until) == ("a.mp4", "header"):
        assert len(raw) == 48  # where ComfyUI's MP4s stand for half a second


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(ALL), cut=st.floats(0, 1), seed=st.integers(0, 1 << 20))
def test_pieces_of_any_size_give_the_same_verdict(name: str, cut: float, seed: int) -> None:
    raw = made.finished(name)
    raw = raw[: round(len(raw) * cut)]
    check = ending_check(name.encode())
    assert check is not None
    dice, at = random.Random(seed), 0
    sizes = (1, 2, 7, 31, 32, 33, 500) if len(raw) < 20_000 else (1, 31, 5000, 40_000)
    while at < len(raw):
        step = dice.choice(sizes)
        buffer = bytearray(raw[at : at + step])
        check.feed(memoryview(buffer))
        buffer[:] = bytes(len(buffer))  # the view is only lent
        at += step
    assert check.verdict() == checked(name, raw, piece=1 << 30) == check.verdict()


STARTS = [made.finished(n)[:40] for n in ALL] + [b"", b"ID3\4\0\0\0\0\0\0", b"II*\0\x08\0\0\0", b"RIFF\xff\0\0\0WAVE", b"\xff\xfb\x90\0"]  # fmt: skip  # noqa: E501


@settings(max_examples=1000, deadline=None)
@given(
    suffix=st.sampled_from(sorted({n.rpartition(".")[2] for n in ALL} | {"txt", "heic", "jxl", "oga"})),
    start=st.sampled_from(STARTS),
    keep=st.integers(0, 40),
    junk=st.binary(max_size=600),
)
@example("png", b"", 0, b"\x89PNG\r\n\x1a\n" + bytes(40))
@example("jpg", b"", 0, b"\xff\xd8\xff" + b"\xff" * 500)
@example("webm", b"", 0, b"\x1a\x45\xdf\xa3" + b"\xff" * 60)
def test_garbage_never_raises(suffix: str, start: bytes, keep: int, junk: bytes) -> None:
    raw = start[:keep] + junk
    ending = checked(f"x.{suffix}", raw)
    assert ending == checked(f"x.{suffix}", raw, piece=1)
    assert (ending.state is State.COMPLETE) == (not ending.reason)


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(ALL), data=st.data())
def test_damaged_files_never_raise(name: str, data: st.DataObject) -> None:
    raw = bytearray(made.finished(name)[:30_000])
    for _ in range(3):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 900)))] = data.draw(st.integers(0, 255))
    checked(name, bytes(raw))


# -- single facts -------------------------------------------------------------------------------------------------


KINDS, LENGTHS = (b"IHDR", b"IDAT", b"IEND", b"tEXt", b"1234", b""), ((0, 4), (3, 7), (3, 5), (1 << 31, 7))
PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
PNG_CHUNKS = [struct.pack(">I", length) + kind + bytes(rest) for kind in KINDS for length, rest in LENGTHS]
PNG_CHUNKS += [PNG_END, PNG_END[:3] + b"\1" + PNG_END[4:]]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PNG_CHUNKS), max_size=5), st.booleans(), st.sampled_from([b"", b"\0", b"more"]))
def test_a_png_in_memory_is_judged_as_one_that_streams_by(chunks: list[bytes], ends: bool, more: bytes) -> None:
    raw = b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + (PNG_END if ends else b"") + more
    checked("x.png", raw)
    checked("x.jpg", raw)


def test_empty_files() -> None:
    for name in (*ALL, "a.txt"):
        assert checked(name, b"") == Ending(State.INCOMPLETE, "empty")


def test_no_check_for_what_is_no_media() -> None:
    for name in (b"a.safetensors", b"a", b"a.svg", b"folder.png/a", b".png/x", b"a.png.tmp"):
        assert ending_check(name) is None
    assert ending_check(b"A.PNG") is not None


def test_the_content_decides_and_the_mismatch_is_noted() -> None:
    ending = checked("a.png", made.finished("a.jpg"))
    assert ending == Ending(State.COMPLETE, note="content is jpeg, name says png", format="jpeg")
    assert checked("a.png", made.finished("a.jpg")[:-1]).state is State.INCOMPLETE
    assert checked("a.webp", made.finished("a.mp4")).format == "iso"
    assert checked("a.png", bytes(5000)).reason == "does not start as png or any other known format"


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.webm", "a.glb", "a.ogg", "tagged.mp3"]
)
def test_what_follows_the_end_is_noted(name: str) -> None:
    assert checked(name, made.finished(name) + b"stealth" * 10).note.startswith("70 bytes after ")


def test_jpeg_padding_and_further_images() -> None:
    one = made.finished("a.jpg")
    assert checked("a.jpg", one + bytes(600)) == Ending(State.COMPLETE, format="jpeg")
    assert checked("a.jpg", one + bytes(7) + one).state is State.COMPLETE
    assert checked("a.jpg", one + one[:-2]).state is State.INCOMPLETE
    # EOI of the thumbnail is not the picture's: cut right behind it.
    raw = made.finished("thumbnail.jpg")
    assert checked("a.jpg", raw[: raw.find(b"\xff\xd9") + 2]).state is State.INCOMPLETE


def test_lengths_that_were_never_filled_in() -> None:
    raw = made.finished("a.wav")
    for length in (0, 0xFFFFFFFF):
        assert checked("a.wav", raw[:4] + struct.pack("<I", length) + raw[8:]).state is State.INCOMPLETE
    # Python's wave module: a header for no sound, patched on closing, while the sound grows behind it.
    raw = made.finished("python.wav")
    growing = raw[:4] + struct.pack("<I", 36) + raw[8:40] + bytes(4) + raw[44:]
    assert checked("a.wav", growing).state is State.INCOMPLETE
    assert checked("a.wav", made.finished("a.wav") + bytes(40)).state is State.UNKNOWN
    assert checked("a.avi", made.finished("a.avi") + bytes(40)).state is State.UNKNOWN
    assert checked("a.webp", made.finished("a.webp")[:4] + bytes(4) + bytes(50)).format == ""
    raw = made.finished("a.webp")
    assert checked("a.webp", raw[:4] + bytes(4) + raw[8:]).state is State.INCOMPLETE


def test_open_dml_is_several_riffs() -> None:
    raw = made.finished("a.avi")
    more = b"RIFF" + struct.pack("<I", 104) + b"AVIX" + bytes(100)
    assert checked("a.avi", raw + more).state is State.COMPLETE
    for cut in (1, 6, 20, 111):
        assert checked("a.avi", raw + more[:cut]).state is State.INCOMPLETE


def test_iso_boxes() -> None:
    box = made.box
    ftyp, moov, mdat = box(b"ftyp", b"isom"), box(b"moov", bytes(50)), box(b"mdat", bytes(900))
    assert checked("a.mp4", ftyp + moov + mdat).state is State.COMPLETE
    assert checked("a.mov", moov + mdat).note == "no ftyp box"
    assert checked("a.mp4", ftyp + mdat).state is State.INCOMPLETE
    assert checked("a.mp4", ftyp + moov).state is State.INCOMPLETE
    assert checked("a.heic", ftyp + box(b"meta", bytes(80))).state is State.INCOMPLETE
    assert checked("a.heic", ftyp + box(b"meta", bytes(80)) + mdat).state is State.COMPLETE
    open_ended = struct.pack(">I", 0) + b"mdat" + bytes(100)
    assert checked("a.mp4", ftyp + open_ended).state is State.INCOMPLETE
    assert checked("a.mp4", ftyp + moov + open_ended).state is State.UNKNOWN
    large = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 16 + 900) + bytes(900)
    assert checked("a.mp4", ftyp + large + moov).state is State.COMPLETE
    assert checked("a.mp4", ftyp + moov + large[:-1]).state is State.INCOMPLETE
    assert checked("a.mp4", ftyp + moov + mdat + bytes(30)).state is State.UNKNOWN
    assert checked("a.mp4", ftyp + struct.pack(">I", 5) + b"moov" + mdat).state is State.INCOMPLETE
    assert checked("a.mp4", ftyp + moov + mdat + box(b"moof") + box(b"mfra")).state is State.INCOMPLETE


def test_what_has_no_end_mark_is_unknown() -> None:
    assert checked("a.txt", b"a prompt").state is State.UNKNOWN
    assert checked("a.jxl", b"\xff\x0a" + bytes(50)).state is State.UNKNOWN
    assert checked("a.mp3", made.finished("a.mp3")[-5000:]).state is State.UNKNOWN
    plain = made.Film("mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}, layout="mono").finished()
    assert checked("a.mp3", plain) == Ending(State.UNKNOWN, "an MP3 without a length has no end mark", format="mp3")


def test_json_companions() -> None:
    assert checked("a.json", b"[1, 2]\n").state is State.COMPLETE
    assert checked("a.json", b"12").state is State.UNKNOWN
    assert checked("a.json", b"[" * 100_000).state in (State.UNKNOWN, State.INCOMPLETE)
    assert checked("a.json", b"[" + b" " * (1 << 20) + b"]").state is State.UNKNOWN


def test_flac_with_tags_around_it() -> None:
    raw = made.finished("a.flac")
    assert checked("a.flac", b"ID3\4\0\0\0\0\1\0" + bytes(128) + raw).state is State.COMPLETE
    assert checked("a.flac", raw + b"TAG" + bytes(125)).note == "an ID3v1 tag after the last frame"
    assert checked("a.flac", raw[:-1] + bytes((raw[-1] ^ 1,))).state is State.INCOMPLETE


def test_a_verdict_is_final() -> None:
    check = EndingCheck("png")
    check.feed(b"\x89PNG")
    check.verdict()
    with pytest.raises(ValueError, match="verdict is out"):
        check.feed(b"\r\n")


def test_memory_and_time_do_not_follow_the_payload() -> None:
    """256 MB of PNG in 1 MiB chunks, and of GIF in 255 byte blocks: a walk, not a read."""
    piece = bytes((255,)) * 256 * 4096
    for name, head in (
        ("a.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 1 << 30) + b"IDAT"),
        ("a.gif", b"GIF89a" + bytes(7) + b"," + bytes(9) + b"\x08"),
    ):
        check = ending_check(name.encode())
        assert check is not None
        began = time.process_time()
        check.feed(head)
        for _ in range(256):
            check.feed(piece)
        assert check.verdict().state is State.INCOMPLETE
        assert time.process_time() - began < 2


def test_damage_that_is_no_cut() -> None:
    png, jpg, ogg = made.finished("a.png"), made.finished("a.jpg"), made.finished("a.ogg")
    broken = [
        ("a.png", png[:-1] + b"\0", "IEND is damaged"),
        ("a.png", png[:33] + png[-12:], "no image data before IEND"),
        ("a.png", png[:33] + bytes(4000), "a chunk header is damaged"),
        ("a.jpg", jpg[:2] + b"\xff\xd9", "no image data before EOI"),
        ("a.jpg", jpg[:2] + b"\xff\xe0\0\1" + jpg[2:], "a segment header is damaged"),
        ("a.jpg", jpg[:20] + bytes(40), "a marker is damaged"),
        ("a.jpg", jpg[:2] + b"\xff" * 50, "a marker is damaged"),
        ("a.gif", b"GIF89a" + bytes(7) + b"?" * 40, "a block header is damaged"),
        ("a.gif", b"GIF89a" + bytes(7) + b";" + bytes(40), "no image before the trailer"),
        ("a.tif", b"II*\0" + bytes(60), "the header points to no directory yet"),
        ("a.webm", b"\x1a\x45\xdf\xa3\x80" + bytes(40), "an EBML header is damaged"),
        ("a.glb", b"glTF\2\0\0\0" + bytes(40), "the length was never filled in"),
        ("a.ogg", ogg[: ogg.find(b"OggS", 4)] + bytes(5000), "a page is damaged"),
        ("a.flac", b"fLaC\x81\0\0\2" + bytes(40), "no STREAMINFO"),
        ("a.wav", b"RF64\xff\xff\xff\xffWAVEfmt " + bytes(40), "no ds64 chunk"),
        ("a.wav", b"RIFF\x0c\0\0\0WAVEdata\1\0\0\0" + bytes(40), "a chunk is longer than the RIFF length says"),
        ("a.wav", b"RIFF\x0c\0\0\0WAVEfmt \0\0\0\0" + bytes(40), "no sound"),
    ]
    for name, raw, reason in broken:
        ending = checked(name, raw)
        assert (ending.state, ending.reason) == (State.INCOMPLETE, reason)


def test_tiff_layouts() -> None:
    def entry(tag: int, type_: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, type_, count, value)

    def tif(at: int, *entries: bytes, following: int = 0) -> bytes:
        directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)
        return (b"II*\0" + struct.pack("<I", at)).ljust(at, b"\0") + directory

    strip = entry(273, 4, 1, 8), entry(279, 4, 1, 100)
    assert checked("a.tif", tif(200, *strip)).state is State.COMPLETE
    assert checked("a.tif", tif(200, *strip, following=8)).state is State.UNKNOWN  # back to where the walk has been
    assert checked("a.tif", tif(200, entry(256, 4, 1, 5))).state is State.UNKNOWN  # no pixels are named
    assert checked("a.tif", tif(8, entry(273, 4, 1, 8), entry(279, 4, 1, 10_000))).state is State.INCOMPLETE
    assert (
        checked("a.tif", tif(8, entry(273, 4, 1 << 20, 60)) + bytes(100)).reason
        == "a TIFF of more parts than are checked"
    )
    assert checked("a.tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(100)).state is State.UNKNOWN


def test_a_file_of_endless_small_parts_is_given_up() -> None:
    check = ending_check(b"a.png")
    assert check is not None
    began = time.process_time()
    check.feed(b"\x89PNG\r\n\x1a\n")
    for _ in range(40):
        check.feed((bytes(4) + b"tEXt" + bytes(4)) * 50_000)
    assert check.verdict().reason == "a file of more parts than are checked"
    assert time.process_time() - began < 20


def samples() -> Path:
    here = Path(__file__).parents[3] / "shared" / "samples"
    return Path(os.environ.get("MEDIA_SYNC_SAMPLES", here))


def test_real_outputs_of_generators() -> None:
    """Where the samples are at hand; the files made above stand for them everywhere else."""
    for path in samples().rglob("*.*"):
        check = ending_check(os.fsencode(path.name))
        if check is not None:
            check.feed(path.read_bytes())
            expected = State.INCOMPLETE if path.parent.name == "broken" else State.COMPLETE
            assert check.verdict().state is expected, path.name
