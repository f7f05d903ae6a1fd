"""From a picture in a container to a search that finds it: `serve` and `index` look into what was stored."""

from __future__ import annotations

from pathlib import Path

from sidecar.media.thumbnails import Thumbnails
from tests.conftest import MakeGenerator
from tests.engine.commands import complaint, eventually, serving
from tests.rig.program import Program
from tests.unit.media.test_workers import picture
from tests.unit.metadata import test_hostile as hostile

CAT = "a tabby cat\nSteps: 4, Sampler: LCM, CFG scale: 1, Seed: 9, Model: tiny"


def found(cli: Program, query: str) -> list[str]:
    return [item["path"] for item in cli("list", "--query", query, "--json").ok().json["items"]]


def test_serve_knows_what_it_stored(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    fox = picture(tmp_path / "fox.png", (1024, 512)).read_bytes()
    made.put({"fox.png": fox, "broken.png": fox[:3000] + b"\0" * 40}, age=700)
    with serving(cli, "--source", f"gen={made.name}:/output"):
        eventually(
            lambda: (
                found(cli, '"red fox" seed:5') == ["fox.png", "broken.png"]
                or found(cli, '"red fox" seed:5') == ["broken.png", "fox.png"]
            ),
            "what came with the first pass",
        )
        made.write("cat.png", picture(tmp_path / "cat.png", text=CAT).read_bytes())
        eventually(lambda: found(cli, "model:tiny tabby") == ["cat.png"], "what came later")
    (item,) = cli("list", "gen", "--query", "seed:9", "--json").ok().json["items"]
    assert {key: item["metadata"][key] for key in ("prompt", "seed", "steps", "sampler", "model")} == {
        "prompt": "a tabby cat", "seed": 9, "steps": 4, "sampler": "LCM", "model": "tiny",
    }  # fmt: skip
    small = Thumbnails(cli.state).path(bytes.fromhex(item["hash"]))
    assert small.read_bytes()[8:12] == b"WEBP"
    assert (cli.library / "gen" / "broken.png").read_bytes() == fox[:3000] + b"\0" * 40, "stored as it was"


def test_one_shot(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"fox.png": picture(tmp_path / "fox.png").read_bytes(), "none.png": b"no picture"}, age=700)
    cli("sync", "--source", f"gen={made.name}:/output").ok()
    assert found(cli, "fox") == []
    told = cli("index", "--json").ok().json
    assert (told["files"], told["thumbnails"]) == (2, 1)
    assert {problem["library_path"] for problem in told["problems"]} == {"gen/none.png"}
    assert found(cli, "fox -cat") == ["fox.png"]
    assert cli("index", "--json").ok().json == {"files": 0, "thumbnails": 0, "problems": [], "left_to_serve": 0}
    assert cli("index", "--again", "--json").ok().json["files"] == 2
    assert found(cli, "fox -cat") == ["fox.png"]
    assert "looked into 0 files" in cli("index").ok().out


def test_bombs_and_broken_files_are_stored_as_they_are(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    whole = picture(tmp_path / "a.jpg").read_bytes()
    files = {
        "bomb.png": hostile.png(hostile.chunk(b"zTXt", b"workflow\0\0" + hostile.deflated(500)), hostile.GOOD),
        "wide.png": hostile.png(hostile.GOOD, size=(60_000, 60_000)),
        "cut.jpg": whole[: len(whole) // 2],
        "deep.png": hostile.png(hostile.chunk(b"tEXt", b"prompt\0" + hostile.DEEP)),
        "nan.png": hostile.png(hostile.chunk(b"tEXt", b"prompt\0" + hostile.GRAPH)),
        "large.png": hostile.png(hostile.chunk(b"tEXt", b"workflow\0{" + b" " * 50_000_000 + b"}"), hostile.GOOD),
        "good.png": picture(tmp_path / "good.png").read_bytes(),
    }
    made = generator()
    made.put(files, age=700)
    cli("sync", "--source", f"gen={made.name}:/output").ok()
    told = cli("index", "--json").ok().json
    assert told["files"] == len(files)
    assert {name: (cli.library / "gen" / name).read_bytes() for name in files} == files
    marked = {problem["library_path"].removeprefix("gen/") for problem in told["problems"]}
    assert marked >= {"bomb.png", "wide.png", "cut.jpg", "deep.png", "large.png"}
    assert "good.png" not in marked
    items = {item["path"]: item["metadata"] for item in cli("list", "--json").ok().json["items"]}
    assert items["cut.jpg"]["prompt"] == "a red fox", "what came before the cut"
    assert {items[name]["seed"] for name in ("bomb.png", "wide.png", "large.png", "nan.png", "good.png")} == {5}
    assert "cfg" not in items["nan.png"]


def test_what_cannot_be_meant(cli: Program) -> None:
    complaint(cli("list", "--query", "sead:5"), 2, "sead", "seed")
    complaint(cli("list", "--query", "after:soon"), 2, "after:soon", "2026-11-01")
    complaint(cli("list", "--query", "-kind:video"), 2, "left out")
    complaint(cli("list", "--query", "seed:x"), 2, "seed:x", "number")
