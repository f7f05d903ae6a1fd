"""Where output lies and what state its container is in: every way in brings the same bytes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.syncing import LONE, Pull, png, pngs, reasons, same_mtimes, stored
from tests.rig.program import Program

SECOND = 10**9
STAMP = 1_700_000_000_123_456_789
FILES = pngs("ComfyUI_00001_.png", "2026-01-31/ComfyUI_00001_.png", "two words.png")


def scanner_of(pull: Pull) -> tuple[str, str, str]:
    """Scanner, state and mount type that `sources` shows."""
    (source,) = pull.run("sources", "--json").ok().json["sources"]
    (root,) = source["roots"]
    return source["scanner"], source["state"], root["mount"]


def pulled(pull: Pull, *, nanoseconds: bool = True) -> None:
    """One pass stores FILES; the next one asks for nothing."""
    assert pull.sync()["stored"] == len(FILES)
    assert pull.library() == FILES
    if nanoseconds:
        same_mtimes(pull, set(FILES))
    report = pull.sync()
    assert (report["unchanged"], report["bytes_received"]) == (len(FILES), 0)


def test_a_stopped_container(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put(FILES, mtime_ns=STAMP)
    pull.made.stop()
    assert scanner_of(pull) == ("archive", "exited", "layer")
    pulled(pull, nanoseconds=False)
    assert all(pull.stat(name).st_mtime_ns // SECOND == STAMP // SECOND for name in FILES)
    pull.made.start()
    report = pull.sync()
    assert (report["unchanged"], report["bytes_received"]) == (3, 0), "running again: the same files, seen better"
    pull.made.put({"new.png": png(9)}, age=60)
    assert pull.sync()["stored"] == 1


def test_a_paused_container(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put(FILES, mtime_ns=STAMP)
    pull.made.pause()
    try:
        assert scanner_of(pull) == ("archive", "paused", "layer")
        pulled(pull, nanoseconds=False)
    finally:
        pull.made.unpause()


def test_a_container_without_a_shell(cli: Program, generator: MakeGenerator, noshell_image: str) -> None:
    made = generator(image=noshell_image, command=("/sleep", "infinity"), root="/srv/out")
    pull = Pull(cli, made)
    made.put(FILES, mtime_ns=STAMP)
    assert scanner_of(pull) == ("archive", "running", "layer")
    pulled(pull, nanoseconds=False)


def test_a_named_volume_outlives_its_container(
    cli: Program, volume: Callable[[], str], generator: MakeGenerator
) -> None:
    made = generator(volumes={volume(): "/data"}, root="/data/output")
    pull = Pull(cli, made)
    made.put(FILES, mtime_ns=STAMP)
    assert scanner_of(pull)[2] == "volume"
    pulled(pull)
    made.recreate()
    report = pull.sync()
    assert (report["unchanged"], report["bytes_received"]) == (3, 0), "a new generation with the same files"


def test_a_folder_of_the_host(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    folder = tmp_path / "output"
    folder.mkdir()
    made = generator(volumes={str(folder): "/data/output"}, root="/data/output")
    made.put(FILES, mtime_ns=STAMP)
    pull = Pull(cli, made)
    assert scanner_of(pull)[2] == "bind"
    pulled(pull)


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_a_tmpfs(image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest) -> None:
    made = generator(image=request.getfixturevalue(image), tmpfs=["/fast"], root="/fast/output")
    pull = Pull(cli, made)
    for name, data in FILES.items():
        made.write(name, data, age=60)
    assert scanner_of(pull)[2] == "tmpfs"
    pulled(pull)
    made.pause()
    try:
        report = pull.sync(code=3)
        assert "tmpfs" in reasons(report)[""], "what cannot be seen is an error, and not an empty folder"
    finally:
        made.unpause()
    assert pull.sync()["unchanged"] == 3


@pytest.mark.parametrize("way", ["agent", "archive"])
def test_a_root_that_is_a_symlink(way: str, cli: Program, generator: MakeGenerator) -> None:
    made = generator(root="/workspace/app/output")
    made.put(FILES, mtime_ns=STAMP)
    made.exec("ln", "-s", "/workspace/app/output", "/opt-output")
    pull = Pull(cli, made, root="/opt-output")
    if way == "archive":
        made.stop()
    pulled(pull, nanoseconds=way == "agent")


def test_several_roots_fill_folders_of_their_own(cli: Program, generator: MakeGenerator) -> None:
    made = generator(root="/outputs/main")
    made.put(pngs("a.png"), age=60)
    for place in ("/outputs/txt2img", "/elsewhere/txt2img"):
        made.exec("mkdir", "-p", place)
        made.exec("cp", "-p", "/outputs/main/a.png", f"{place}/b.png")
    cli.env = LONE | {"MEDIA_SYNC_SOURCES__GEN__CONTAINER": made.name,
                      "MEDIA_SYNC_SOURCES__GEN__PATH": "/outputs/main;/outputs/txt2img;/elsewhere/txt2img"}  # fmt: skip
    (report,) = cli("sync", "--json").ok().json["sources"]
    assert (report["scanned"], report["stored"], report["duplicates"]) == (3, 3, 2)
    assert dict(stored(cli)) == {b"a.png": png(0), b"txt2img/b.png": png(0), b"txt2img~2/b.png": png(0)}
    (again,) = cli("sync", "--json").ok().json["sources"]
    assert (again["unchanged"], again["bytes_received"]) == (3, 0)


def test_labels_alone_make_a_source(cli: Program, generator: MakeGenerator) -> None:
    name = generator().name + "-labelled"
    labels = {"media-sync.enable": "true", "media-sync.name": name, "media-sync.kind": "forge",
              "media-sync.path": "/out/img;/out/grids", "media-sync.exclude": "previews/**"}  # fmt: skip
    made = generator(root="/out", labels=labels)
    made.put(pngs("img/a.png", "img/previews/p.png", "grids/g.png", "elsewhere.png"), age=60)
    (report,) = cli("sync", name, "--json").ok().json["sources"]
    assert (report["name"], report["root"], report["stored"]) == (name, "/out/img;/out/grids", 2)
    assert reasons(report) == {"previews/p.png": "excluded by pattern"}
    found = {str(p.relative_to(cli.library / name)) for p in (cli.library / name).rglob("*") if p.is_file()}
    assert found == {"a.png", "grids/g.png"}
    (source,) = [s for s in cli("sources", "--json").ok().json["sources"] if s["name"] == name]
    assert (source["kind"], source["container"]) == ("forge", made.name)


def test_hardlinks_in_the_source_come_by_every_road(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    entries = [Entry(b"d/first.png", png(1), mtime_ns=STAMP)]
    entries += [Entry(name, hard=b"d/first.png", mtime_ns=STAMP) for name in (b"d/later.png", b"z/last.png")]
    made.put([*entries, Entry(b"z/other.png", png(2), mtime_ns=STAMP)])
    made.stop()
    pull = Pull(cli, made)
    report = pull.sync()
    assert (report["scanned"], report["stored"], report["duplicates"]) == (4, 4, 2)
    assert pull.library() == {
        b"d/first.png": png(1), b"d/later.png": png(1), b"z/last.png": png(1), b"z/other.png": png(2)
    }  # fmt: skip


def test_files_that_the_agent_may_not_read_are_failures(cli: Program, generator: MakeGenerator) -> None:
    made = generator(user="1000", owner=(1000, 1000), root="/out")
    made.put(pngs("mine.png"), age=60)
    made.put([Entry(b"theirs.png", png(3), mtime_ns=STAMP, mode=stat.S_IRUSR, uid=0)])
    pull = Pull(cli, made)
    report = pull.sync(code=3)
    assert (report["stored"], report["failed"]) == (1, 1)
    assert reasons(report) == {"theirs.png": "permission denied: the agent (uid 1000) may not read it"}
