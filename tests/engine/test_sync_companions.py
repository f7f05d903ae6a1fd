"""Files of one stem belong together, under whatever name the first of them had to take."""

from __future__ import annotations

import pytest
from generators import media
from generators.media import Recipe

from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, png, renamed
from tests.rig.program import Program


def forge(seed: int) -> dict[bytes, bytes]:
    """What Forge writes for one picture, beside it a JSON that says the same each time."""
    return {b"d/00001-7.png": png(seed), b"d/00001-7.txt": b"prompt %d" % seed, b"d/00001-7.json": b'{"model": "x"}'}


def video(seed: int) -> dict[bytes, bytes]:
    """What VideoHelperSuite writes for one film with sound."""
    film = media.comfyui_mp4(Recipe(seed), frames=3)
    return {b"V_00001.png": png(seed), b"V_00001.mp4": film, b"V_00001-audio.mp4": film + b"\0\0\0\x0cfree%04d" % seed}


def test_companions_keep_their_stem(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    files = forge(1) | video(1)
    pull.made.put(files, age=60)
    report = pull.sync()
    assert (report["stored"], report["skipped"]) == (6, 0)
    assert pull.library() == files


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_companions_follow_when_a_name_is_used_again(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    pull = Pull(cli, generator(image=request.getfixturevalue(image)))
    expected: dict[bytes, bytes] = {}
    for seed in (1, 2, 3):
        files = forge(seed) | video(seed)
        pull.made.put(files, age=60)
        assert pull.sync()["stored"] == 6
        kept = pull.library()
        assert {name: kept[name] for name in expected} == expected
        fresh = {name: data for name, data in kept.items() if name not in expected}
        assert sorted(fresh.values()) == sorted(files.values()), "each as a name of its own, the same JSON, too"
        stems = {name.rpartition(b".")[0].replace(b"-audio", b"") for name in fresh}
        assert len(stems) == 2, f"one stem for each of the two: {sorted(fresh)}"
        if seed > 1:
            assert renamed(b"d/00001-7.png", png(seed)) in fresh
        expected = kept
    assert pull.sync()["bytes_received"] == 0


def test_a_late_companion_finds_its_picture(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put({"a.png": png(1), "a.txt": b"one"}, age=60)
    pull.sync()
    pull.made.put({"a.png": png(2)}, age=60)
    pull.made.remove("a.txt")
    pull.sync()
    pull.made.put({"a.txt": b"two"}, age=60)
    pull.sync()
    second = renamed(b"a.png", png(2))
    assert pull.library() == {
        b"a.png": png(1), b"a.txt": b"one", second: png(2), second.replace(b".png", b".txt"): b"two"
    }  # fmt: skip
