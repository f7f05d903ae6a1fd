"""A purge that dies at any moment loses nothing, and the next run puts right what it left."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.cleanup.proofs import BATCH
from sidecar.media.kinds import PRIVATE_PREFIX
from tests.conftest import MakeGenerator
from tests.engine.purging import (
    OLD,
    bench,
    copies,
    filled,
    given,
    open_intents,
    outcomes,
    pictures,
    purge,
    rows,
    states,
)
from tests.rig.generator import Generator
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]
MANY = {f"{n % 5}/{n:05}.png": b"content %d " % n * 30 for n in range(5 * BATCH // 2)}
LONG = "4/00005.png"  # behind four fifths of the others; it takes so long to hash that whoever watches it sees it gone
MANY[LONG] = b"content 5 " * (5 << 20)


# Other bytes in the same inode with the same size and mtime: the agent has to take each away, hash it, put it back.
FORGE = """cd "$1" && for f in */*5.png; do
touch -r "$f" /tmp/stamp && tr c C < "$f" > /tmp/new && cat /tmp/new > "$f" && touch -r /tmp/stamp "$f" || exit 1
done"""
FORGED = {p: data.replace(b"c", b"C") for p, data in MANY.items() if p.endswith("5.png")}


def hidden(paths: set[bytes]) -> set[bytes]:
    """Those under the private names that a purge gives while it looks."""
    return {path for path in paths if path.rpartition(b"/")[2].startswith(PRIVATE_PREFIX)}


def started(cli: Program, one: Generator) -> subprocess.Popen[str]:
    """A purge of all that is there."""
    return cli.start("purge", *given(one), "--keep-newest", "0", "--allow-empty", "--json")


def all_is_well_in_the_end(cli: Program, one: Generator) -> None:
    """Another purge ends where an undisturbed one does, and each picture is where it should be."""
    code, report = purge(cli, one, "--allow-empty")
    assert (code, report["failed"]) == (0, 0)
    assert open_intents(cli.state) == 0
    there = one.files()
    assert there <= {p.encode() for p in FORGED}
    stored = copies(cli.library)
    assert {p: stored.get(b"gen/" + p.encode()) for p in MANY} == {p: sha(data) for p, data in MANY.items()}
    gone = set(FORGED) - {p.decode() for p in there}  # a sync saw that they are new, and a purge that they are stored
    assert {sha(FORGED[p]) for p in gone} <= set(stored.values())
    if there:
        script = 'cd "$1" && sha256sum -- */*.png'
        lines = one.exec("sh", "-c", script, "-", one.root).out.decode().splitlines()
        assert {line[66:]: line[:64] for line in lines} == {p.decode(): sha(FORGED[p.decode()]).hex() for p in there}


def sha(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize(("image", "batch"), [(IMAGES[0], 0.5), (IMAGES[1], 0.03)])  # seconds that a batch takes there
def test_killed_at_random_moments(
    image: str, batch: float, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    """Our own process dies; its agent may go on for a moment, unheard."""
    one = generator(image=request.getfixturevalue(image))
    filled(cli, one, MANY)
    one.exec("sh", "-c", FORGE, "-", one.root)
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    caught = left = 0
    for further in (1, 1, BATCH + 1):  # while its agent is starting or has begun, and with a batch behind it
        goal = intended(cli.state) + further
        process = started(cli, one)
        while process.poll() is None and intended(cli.state) < goal:
            time.sleep(0.002)
        time.sleep(dice.random() * 2 * batch)
        process.kill()
        process.communicate()
        caught += process.returncode == -9
        left += open_intents(cli.state)
        print(f"seed {seed}: {process.returncode}, {open_intents(cli.state)} without outcome")
    assert caught > 1
    assert left
    all_is_well_in_the_end(cli, one)


def intended(state: Path) -> int:
    """How many originals were about to be deleted so far."""
    with closing(sqlite3.connect(f"file:{state}/manifest.sqlite3?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM purges").fetchone()[0])


# A container that ends, and all in it, at the very moment at which a file that was named goes from its name.
MORTAL = ("sh", "-c", """while [ ! -s /armed ]; do sleep 0.1; done
read -r watched < /armed; rm /armed; while [ -e "$watched" ]; do :; done""")  # fmt: skip
ARM = 'echo "$1" > /arming && mv /arming /armed'


@pytest.mark.parametrize("image", IMAGES)
def test_the_container_is_killed(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image), command=MORTAL)
    one.put(MANY, age=OLD)
    assert cli("sync", *given(one)).code == 0
    one.exec("sh", "-c", FORGE, "-", one.root)
    for dies_with in (LONG, min(FORGED)):  # which is changed and moved back the first time, and stored and deleted then
        assert cli("sync", *given(one)).code == 0  # puts right what the one before left
        assert not hidden(one.files())
        assert open_intents(cli.state) == 0
        before = one.files()
        one.exec("sh", "-c", ARM, "-", one.path(dies_with))
        process = started(cli, one)
        said, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        (report,) = json.loads(said)["sources"]
        assert report["error"]
        told = outcomes(report)
        assert {name.encode() for name in told} == before, "each file has an outcome"
        lost = {name for name, outcome in told.items() if outcome == ("unknown", "settled by the next run")}
        assert report["failed"] == len(lost)
        assert dies_with in lost
        assert {word for word, _ in told.values()} <= {"purged", "kept", "unknown"}
        one.container.wait()
        one.start()
        away = hidden(one.files())
        print(f"{len(away)} hidden, {open_intents(cli.state)} without outcome")
        assert away or dies_with != LONG
    all_is_well_in_the_end(cli, one)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("command", ["sync", "purge"])
async def test_every_half_done_deletion_is_settled(
    command: str, image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    """The states in which a crash can leave a file, made by hand: the intent is recorded, and this much was done."""
    one = generator(image=request.getfixturevalue(image))
    files = pictures(["untouched.png", "moved.png", "deleted.png", "taken.png", "a b/linked.png"])
    filled(cli, one, files)
    private = {name: (PRIVATE_PREFIX + hashlib.md5(name.encode()).hexdigest()[:24].encode()) for name in files}
    async with bench(cli, one) as work, work.planned() as planned:
        key = work.work.manifest.look_up(planned.source)
        intents = [(c.file_id, private[c.stat.path.decode()]) for c in planned.plan.roots[0].candidates]
        work.work.manifest.intend(key, "killed", intents, (0, 0), time.time_ns())
    stamp = one.stats()[b"moved.png"].mtime_ns
    for name in ("moved.png", "taken.png"):
        one.exec("mv", one.path(name), one.path(private[name]))
    one.remove("deleted.png")
    one.put({"taken.png": b"a new picture took the name"}, age=60)
    one.exec("ln", one.path("a b/linked.png"), one.path(b"a b/" + private["a b/linked.png"]))

    age = ("--older-than", "30d") if command == "purge" else ()
    before = one.stats(), rows(cli.state)
    assert cli(command, *given(one), *age, "--json", "--dry-run").code == 0
    assert (one.stats(), rows(cli.state)) == before
    assert cli(command, *given(one), *age, "--json").code == 0
    (stranded,) = one.files() - {b"untouched.png", b"moved.png", b"taken.png", b"a b/linked.png"}
    assert stranded.startswith(b"taken~")  # a name that is seen, and pulled
    assert stranded.endswith(b".png")
    assert one.stats()[b"moved.png"].mtime_ns == stamp
    assert {p: one.read(p) for p in (b"moved.png", stranded)} == {
        b"moved.png": files["moved.png"], stranded: files["taken.png"],
    }  # fmt: skip
    assert one.stats()[b"a b/linked.png"].nlink == 1
    assert open_intents(cli.state) == 0
    assert states(cli.state)["deleted.png"] == "purged"
    assert purge(cli, one)[1]["purged"] == (4 if command == "sync" else 3)  # the sync pulled what got another name


async def test_what_went_with_its_container_was_not_purged(
    volume: Callable[[], str], generator: MakeGenerator, cli: Program
) -> None:
    """Killed in the middle, and made anew on the same volume: what is hidden comes back, what is gone is not known."""
    one = generator(volumes={volume(): "/output"})
    files = pictures(["hidden.png", "gone.png"])
    filled(cli, one, files)
    private = {name: PRIVATE_PREFIX + hashlib.md5(name.encode()).hexdigest()[:24].encode() for name in files}
    async with bench(cli, one) as work, work.planned() as planned:
        key = work.work.manifest.look_up(planned.source)
        intents = [(c.file_id, private[c.stat.path.decode()]) for c in planned.plan.roots[0].candidates]
        work.work.manifest.intend(key, "killed", intents, (0, 0), time.time_ns())
    one.exec("mv", one.path("hidden.png"), one.path(private["hidden.png"]))
    one.remove("gone.png")
    one.recreate()
    assert cli("sync", *given(one), "--json").code == 0
    assert one.files() == {b"hidden.png"}
    assert one.read("hidden.png") == files["hidden.png"]
    assert open_intents(cli.state) == 0
    assert states(cli.state) == {"hidden.png": "stored", "gone.png": "vanished"}
