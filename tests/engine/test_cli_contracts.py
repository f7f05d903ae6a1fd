"""The contracts of DESIGN.md that scripts rely on: keys, streams, layers of settings, exit codes."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from sidecar import __version__
from sidecar.cli import app
from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, heavy_png, log_lines
from tests.rig.program import Program

DAY = 86400
SYNC = {"name", "container", "root", "transport", "road", "scanned", "unchanged", "stored", "duplicates", "unsettled",
        "skipped", "failed", "bytes_stored", "bytes_received", "seconds", "problems"}  # fmt: skip
PURGE = {"name", "candidates", "purged", "kept", "bytes_freed", "failed", "refused", "files"}
ITEM = {"hash", "source", "path", "library_path", "size", "mtime_ns", "state", "kind", "incomplete", "metadata"}
SOURCE = {"name", "container", "generation", "roots", "state", "scanner", "kind", "transport", "purge"}
COMMANDS = ("sources", "sync", "purge", "run", "serve", "status", "list", "doctor", "healthcheck", "config show",
            "config validate")  # fmt: skip


def test_results_have_the_promised_keys(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(3)}, age=3 * DAY)
    made.put({"notes.xyz": b"x"})
    source = ["--source", f"a={made.name}:/output"]

    done = cli("sync", "--json", *source).ok()
    assert {"job", "ok", "sources"} <= done.json.keys()
    (report,) = done.json["sources"]
    assert report.keys() >= SYNC
    assert set(report["road"]) == {"folder", "file", "stream"}
    assert report["problems"] == [{"path": "notes.xyz", "reason": "not a media type"}]
    assert {line["job"] for line in log_lines(done.err)} == {done.json["job"]}
    assert {line["source"] for line in log_lines(done.err)} == {"a"}

    (found,) = cli("sources", "--json", *source).ok().json["sources"]
    assert found.keys() >= SOURCE
    assert (found["generation"], found["scanner"], found["state"]) == (made.id, "sh", "running")
    assert found["roots"] == [{"path": "/output", "mount": "layer"}]

    dry = cli("purge", "--json", "--dry-run", *source).ok().json["sources"][0]
    assert dry.keys() >= PURGE
    assert len(made.files()) == 4
    done = cli("purge", "--json", *source).ok()
    (report,) = done.json["sources"]
    assert report.keys() >= PURGE
    assert (report["candidates"], report["purged"], report["failed"], report["refused"]) == (2, 2, 0, None)
    assert {"path", "outcome", "reason"} <= report["files"][0].keys()
    assert sum(report["kept"].values()) == 2

    items = cli("list", "--json").ok().json
    assert items.keys() == {"items", "next"}
    assert all(item.keys() >= ITEM for item in items["items"])
    assert sorted(item["state"] for item in items["items"]) == ["purged", "purged", "stored"]

    status = cli("status", "--json").ok().json
    assert {"library", "sources", "jobs"} <= status.keys()
    assert {job["action"] for job in status["jobs"]} >= {"purge", "sync"}
    assert status["sources"][0]["purged"] == 2


def test_pages_of_a_list(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x{n}.png": heavy_png(100, n) for n in range(5)}, age=60)
    cli("sync", "--source", f"a={made.name}:/output").ok()
    seen: list[str] = []
    cursor: list[str] = []
    pages = []
    while True:
        page = cli("list", "--json", "--limit", "2", *cursor).ok().json
        seen += [item["path"] for item in page["items"]]
        pages.append(len(page["items"]))
        if page["next"] is None:
            break
        cursor = ["--cursor", page["next"]]
    assert pages == [2, 2, 1]
    assert sorted(seen) == sorted(f"x{n}.png" for n in range(5))
    text = cli("list", "--limit", "2").ok().out.splitlines()
    assert text[0].split() == ["source", "state", "size", "modified", "in", "the", "library"]
    assert len(text) == 4
    assert text[-1].startswith("more: --cursor ")


def test_several_sources_and_a_choice_of_them(cli: Program, generator: MakeGenerator) -> None:
    one, two = generator(), generator()
    one.put({"a.png": heavy_png(10, 1)}, age=60)
    two.put({"b.png": heavy_png(10, 2)}, age=60)
    both = ["--source", f"One={one.name}:/output", "--source", f"two={two.name}:/output"]
    assert [r["name"] for r in cli("sync", "two", "--json", *both).ok().json["sources"]] == ["two"]
    assert [r["name"] for r in cli("sync", "--json", *both).ok().json["sources"]] == ["one", "two"]
    assert (cli.library / "one" / "a.png").exists()
    listed = cli("sources", *both).ok().out.splitlines()
    assert listed[0].split() == [
        "source",
        "kind",
        "container",
        "generation",
        "state",
        "root",
        "mount",
        "scanner",
        "purge",
    ]
    assert len({line.index("running") for line in listed[1:3]}) == 1, "columns stand under each other"


def test_candidates_that_were_left_out_have_a_reason(cli: Program, generator: MakeGenerator) -> None:
    silent = generator(env={"BASE_DIRECTORY": "/basedir"}, root="/basedir/output",
                       command=["/bin/sh", "-c", "sleep 600", "python3", "/comfyui/main.py"])  # fmt: skip
    off = generator(labels={"media-sync.enable": "false"})
    left = {out["container"]: out for out in cli("sources", "--json", env=ALONE).json["left_out"]}
    assert left[off.name]["reason"] == "label media-sync.enable=false"
    labelled = {out["container"]: out for out in cli("sources", "--json").json["left_out"]}
    assert "media-sync.enable=true" in labelled[silent.name]["reason"] + labelled[silent.name]["hint"]
    text = cli("sources").out
    assert f"  {off.name}: label media-sync.enable=false — " in text


def test_run_purges_only_where_that_is_enabled(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(3)}, age=3 * DAY)
    source = ["--source", f"a={made.name}:/output"]
    report = cli("run", "--json", *source).ok().json
    assert (report["sync"][0]["stored"], report["purge"]) == (3, [])
    assert len(made.files()) == 3
    report = cli("run", "--json", *source, env={"MEDIA_SYNC_PURGE__ENABLED": "true"}).ok().json
    assert (report["sync"][0]["unchanged"], report["purge"][0]["purged"]) == (3, 2)
    assert made.files() == {b"x_00002_.png"}


def test_a_dry_run_of_both_parts_changes_nothing(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(3)}, age=3 * DAY)
    source = ["--source", f"a={made.name}:/output"]
    enabled = {"MEDIA_SYNC_PURGE__ENABLED": "true"}
    report = cli("run", "--dry-run", "--json", *source, env=enabled).ok().json
    assert report["dry_run"] is True
    assert (report["sync"][0]["stored"], report["purge"][0]["candidates"]) == (0, 0)
    assert not cli.library.exists()
    assert not cli.state.exists()
    cli("sync", *source).ok()
    report = cli("run", "--dry-run", "--keep-newest", "0", "--json", *source, env=enabled).ok().json
    assert (report["purge"][0]["candidates"], report["purge"][0]["purged"]) == (3, 0)
    assert "would go" in cli("run", "--dry-run", *source, env=enabled).ok().out
    assert len(made.files()) == 3
    refused = cli("run", "--max-delete", "1", "--json", *source, env=enabled)
    assert (refused.code, refused.json["purge"][0]["purged"]) == (5, 0)
    assert len(made.files()) == 3
    assert [job["action"] for job in cli("status", "--json").ok().json["jobs"]] == ["run", "sync"]


def test_a_lost_state_and_a_library_that_moved(cli: Program, generator: MakeGenerator) -> None:
    made = generator(labels={"media-sync.enable": "false"})
    made.put({"d/a.png": heavy_png(100, 1), "b.png": heavy_png(100, 2)}, age=60)
    source = ["--source", f"a={made.name}:/output"]
    refused = cli("sync", *source)
    assert refused.code == 2
    assert "media-sync.enable=false" in refused.err
    made = generator()
    made.put({"d/a.png": heavy_png(100, 1), "b.png": heavy_png(100, 2)}, age=60)
    source = ["--source", f"a={made.name}:/output"]
    cli("sync", *source).ok()
    files = {path: path.stat().st_ino for path in cli.library.rglob("*.png")}
    shutil.rmtree(cli.state)
    report = cli("sync", "--json", *source).ok().json["sources"][0]
    assert report["bytes_received"] > 0
    assert {path: path.stat().st_ino for path in cli.library.rglob("*.png")} == files, (
        "identical ones are not stored twice"
    )
    cli.library.rename(cli.folder / "elsewhere")
    again = cli("sync", "--json", *source, "--library", "elsewhere", "--state", str(cli.state), "--host", cli.host,
                bare=True).ok().json["sources"][0]  # fmt: skip
    assert (again["unchanged"], again["bytes_received"]) == (2, 0)


# -- settings -------------------------------------------------------------------------------------------------------


def test_layers_of_settings_and_their_origins(tmp_path: object, cli: Program) -> None:
    (cli.folder / "media-sync.yaml").write_text(
        "purge:\n  older_than: 3d\n  keep_newest: 7\nsync:\n  settle: 4s\nlog: {level: warning}\n"
    )
    (cli.folder / "secret").write_text("tcp://me:hunter2@engine:2376\n")
    env = {"MEDIA_SYNC_PURGE__OLDER_THAN": "2d", "MEDIA_SYNC_SYNC__SETTLE": "5s", "MEDIA_SYNC_HOST_FILE": "secret"}
    shown = cli("config", "show", "--json", "--log-level", "error", bare=True, env=env).ok().json
    assert shown["purge.older_than"] == {"value": "2d", "origin": "MEDIA_SYNC_PURGE__OLDER_THAN"}
    assert shown["purge.keep_newest"]["value"] == "7"
    assert re.search(r"media-sync\.yaml.*line 3", shown["purge.keep_newest"]["origin"])
    assert shown["sync.settle"] == {"value": "5s", "origin": "MEDIA_SYNC_SYNC__SETTLE"}
    assert shown["log.level"] == {"value": "error", "origin": "command line"}
    assert shown["purge.enabled"] == {"value": "false", "origin": "default"}
    assert "hunter2" not in json.dumps(shown)
    assert shown["host"]["value"] == "tcp://me:***@engine:2376"
    text = cli("config", "show", bare=True, env=env).ok().out
    assert "hunter2" not in text
    assert re.search(r"^purge\.older_than +2d +MEDIA_SYNC_PURGE__OLDER_THAN$", text, re.MULTILINE)
    assert "media-sync.yaml" in cli("config", "validate", bare=True).ok().out


def test_a_setting_of_each_layer_reaches_the_work(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({f"x_{n:05}_.png": heavy_png(100, n) for n in range(4)}, age=3 * DAY)
    source = ["--source", f"a={made.name}:/output"]
    cli("sync", *source).ok()

    def candidates(*args: str, **env: str) -> int:
        (report,) = cli("purge", "--dry-run", "--json", *source, *args, env=env).ok().json["sources"]
        return int(report["candidates"])

    (cli.folder / "media-sync.yaml").write_text("purge:\n  keep_newest: 2\n  older_than: 9d\n")
    assert candidates() == 0
    assert candidates(MEDIA_SYNC_PURGE__OLDER_THAN="1d") == 2
    assert candidates("--older-than", "1d", MEDIA_SYNC_PURGE__OLDER_THAN="8d") == 2
    assert candidates("--older-than", "1d", "--keep-newest", "0") == 4


# -- the command line itself ----------------------------------------------------------------------------------------


def test_log_formats(tmp_path: object, cli: Program) -> None:
    nobody = ["--host", "unix:///nobody.sock", "--library", "l", "--state", "s"]
    auto = cli("sync", *nobody, bare=True)
    assert log_lines(auto.err)[0]["level"] == "error"
    assert log_lines(cli("sync", "--log-format", "json", *nobody, bare=True).err)
    text = cli("sync", "--log-format", "text", *nobody, bare=True)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d error   cannot reach Docker at unix:///nobody\.sock: [^\n]* — [^\n]*\n", text.err
    )
    assert (auto.out, text.out) == ("", "")


def test_version_and_help(cli: Program) -> None:
    assert cli("--version", bare=True).ok().out == f"media-sync {__version__}\n"
    assert cli(bare=True).code == 2
    top = cli("--help", bare=True).ok().out
    assert cli("-h", bare=True).ok().out == top
    assert "..." not in top.split("Commands:")[1], "a summary is cut"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.app([*command.split(), "--help"], prog_name="media-sync", standalone_mode=False) in (None, 0)
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: media-sync {command} ")
    assert "<" not in said, "no Python types"
    assert re.search(r"^  -h, --help +\w", said, re.MULTILINE)
    for option in ("--config", "--library", "--state", "--host", "--source", "--json", "--log-format", "--log-level"):
        assert re.search(rf"^  {option} .*\w", said, re.MULTILINE), option


# -- doctor ---------------------------------------------------------------------------------------------------------


def test_doctor_when_all_is_well(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"a.png": heavy_png(10)})
    source = ["--source", f"a={made.name}:/output"]
    done = cli("doctor", "--json", *source).ok().json
    assert done["ok"] is True
    checks = {check["name"]: check for check in done["checks"]}
    assert {"configuration", "library", "state", "manifest", "engine", "socket", "permissions", "source a"} <= set(
        checks
    )
    assert {check["verdict"] for check in done["checks"]} <= {"ok", "warn"}
    assert "API" in checks["engine"]["detail"]
    for word in (made.name, "running", "/output", "scanner sh", "can be purged", "clock skew"):
        assert word in checks["source a"]["detail"]
    assert not cli.library.exists(), "it changes nothing"
    assert not cli.state.exists()
    for line in cli("doctor", *source).ok().out.splitlines():
        assert line.startswith(("ok    ", "warn  ", "      ")), line


def test_doctor_on_what_is_wrong(cli: Program, generator: MakeGenerator, tmp_path: object) -> None:
    made = generator()
    both = ["--source", f"a={made.name}:/output", "--source", "b=nobody-is-called-so"]
    done = cli("doctor", "--json", *both)
    assert (done.code, done.json["ok"]) == (3, False)
    assert {c["name"] for c in done.json["checks"] if c["verdict"] == "fail"} == {"source b"}
    assert cli("doctor", both[2], both[3]).code == 2
    lost = cli("doctor", "--json", "--host", "unix:///nobody.sock", "--library", "l", "--state", "s", bare=True)
    assert lost.code == 4
    assert next(c["hint"] for c in lost.json["checks"] if c["verdict"] == "fail").startswith("start Docker")
    made.put({"a.png": heavy_png(10)}, age=60)
    cli("sync", *both[:2]).ok()
    (cli.library / ".media-sync" / "library.json").unlink()
    lost = cli("doctor", *both[:2])
    assert lost.code == 5
    assert "fail  manifest: library" in lost.out
