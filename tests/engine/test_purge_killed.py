"""A purge that dies at any moment loses nothing, and the next run puts right what it left."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import time
from collections.abc import Callable

import pytest

from sidecar.media.kinds import PRIVATE_PREFIX
from tests.conftest import MakeGenerator
from tests.engine.purging import bench, copies, filled, given, open_intents, outcomes, pictures, purge, rows, states
from tests.rig.generator import Generator
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]
MANY = {f"{n % 5}/{n:05}.png": b"content %d " % n * 30 for n in range(2000)}


# Other bytes in the same inode with the same size and mtime: the agent has to take each away, hash it, put it back.
FORGE = """cd "$1" && for f in */*5.png; do
touch -r "$f" /tmp/stamp && tr c C < "$f" > /tmp/new && cat /tmp/new > "$f" && touch -r /tmp/stamp "$f" || exit 1
done"""
FORGED = {p: data.replace(b"c", b"C") for p, data in MANY.items() if p.endswith("5.png")}


def listed(one: Generator) -> set[bytes]:
    """Names of the files while they come and go."""
    script = (
        'read go; find "$1" -type f -print0'  # no word before it is asked for: docker-py loses what comes too early
    )
    said = one.exec("sh", "-c", script, "-", one.root, stdin=b"\n", check=False).out
    return {path.removeprefix(one.root.encode() + b"/") for path in said.split(b"\0")} - {b""}


def hidden(paths: set[bytes]) -> set[bytes]:
    """Those under the private names that a purge gives while it looks."""
    return {path for path in paths if path.rpartition(b"/")[2].startswith(PRIVATE_PREFIX)}


def started(cli: Program, one: Generator) -> subprocess.Popen[str]:
    """A purge that has begun to delete."""
    left = listed(one)
    process = cli.start("purge", *given(one), "--keep-newest", "0", "--allow-empty", "--json")
    while process.poll() is None and listed(one) == left:
        time.sleep(0.01)
    return process


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


def test_killed_at_random_moments(generator: MakeGenerator, cli: Program, busybox_image: str) -> None:
    killed_again_and_again(generator(image=busybox_image), cli)


def test_killed_at_random_moments_beside_python(generator: MakeGenerator, cli: Program, python_image: str) -> None:
    killed_again_and_again(generator(image=python_image), cli)


def killed_again_and_again(one: Generator, cli: Program) -> None:
    """Our own process dies; its agent may go on for a moment, unheard."""
    filled(cli, one, MANY)
    one.exec("sh", "-c", FORGE, "-", one.root)
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    caught = 0
    for _ in range(5):
        process = started(cli, one)
        time.sleep(dice.random() * 0.3)
        process.kill()
        process.communicate()
        caught += process.returncode == -9
        there = listed(one)
        print(f"seed {seed}: {len(there)} left, {len(hidden(there))} hidden, {open_intents(cli.state)} without outcome")
        if len(there) < len(FORGED) + 200:
            break
    assert caught
    all_is_well_in_the_end(cli, one)


@pytest.mark.parametrize("image", IMAGES)
def test_the_container_is_killed(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    filled(cli, one, MANY)
    one.exec("sh", "-c", FORGE, "-", one.root)
    for _ in range(2):
        before = one.files()
        process = started(cli, one)
        one.container.kill()
        said, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        (report,) = json.loads(said)["sources"]
        assert report["error"]
        told = outcomes(report)
        assert {name.encode() for name in told} == before, "each file has an outcome"
        lost = {name for name, outcome in told.items() if outcome == ("unknown", "settled by the next run")}
        assert report["failed"] == len(lost)
        assert {word for word, _ in told.values()} <= {"purged", "kept", "unknown"}
        one.start()
        print(f"{len(hidden(one.files()))} hidden, {open_intents(cli.state)} without outcome")
        assert cli("sync", *given(one)).code == 0
        assert not hidden(one.files())
        assert open_intents(cli.state) == 0
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
