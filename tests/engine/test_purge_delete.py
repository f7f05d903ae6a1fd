"""Purge does what it is for: proven, old originals go, and nothing else is touched."""

from __future__ import annotations

import hashlib
import time

import docker
import pytest

from sidecar.models import shown
from tests.conftest import MakeGenerator
from tests.engine.purging import OLD, copies, filled, given, library_stats, outcomes, pictures, purge, rows, states
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]
AWKWARD = [
    b"a b.png",
    b"-rf.png",
    b"--.png",
    b"two\nlines\n.png",
    b"caf\xe9.png",
    b"q'\"`$(x)*?[a]\\.png",
    b"x" * 251 + b".png",
    b"-d/new\nfolder/\xff\xfe.png",
]


@pytest.mark.parametrize("image", IMAGES)
def test_originals_go_and_their_copies_stay(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    files = pictures(f"{day}/ComfyUI_{n:05}_.png" for day in ("a", "b/c") for n in range(1, 6))
    filled(cli, one, files)
    one.put({"a/new.png": b"unknown to the library"}, age=OLD)
    before = copies(cli.library)
    code, report = purge(cli, one)
    assert code == 0
    assert (report["candidates"], report["purged"], report["failed"], report["refused"]) == (10, 10, 0, None)
    assert report["bytes_freed"] == sum(map(len, files.values()))
    assert outcomes(report) == dict.fromkeys(files, ("purged", "")) | {"a/new.png": ("kept", "not stored yet")}
    assert report["kept"] == {"not stored yet": 1}
    assert one.files() == {b"a/new.png"}
    assert {b"a", b"b/c"} <= one.stats().keys()
    assert copies(cli.library) == before
    assert before == {b"gen/" + k.encode(): hashlib.sha256(v).digest() for k, v in files.items()}
    assert states(cli.state) == dict.fromkeys(files, "purged")


@pytest.mark.parametrize("image", IMAGES)
def test_awkward_names_go_and_their_neighbours_stay(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    one.put({name: b"content of " + name for name in AWKWARD}, age=OLD)
    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["stored"] == len(AWKWARD)
    # what a shell or a careless split would take for the names above
    neighbours = [b"a", b"b.png", b"rf.png", b"two", b"lines", b".png", b"cafe.png", b"x.png", b"q.png", b"x" * 250]
    one.put(dict.fromkeys(neighbours, b"not to be touched"), age=OLD)
    code, report = purge(cli, one)
    assert (code, report["purged"]) == (0, len(AWKWARD))
    assert {p for p, (outcome, _) in outcomes(report).items() if outcome == "purged"} == set(map(shown, AWKWARD))
    assert one.files() == set(neighbours)


@pytest.mark.parametrize(("image", "count"), [("busybox_image", 1000), ("python_image", 5000)])
def test_thousands_of_files_need_no_more_execs_than_one(
    image: str, count: int, generator: MakeGenerator, cli: Program, engine: docker.DockerClient,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    one = generator(image=request.getfixturevalue(image))
    filled(cli, one, {f"{n % 7}/{n:05}-1.png": b"%d" % n for n in range(count)})
    begun = time.time_ns()
    code, report = purge(cli, one, "--allow-empty")
    ended = time.time_ns()
    assert (code, report["purged"], report["failed"]) == (0, count, 0)
    seen = engine.events(since=begun // 10**9, until=ended // 10**9 + 1, filters={"container": one.id}, decode=True)
    execs = [e for e in seen if e["Action"].startswith("exec_create") and begun <= e["timeNano"] <= ended]
    assert 1 <= len(execs) <= 3  # the scan as the image's user, the purge as the folder's owner
    assert one.files() == set()
    assert set(states(cli.state).values()) == {"purged"}


def test_a_dry_run_changes_nothing_and_tells_exactly_what_the_purge_does(
    generator: MakeGenerator, cli: Program
) -> None:
    one = generator()
    filled(cli, one, pictures(f"{day}/{n:05}-7.png" for day in ("2020-01-31", "keep") for n in range(12)))
    one.put({"keep/late.png": b"late"}, age=60)
    one.put({"never/model.safetensors": b"model"}, age=OLD)
    before = one.stats(), library_stats(cli.library), rows(cli.state)
    code, dry = purge(cli, one, "--dry-run", "--keep-newest", "2")
    assert (one.stats(), library_stats(cli.library), rows(cli.state)) == before
    assert (code, dry["candidates"], dry["purged"], dry["bytes_freed"]) == (0, 22, 0, 0)
    told = outcomes(dry)
    code, real = purge(cli, one, "--keep-newest", "2")
    assert code == 0
    done = outcomes(real)
    assert {p: ("purged", "") if o == "would purge" else (o, r) for p, (o, r) in told.items()} == done
    assert (real["candidates"], real["kept"]) == (dry["candidates"], dry["kept"])
    assert one.files() == {p.encode() for p, (outcome, _) in done.items() if outcome == "kept"}


def test_a_dry_run_of_a_generation_never_seen_records_nothing(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png"]))
    one.recreate()
    before = rows(cli.state)
    assert purge(cli, one, "--dry-run")[0] == 0
    assert rows(cli.state) == before


def test_a_name_given_again_after_a_purge_is_a_second_file(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, {"ComfyUI_00001_.png": b"the first", "ComfyUI_00001_.txt": b"its text"})
    assert purge(cli, one)[1]["purged"] == 2
    one.put({"ComfyUI_00001_.png": b"the second", "ComfyUI_00001_.txt": b"another"}, age=OLD)
    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["stored"] == 2
    assert sorted(p.read_bytes() for p in (cli.library / "gen").iterdir()) == [
        b"another", b"its text", b"the first", b"the second",
    ]  # fmt: skip
    assert (cli.library / "gen/ComfyUI_00001_.png").read_bytes() == b"the first"
    code, report = purge(cli, one)
    assert (code, report["purged"]) == (0, 2)
    assert len(copies(cli.library)) == 4
    one.put({"ComfyUI_00001_.png": b"the first"}, age=OLD)  # the old bytes come back: one copy serves both
    assert cli("sync", *given(one), "--json").ok().json["sources"][0]["duplicates"] == 1
    assert purge(cli, one)[1]["purged"] == 1
    assert len(copies(cli.library)) == 4
