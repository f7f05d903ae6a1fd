"""What is media, which files belong together, and what their names count."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.media.endings import ending_check
from sidecar.media.kinds import (
    Classification,
    Counter,
    Kind,
    classify,
    counter,
    group_key,
    is_dated_folder,
    media_suffixes,
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"ComfyUI_00001_.png", Kind.IMAGE),
        (b"txt2img-images/2026-11-22/00001-7.PNG", Kind.IMAGE),
        (b"a/caf\xe9.JPeG", Kind.IMAGE),
        (b"two\nlines.webp", Kind.IMAGE),
        (b"a.b.c.jxl", Kind.IMAGE),
        (b"video/x_00001-audio.mp4", Kind.VIDEO),
        (b"x.mkv", Kind.VIDEO),
        (b"audio/x_00001_.flac", Kind.AUDIO),
        (b"mesh/ComfyUI_00001_.glb", Kind.MESH),
        (b"00001-7.txt", Kind.TEXT),
        (b"x.json", Kind.TEXT),
    ],
)
def test_media(path: bytes, kind: Kind) -> None:
    assert classify(path) == Classification(kind)
    assert classify(path).pulled


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"_output_images_will_be_put_here", "placeholder"),
        (b"sub/_output_images_will_be_put_here", "placeholder"),
        (b"00001-7.tmp", "temporary name"),
        (b"00001-7.png.tmp", "temporary name"),
        (b"a.png.part", "temporary name"),
        (b"a.png.crdownload", "temporary name"),
        (b"a.png~", "temporary name"),
        (b".a.png", "hidden"),
        (b".trash/a.png", "hidden"),
        (b"a/.b/c/a.png", "hidden"),
        (b".media-sync-0123-4", "private purge name"),
        (b"a/.media-sync-x.png", "private purge name"),
        (b"checkpoints/x.safetensors", "model file"),
        (b"loras/x.CKPT", "model file"),
        (b"x.bin", "model file"),
        (b"x_00001_.latent", "latent"),
        (b"swarm_metadata.ldb", "database"),
        (b"log.csv", "table"),
        (b"run.log", "log"),
        (b"x.svg", "program or script"),
        (b"x.py", "program or script"),
        (b"x.html", "program or script"),
        (b"x.gltf", "needs other files"),
        (b"x.zip", "archive"),
        (b"x.psd", "not a media type"),
        (b"README", "no suffix"),
        (b"png", "no suffix"),
        (b"folder.png/x", "no suffix"),
        (b"", "no suffix"),
    ],
)
def test_what_is_left_out_has_a_reason(path: bytes, reason: str) -> None:
    assert classify(path) == Classification(Kind.OTHER, reason)
    assert not classify(path).pulled


def test_every_kind_of_media_has_an_ending_check() -> None:
    for kind in Kind:
        for suffix in media_suffixes(kind):
            assert ending_check(b"x" + suffix) is not None, suffix
    assert media_suffixes(Kind.OTHER) == frozenset()


def test_groups() -> None:
    vhs = {group_key(b"v/x_00001" + rest) for rest in (b".png", b".mp4", b"-audio.mp4", b".json", b".txt")}
    assert vhs == {b"v/x_00001"}
    assert group_key(b"2026-11-22/00012-7.png") == group_key(b"2026-11-22/00012-7.jpg") == b"2026-11-22/00012-7"
    assert group_key(b"a_00001_.png") == group_key(b"a_00001_.json") != group_key(b"b/a_00001_.png")
    assert group_key(b"my-audio.mp4") == b"my-audio"  # no counter in front: a name of its own
    assert group_key(b"a.b/c") == b"a.b/c"
    assert group_key(b".png") == b".png"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"ComfyUI_00001_.png", Counter(b"", b"ComfyUI", 1, b"_.png")),
        (b"a/b/run_128x128_b0_00042_.webp", Counter(b"a/b", b"run_128x128_b0", 42, b"_.webp")),
        (b"150401_render_00003_.png", Counter(b"", b"150401_render", 3, b"_.png")),
        (b"x_123456_.png", Counter(b"", b"x", 123456, b"_.png")),
        (b"a_00001_00002_.png", Counter(b"", b"a_00001", 2, b"_.png")),
        (b"caf\xe9_00001_.png", Counter(b"", b"caf\xe9", 1, b"_.png")),
        (b"_00007_.png", Counter(b"", b"", 7, b"_.png")),
        (b"x_00001_swapped.png", Counter(b"", b"x", 1, b"_swapped.png")),
        (b"AnimateDiff_00001.mp4", Counter(b"", b"AnimateDiff", 1, b".mp4")),
        (b"AnimateDiff_00001.png", Counter(b"", b"AnimateDiff", 1, b".png")),
        (b"AnimateDiff_00001-audio.mp4", Counter(b"", b"AnimateDiff", 1, b"-audio.mp4")),
        (b"2026-11-22/00012-1234567.png", Counter(b"2026-11-22", b"", 12, b"-1234567.png")),
        (b"00012.png", Counter(b"", b"", 12, b".png")),
        (b"00012-7-a cat.v1.txt", Counter(b"", b"", 12, b"-7-a cat.v1.txt")),
        (b"grid-0003.png", Counter(b"", b"grid", 3, b".png")),
        (b"grid-0003-99.jpg", Counter(b"", b"grid", 3, b"-99.jpg")),
        (b"photo.png", None),
        (b"img_001.png", None),
        (b"photo-2024.png", None),
        (b"0012.png", None),
        (b"a_00001_.png/x.png", None),
        (b"a_00001_", None),
        (b"_output_images_will_be_put_here", None),
        ("a_\u0661\u0662\u0663\u0664\u0665_.png".encode(), None),
    ],
)
def test_counters(path: bytes, expected: Counter | None) -> None:
    assert counter(path) == expected


def test_dated_folders() -> None:
    assert is_dated_folder(b"txt2img-images/2026-11-22/00001-7.png") == date(2026, 11, 22)
    assert is_dated_folder(b"2026-11-22") == date(2026, 11, 22)
    assert is_dated_folder(b"2026-11-22/2026-11-23/a.png") == date(2026, 11, 23)
    assert is_dated_folder(b"2026-11-22/2026-13-23/a.png") == date(2026, 11, 22)
    for path in (
        b"2026-13-01/a.png",
        b"0000-01-01/a",
        b"x2026-11-22/a.png",
        b"2026-11-22x/a",
        b"a/2026-11-22.png",
        b"",
    ):
        assert is_dated_folder(path) is None


@given(st.binary(max_size=60).map(lambda b: b.lstrip(b"/")))
def test_any_name_has_an_answer(path: bytes) -> None:
    verdict = classify(path)
    assert verdict.pulled is (verdict.kind is not Kind.OTHER)
    assert path.startswith(group_key(path))
    found = counter(path)
    if found:
        assert path.startswith(found.folder)
        assert path.endswith(found.suffix)
    is_dated_folder(path)
    ending_check(path)
