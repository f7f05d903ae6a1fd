"""Never alone: an original stays unless it and its copy prove themselves at that moment."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.purging import OLD, bench, filled, given, open_intents, outcomes, pictures, purge, states
from tests.rig.generator import Generator
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]
LATE = "changed at the last moment"
# other bytes into the same inode, size and mtime as they were, to the nanosecond
FORGE = """cd "$1" && touch -r "$2" /tmp/stamp && printf '%s' "$3" | dd of="$2" conv=notrunc && touch -r /tmp/stamp "$2"
"""


def forge(one: Generator, name: str, data: bytes) -> None:
    """Other bytes of the same number under a name, and nothing but ctime that shows it."""
    before = one.stats()[name.encode()]
    one.exec("sh", "-c", FORGE, "-", one.root, name, data.decode())
    after = one.stats()[name.encode()]
    assert (after.size, after.mtime_ns, after.inode) == (before.size, before.mtime_ns, before.inode)
    assert one.read(name) == data


@pytest.mark.parametrize("image", IMAGES)
def test_other_bytes_that_no_stat_shows_are_seen_by_their_hash(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    filled(cli, one, {"a.png": b"original", "b.png": b"neighbour"})
    forge(one, "a.png", b"ORIGINAL")
    before = one.stats()[b"a.png"]
    code, report = purge(cli, one)
    assert outcomes(report) == {"a.png": ("kept", LATE), "b.png": ("purged", "")}
    assert (code, report["bytes_freed"], report["kept"]) == (0, len(b"neighbour"), {LATE: 1})
    after = one.stats()[b"a.png"]
    assert (after.inode, after.mtime_ns, after.nlink) == (before.inode, before.mtime_ns, 1)
    assert one.files() == {b"a.png"}
    assert one.read("a.png") == b"ORIGINAL"
    assert states(cli.state) == {"a.png": "replaced", "b.png": "purged"}

    pulled = cli("sync", *given(one), "--json").ok().json["sources"][0]
    assert pulled["stored"] == 1, "what no stat shows is pulled again once a purge has seen it"
    assert sorted(p.read_bytes() for p in (cli.library / "gen").glob("a*.png")) == [b"ORIGINAL", b"original"]
    assert outcomes(purge(cli, one)[1]) == {"a.png": ("purged", "")}


def test_what_changed_since_the_sync_is_no_candidate(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    files = pictures(["size.png", "time.png", "inode.png", "same.png"])
    filled(cli, one, files)
    stamp = one.stats()[b"inode.png"].mtime_ns
    one.append("size.png", b"+")
    one.age(OLD, ["size.png", "time.png"])
    one.put({"beside.png": files["inode.png"][::-1]}, mtime_ns=stamp)
    one.exec("mv", "-f", one.path("beside.png"), one.path("inode.png"))
    code, report = purge(cli, one)
    assert (code, report["candidates"]) == (0, 1)
    assert outcomes(report) == {"same.png": ("purged", "")} | dict.fromkeys(
        ["size.png", "time.png", "inode.png"], ("kept", "changed since it was stored")
    )
    assert one.files() == {b"size.png", b"time.png", b"inode.png"}
    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["stored"] == 3
    assert purge(cli, one)[1]["purged"] == 3  # stored anew, they may go


@pytest.mark.parametrize("image", IMAGES)
async def test_what_changes_between_plan_and_deletion_stays(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    filled(cli, one, pictures(["size.png", "time.png", "bytes.png", "gone.png", "link.png", "folder.png", "same.png"]))
    async with bench(cli, one) as work, work.planned() as planned:
        assert planned.plan.candidates == 7
        stamp = one.stats()[b"bytes.png"].mtime_ns
        one.append("size.png", b"+")
        one.age(OLD - 60, ["size.png", "time.png"])
        one.put({"bytes.png": one.read("bytes.png")[::-1]}, mtime_ns=stamp)
        one.remove("gone.png", "folder.png", "link.png")
        one.put([Entry(b"folder.png/"), Entry(b"link.png", link=b"same.png")])
        before = one.stats()
        found = await planned.outcomes()
    kept = dict.fromkeys((b"size.png", b"time.png", b"bytes.png", b"link.png", b"folder.png"), ("kept", LATE))
    assert found == kept | {b"gone.png": ("kept", "was gone already"), b"same.png": ("purged", "")}
    after = one.stats()
    assert {p: s.inode for p, s in after.items()} == {p: s.inode for p, s in before.items() if p != b"same.png"}
    assert states(cli.state)["gone.png"] == "vanished"


def flip(copy: Path) -> None:
    """One bit of a copy turns over, its mtime stays: a dying disk."""
    stat = copy.stat()
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def truncate(copy: Path) -> None:
    """A copy loses its last byte."""
    os.truncate(copy, copy.stat().st_size - 1)


def become_link(copy: Path) -> None:
    """A copy becomes a link to another place, with the right bytes."""
    away = copy.parent.parent / "away"
    shutil.move(copy, away)
    copy.symlink_to(away)


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (flip, "its library copy is damaged"),
    "cut": (truncate, "its library copy is damaged"),
    "empty": (lambda copy: copy.write_bytes(b""), "its library copy is damaged"),
    "gone": (Path.unlink, "its library copy is missing"),
    "link": (become_link, "its library copy is missing"),
}


def test_a_copy_that_does_not_prove_itself_keeps_its_original(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    files = pictures([f"{name}.png" for name in HARMS] + ["sound.png"])
    filled(cli, one, files)
    for name, (harm, _) in HARMS.items():
        harm(cli.library / f"gen/{name}.png")
    before = one.stats()
    code, report = purge(cli, one)
    expected = {f"{name}.png": ("kept", reason) for name, (_, reason) in HARMS.items()}
    assert outcomes(report) == expected | {"sound.png": ("purged", "")}
    assert (code, report["purged"], report["failed"]) == (3, 1, len(HARMS))
    after = one.stats()
    assert {p: after[p] for p in one.files()} == {
        p: s for p, s in before.items() if s.is_file and p != b"sound.png"
    }  # not so much as moved
    assert {p.decode(): one.read(p) for p in one.files()} == {n: files[n] for n in expected}
    assert set(states(cli.state).values()) == {"replaced", "purged"}

    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["stored"] == len(HARMS), "pulled again"
    assert purge(cli, one)[1]["purged"] == len(HARMS)
    kept = {path.read_bytes() for path in (cli.library / "gen").iterdir() if path.is_file()}
    assert {files[name] for name in expected} <= kept


async def test_a_copy_that_rots_after_the_plan_keeps_its_original(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png", "b.png"]))
    async with bench(cli, one) as work, work.planned() as planned:
        flip(cli.library / "gen/a.png")
        found = await planned.outcomes()
    assert found == {b"a.png": ("kept", "its library copy is damaged"), b"b.png": ("purged", "")}
    assert one.files() == {b"a.png"}


async def test_an_intent_is_on_disk_before_anything_is_touched(generator: MakeGenerator, cli: Program) -> None:
    """Seen by another connection when the first result of the batch has come back."""
    one = generator()
    filled(cli, one, pictures(f"{n}.png" for n in range(40)))
    seen: list[int] = []
    async with bench(cli, one) as work, work.planned() as planned:
        planned.engine.bus.subscribe(lambda _: seen.append(open_intents(cli.state)))
        await asyncio.wait_for(planned.execute(), 60)
    assert seen[0] == 40
    assert open_intents(cli.state) == 0
    assert one.files() == set()


async def test_a_plan_is_executed_once(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png"]))
    async with bench(cli, one) as work, work.planned() as planned:
        assert (await planned.execute()).purged == 1
        one.put(pictures(["a.png"]), age=OLD)
        before = one.stats()
        with pytest.raises(ValueError, match="once"):
            await planned.execute()
    assert one.stats() == before
