"""The rig itself: what a test writes is what the container has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator

STAMP = 1_700_000_000_123_456_789
NAMES = [
    b"a b.png",
    b"-dash.png",
    b"two\nlines.png",
    b"caf\xe9.png",
    b"q'\"`$x.png",
    b"x" * 255,
    b"d/" + b"\xc3\xbc" * 120 + b"/f",
]


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_names_bytes_and_nanoseconds_arrive(
    image: str, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(image), root="/basedir/output", owner=(1000, 1000))
    made.put({name: b"content of " + name for name in NAMES}, mtime_ns=STAMP)
    seen = made.stats()
    assert made.files() == set(NAMES)
    assert {seen[name].mtime_ns for name in NAMES} == {STAMP}
    assert {(seen[name].uid, seen[name].gid) for name in [*NAMES, b"."]} == {(1000, 1000)}
    assert all(made.read(name) == b"content of " + name for name in NAMES)
    assert made.stats() == seen
    made.remove(NAMES[2], NAMES[3])
    assert made.files() == set(NAMES) - {NAMES[2], NAMES[3]}


def test_files_are_written_in_place_or_renamed(generator: MakeGenerator) -> None:
    made = generator()
    made.write("a/1.png", b"one", age=90_000)
    before = made.stats()[b"a/1.png"]
    made.write("a/1.png", b"two2")
    after = made.stats()[b"a/1.png"]
    assert (after.inode, after.size) == (before.inode, 4)
    assert after.mtime_ns - before.mtime_ns > 89_000 * 10**9
    made.write("a/1.png", b"three", temporary=True)
    assert made.stats()[b"a/1.png"].inode != before.inode
    with made.growing("a/2.mp4", [b"x" * 1000] * 3, every=0.01) as grown:
        assert grown.wait(10)
    assert made.stats()[b"a/2.mp4"].size == 3000
    made.big("big.bin", 5_000_000, head=b"head", tail=b"tail")
    assert made.read("big.bin")[:5] == b"head\0"
    assert made.stats()[b"big.bin"].size == 5_000_000


def test_a_recreated_generator_keeps_name_and_volume(generator: MakeGenerator, volume: Callable[[], str]) -> None:
    made = generator(volumes={volume(): "/data"}, root="/data/output", tmpfs=["/fast"], labels={"a": "b"})
    made.put([Entry(b"x.png", b"1"), Entry(b"link.png", link=b"x.png"), Entry(b"hard.png", hard=b"x.png")])
    made.exec("touch", "/fast/t", "/layer")
    old = made.id
    made.stop()
    made.start()
    assert made.exec("test", "-e", "/layer").code == 0
    made.recreate(labels={"a": "c"})
    assert made.id != old
    assert made.container.labels["a"] == "c"
    assert made.stats()[b"hard.png"].nlink == 2
    assert made.exec("test", "-e", "/layer", check=False).code == 1
    made.close()


def test_a_generator_without_a_shell_can_be_filled(generator: MakeGenerator, noshell_image: str) -> None:
    made = generator(image=noshell_image, command=("/sleep", "infinity"), root="/srv/out")
    made.put({"a.png": b"1"})
    assert (made.container.get_archive("/srv/out/a.png")[1] or {})["size"] == 1
