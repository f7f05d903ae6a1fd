"""Pass after pass over one running generator: what is new, changed, gone, twice there, or not for the library."""

from __future__ import annotations

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, png, pngs, reasons, renamed, same_mtimes
from tests.rig.program import Program

STAMP = 1_700_000_000_123_456_789


@pytest.mark.parametrize(("image", "scanner"), [("busybox_image", "sh"), ("python_image", "python")])
def test_first_second_and_later_passes(
    image: str, scanner: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(image), root="/basedir/output", owner=(1000, 1000))
    pull = Pull(cli, made)
    files = pngs("ComfyUI_00001_.png", "ComfyUI_00002_.png", "video/deep/ComfyUI_00001_.png")
    made.put(files, mtime_ns=STAMP)
    assert f'"scanner": "{scanner}"' in pull.run("sources", "--json").ok().out

    first = pull.sync()
    assert (first["scanned"], first["stored"], first["duplicates"]) == (3, 3, 0)
    assert first["bytes_stored"] == sum(map(len, files.values())) < first["bytes_received"]
    assert sum(first["road"].values()) == 3
    assert pull.library() == files
    same_mtimes(pull, set(files))

    again = pull.sync()
    assert (again["unchanged"], again["stored"], again["bytes_received"]) == (3, 0, 0)

    new = pngs("ComfyUI_00003_.png", seed=10)
    made.put(new, age=60)
    third = pull.sync()
    assert (third["unchanged"], third["stored"], third["bytes_stored"]) == (3, 1, len(new[b"ComfyUI_00003_.png"]))
    assert pull.library() == files | new
    same_mtimes(pull, set(files | new))


def test_a_name_with_new_bytes_becomes_a_second_file(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put({"ComfyUI_00001_.png": png(1)}, age=120)
    pull.sync()
    before = pull.stat("ComfyUI_00001_.png")
    name = b"ComfyUI_00001_.png"
    expected = {name: png(1)}
    for seed in (2, 3):
        pull.made.put({name: png(seed)}, age=60)
        report = pull.sync()
        assert (report["stored"], report["unchanged"]) == (1, 0)
        expected[renamed(name, png(seed))] = png(seed)
        assert pull.library() == expected
    after = pull.stat("ComfyUI_00001_.png")
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    states = {item["library_path"]: item["state"] for item in pull.items()}
    assert sorted(states.values()) == ["replaced", "replaced", "stored"]
    assert states["gen/" + renamed(name, png(3)).decode()] == "stored"
    pull.made.put({name: png(1)}, age=30)
    assert pull.sync()["duplicates"] == 1, "the first content came back: its copy serves again"
    assert pull.library() == expected


def test_what_vanishes_in_the_source_stays_in_the_library(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    files = pngs("a.png", "b.png", "sub/c.png")
    pull.made.put(files, age=60)
    pull.sync()
    pull.made.remove("a.png", "sub")
    report = pull.sync()
    assert (report["scanned"], report["unchanged"], report["vanished"], report["bytes_received"]) == (1, 1, 2, 0)
    assert pull.library() == files
    assert {item["path"]: item["state"] for item in pull.items()} == {
        "a.png": "vanished", "b.png": "stored", "sub/c.png": "vanished"
    }  # fmt: skip
    assert pull.sync()["vanished"] == 0, "it is said once"


def test_a_recreated_container_is_the_same_source(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put(pngs("kept.png", "other.png", "gone.png"), age=60)
    pull.sync()
    pull.made.recreate()
    other = {b"other.png": png(77)}
    pull.made.put(pngs("kept.png") | other, age=60)
    report = pull.sync()
    assert (report["scanned"], report["vanished"]) == (2, 1)
    assert (report["stored"], report["duplicates"]) == (2, 1), "the copy that is there proves to be the same"
    assert report["bytes_stored"] == len(png(77))
    assert pull.library() == pngs("kept.png", "other.png", "gone.png") | {renamed(b"other.png", png(77)): png(77)}
    assert pull.sync()["bytes_received"] == 0


def test_the_same_content_is_stored_once_and_listed_twice(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    made = pull.made
    made.put([Entry(n, png(5), mtime_ns=STAMP) for n in (b"one.png", b"copies/two.png")])
    made.put([Entry(b"first.png", png(6), mtime_ns=STAMP), Entry(b"second.png", hard=b"first.png", mtime_ns=STAMP)])
    report = pull.sync()
    assert (report["stored"], report["duplicates"], report["bytes_stored"]) == (4, 2, len(png(5)) + len(png(6)))
    assert pull.library() == {
        b"one.png": png(5), b"copies/two.png": png(5), b"first.png": png(6), b"second.png": png(6)
    }  # fmt: skip
    assert pull.stat("one.png").st_ino == pull.stat("copies/two.png").st_ino
    assert pull.stat("first.png").st_ino == pull.stat("second.png").st_ino
    assert len({item["hash"] for item in pull.items()}) == 2
    assert {item["path"] for item in pull.items()} == {"one.png", "copies/two.png", "first.png", "second.png"}
    made.put({"later.png": png(5)}, age=60)
    later = pull.sync()
    assert (later["stored"], later["duplicates"], later["bytes_stored"]) == (1, 1, 0)
    assert pull.stat("later.png").st_ino == pull.stat("one.png").st_ino


def test_a_damaged_copy_never_stands_in_for_new_bytes(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    pull.made.put({"one.png": png(5)}, age=60)
    pull.sync()
    damaged = bytes([png(5)[0] ^ 1]) + png(5)[1:]
    (cli.library / "gen" / "one.png").write_bytes(damaged)
    pull.made.put({"two.png": png(5)}, age=60)
    report = pull.sync()
    assert (report["stored"], report["duplicates"]) == (1, 0)
    assert pull.library() == {b"one.png": damaged, b"two.png": png(5)}


def test_what_is_not_for_the_library_is_listed_with_its_reason(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    left_out = {
        "00001-1.png.tmp": "temporary name",
        "_output_images_will_be_put_here": "placeholder",
        "checkpoints/model.safetensors": "model file",
        "ComfyUI_00001_.latent": "latent",
        "log.csv": "table",
        "swarm_metadata.ldb": "database",
        "page.html": "program or script",
        ".hidden.png": "hidden",
        "notes.txt": "text without a picture of its name",
        "raw.dat": "not a media type",
    }
    entries = [Entry(name.encode(), b"not a picture", mtime_ns=STAMP) for name in left_out]
    pull.made.put([*entries, Entry(b"a.png", png(1), mtime_ns=STAMP), Entry(b"to-a.png", link=b"a.png")])
    pull.made.exec("mkfifo", "/output/pipe.png")
    report = pull.sync()
    assert (report["stored"], report["skipped"]) == (1, len(left_out) + 2)
    assert reasons(report) == left_out | {"to-a.png": "a link", "pipe.png": "not a regular file"}
    assert pull.library() == {b"a.png": png(1)}


def test_include_and_exclude_choose(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator(), env={"MEDIA_SYNC_SYNC__INCLUDE": "keep/**;*.webp",
                                       "MEDIA_SYNC_SYNC__EXCLUDE": "**/preview*"})  # fmt: skip
    pull.made.put(pngs("keep/a.png", "keep/preview.png", "b.png"), age=60)
    report = pull.sync()
    assert reasons(report) == {"keep/preview.png": "excluded by pattern", "b.png": "not matched by include"}
    assert pull.library() == pngs("keep/a.png")
