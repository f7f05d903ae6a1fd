"""Names that generators, users and attackers come up with; nothing but whole files, below the source's folder."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, pngs, reasons, same_mtimes
from tests.rig.program import Program

STAMP = 1_700_000_000_123_456_789
AWKWARD = (
    b"a b  c .png",
    b"-rf.png",
    b"--help/-n.png",
    b"two\nlines\n.png",
    b"\ttab\x01\x1b[31m.png",
    b"'single' \"double\" `tick` $HOME $(id).png",
    b"back\\slash\\x0a%41.png",
    b"*?[a-z]{1,2}.png",
    b"caf\xe9 \xff\xfe.png",
    "🦊 日本 ñ.png".encode(),
    b"x" * 251 + b".png",
    b"\xe9" * 251 + b".png",
    b"d/" + "ü".encode() * 120 + b"/" + b"y" * 251 + b".png",
    b"..png",
    b"a/..b/...png",
    b"%date:yyyy-MM-dd%/ComfyUI_00001_.png",
    b" /  /leading and trailing .png",
    b"a;b|c&d>e<f.png",
)
VISIBLE = tuple(n for n in AWKWARD if not any(part.startswith(b".") for part in n.split(b"/")))


@pytest.mark.parametrize("way", ["busybox_image", "python_image", "stopped"])
def test_awkward_names_arrive_byte_for_byte(
    way: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(way)) if way != "stopped" else generator()
    pull = Pull(cli, made)
    files = pngs(*AWKWARD)
    made.put(files, mtime_ns=STAMP)
    if way == "stopped":
        made.stop()
    report = pull.sync()
    assert report["stored"] == len(VISIBLE)
    assert set(reasons(report).values()) <= {"hidden"}
    assert pull.library() == {name: files[name] for name in VISIBLE}
    if way != "stopped":
        same_mtimes(pull, set(VISIBLE))
    assert "\x1b" not in pull.run("list", "--limit", "100").ok().out
    assert pull.sync()["bytes_received"] == 0


def test_a_second_content_under_the_longest_name_fits(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    name = b"x" * 251 + b".png"
    pull.made.put(pngs(name), age=90)
    pull.sync()
    pull.made.put(pngs(name, seed=1), age=60)
    pull.sync()
    kept = pull.library()
    assert sorted(kept.values()) == sorted([pngs(name)[name], pngs(name, seed=1)[name]])
    (second,) = set(kept) - {name}
    assert len(second) == 255
    assert second.startswith(b"x" * 242 + b"~")


def outside(cli: Program) -> set[str]:
    """Everything that exists around the source's folder: below the test's folder, except below `library/gen`."""
    return {
        os.path.relpath(os.path.join(folder, name), cli.folder)
        for folder, folders, names in os.walk(cli.folder)
        for name in [*folders, *names]
        if not folder.startswith(str(cli.library / "gen"))
    }


@pytest.mark.parametrize("way", ["busybox_image", "python_image", "stopped"])
def test_links_in_the_root_lead_nowhere(
    way: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(way)) if way != "stopped" else generator()
    made.exec("mkdir", "/secret")
    made.exec("sh", "-c", 'printf "%s" data > /secret/s.png; touch -d "2026-01-01 00:00:00" /secret/s.png')
    links = {b"etc": b"/etc", b"up": b"..", b"secret": b"/secret", b"s.png": b"/secret/s.png", b"loop": b"loop",
             b"broken.png": b"nowhere", b"sub/up.png": b"../a.png"}  # fmt: skip
    made.put([Entry(b"a.png", pngs("a.png")[b"a.png"], mtime_ns=STAMP)])
    made.exec("mkdir", "/output/sub")
    for name, to in links.items():
        made.exec("ln", "-s", to.decode(), made.path(name))
    if way == "stopped":
        made.stop()
    pull = Pull(cli, made)
    report = pull.sync()
    assert (report["scanned"], report["stored"], report["skipped"]) == (8, 1, 7)
    assert reasons(report) == dict.fromkeys((name.decode() for name in links), "a link")
    assert pull.library() == pngs("a.png")


def test_a_folder_that_became_a_link_to_elsewhere_in_the_library(cli: Program, generator: MakeGenerator) -> None:
    """Somebody, or an older source, left a link where a folder of the source belongs."""
    pull = Pull(cli, generator())
    pull.made.put(pngs("a.png"), age=60)
    pull.sync()
    victim = cli.folder / "victim"
    victim.mkdir()
    (cli.library / "gen" / "sub").symlink_to(victim)
    pull.made.put(pngs("sub/b.png", "c.png", seed=1), age=60)
    before = outside(cli)
    report = pull.sync(code=3)
    assert (report["stored"], report["failed"]) == (1, 1)
    assert "sub/b.png" in reasons(report)
    assert list(victim.iterdir()) == []
    assert outside(cli) == before


LIAR = """
    #!/bin/sh
    exec {python} "$@" | {python} -c 'import os
    while data := os.read(0, 65536):
        data = data.replace(b"AAAescape.png", b"../escape.png").replace(b"BBB/escape.png", b"/../escape.png")
        os.write(1, data.replace(b"CCCC/x.png", b"x/./../y.p"))'
"""


def test_an_agent_that_lies_about_names_writes_nothing_outside(
    cli: Program, generator: MakeGenerator, python_image: str
) -> None:
    """The container's interpreter passes our agent's words on with other names in them, as long as the true ones."""
    made = generator(image=python_image)
    made.put(pngs("AAAescape.png", "BBB/escape.png", "CCCC/x.png", "honest.png"), age=60)
    real = made.exec("sh", "-c", "command -v python3").out.decode().strip()
    script = textwrap.dedent(LIAR.format(python="/real-python")).strip()
    swap = f"cp -L {real} /real-python && cat > /liar && chmod 755 /liar && rm {real} && cp /liar {real}"
    made.exec("sh", "-c", swap, stdin=script.encode())
    pull = Pull(cli, made)
    pull.run("sources").ok()
    before = outside(cli)
    done = pull.run("sync", "--json")
    made_outside = {path for path in outside(cli) - before if not path.startswith(("state", "library"))}
    assert made_outside == set()
    assert {p.name for p in Path(cli.library).iterdir()} <= {".media-sync", "gen"}
    (report,) = done.json["sources"]
    kept = pull.library()
    assert done.code == 3, "what a lie hid is never a green whole"
    assert report["failed"] > 0, report
    assert set(kept) <= {b"honest.png"}
    assert kept.items() <= pngs("AAAescape.png", "BBB/escape.png", "CCCC/x.png", "honest.png").items()
