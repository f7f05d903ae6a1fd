"""What bad input gets: one line that names the thing, what is wrong and what to do; the right code; no traceback."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, complaint, eventually, heavy_png, leftovers, log_lines, mounted, read_only
from tests.rig.program import Program


@contextmanager
def false_engine(path: Path, answer: bytes) -> Iterator[str]:
    """A unix socket that takes connections and answers them with `answer`, or never where that is empty."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(16)
    kept = []

    def work() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            kept.append(link)
            if answer:
                link.recv(65536)
                link.sendall(answer)
                link.close()

    threading.Thread(target=work, daemon=True).start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for link in kept:
            link.close()


# -- the engine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["sync", "sources"])
def test_no_socket(command: str, tmp_path: Path) -> None:
    cli = Program(tmp_path, f"unix://{tmp_path}/nobody.sock")
    line = complaint(cli(command), 4, f"unix://{tmp_path}/nobody.sock: no such file or directory", "start Docker")
    assert "http://" not in line
    assert "[" not in line


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        complaint(Program(tmp_path, host)("sync"), 4, f"{host}: connection refused", "--host")


def test_no_such_host(tmp_path: Path) -> None:
    complaint(Program(tmp_path, "tcp://nobody.invalid:2375")("sync"), 4, "tcp://nobody.invalid:2375")


def test_a_socket_that_never_answers(tmp_path: Path) -> None:
    with false_engine(tmp_path / "e.sock", b"") as host:
        done = Program(tmp_path, host)("sync", env={"MEDIA_SYNC_DOCKER__TIMEOUT": "1s"})
    complaint(done, 4, host, "did not answer in time")


_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
GARBAGE = {
    "noise": b"\x15\x03\x01\x00\x02\x02\x16 not http \r\n\r\n",
    "another server": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "not an object": _JSON + b"Content-Length: 2\r\n\r\n[]",
    "torn": _JSON + b"Content-Length: 900\r\n\r\n{",
    "error page": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_for_an_engine(answer: bytes, tmp_path: Path) -> None:
    with false_engine(tmp_path / "e.sock", answer) as host:
        complaint(Program(tmp_path, host)("sources"), 4, host)


def test_a_proxy_without_the_right(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with false_engine(tmp_path / "e.sock", answer) as host:
        complaint(Program(tmp_path, host)("sync"), 4, host, "forbidden", "proxy")


def test_an_address_that_is_none(cli: Program) -> None:
    done = cli("sync", "--host", "/var/run/docker.sock", bare=True)
    complaint(done, 2, "/var/run/docker.sock", "unix:///var/run/docker.sock")


# -- names ----------------------------------------------------------------------------------------------------------


def test_an_unknown_container(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    near = made.name[:-3] + "x" + made.name[-2:]
    line = complaint(cli("sync", "--source", f"a={near}"), 2, f"no such container: {near}", made.name)
    assert "did you mean" in line
    assert cli("sources", "--source", f"a={near}").code == 2


def test_an_unknown_source(cli: Program, generator: MakeGenerator) -> None:
    given = ["--source", f"lighthouse={generator().name}:/output"]
    complaint(cli("sync", "lighthuose", *given), 2, "lighthuose", "did you mean lighthouse?")
    complaint(cli("purge", "nothing-like-it", *given), 2, "nothing-like-it", "there are lighthouse")
    cli("sync", *given).ok()
    complaint(cli("list", "lighthuose"), 2, "lighthuose", "did you mean lighthouse?")


def test_a_root_that_does_not_exist(cli: Program, generator: MakeGenerator) -> None:
    name = generator().name
    complaint(cli("sync", "--source", f"a={name}:/nope"), 2, name, "/nope", "does not exist")


def test_nothing_to_work_on(cli: Program) -> None:
    complaint(cli("sync", env=ALONE), 2, "no source", "media-sync.enable=true")


def test_a_bad_label_stops_only_its_own_source(cli: Program, generator: MakeGenerator) -> None:
    good = generator(labels={"media-sync.enable": "true", "media-sync.name": "good", "media-sync.path": "/output"})
    bad = generator(labels={"media-sync.enable": "true", "media-sync.name": "bad", "media-sync.older-than": "soon"})
    good.put({"a.png": heavy_png(10)}, age=60)
    complaint(cli("sync", "bad"), 2, bad.name, "media-sync.older-than", '"soon"', "24h")
    done = cli("sync", "good", "bad")
    complaint(done, 3, bad.name, "media-sync.older-than")
    assert (cli.library / "good" / "a.png").exists()
    row = next(line for line in done.out.splitlines() if line.startswith("bad "))
    assert set(row.split()[1:]) == {"-"}


# -- settings and command line --------------------------------------------------------------------------------------


def test_three_mistakes_in_yaml(cli: Program) -> None:
    (cli.folder / "bad.yaml").write_text("purge:\n  older_than: soon\n  enabld: true\nsync:\n  parallel: many\n")
    done = cli("sync", "--config", "bad.yaml")
    assert done.code == 2
    found = [line["message"] for line in log_lines(done.err)]
    assert len(found) == 3
    for words in (("purge.older_than", '"soon"', "line 2"), ("purge.enabld", "enabled", "line 3"),
                  ("sync.parallel", '"many"', "line 5")):  # fmt: skip
        assert any(all(word in line for word in words) for line in found), (words, found)
    assert not cli.state.exists()
    assert cli("config", "validate", "--config", "bad.yaml").code == 2


def test_a_settings_file_that_is_not_there(cli: Program) -> None:
    complaint(cli("sync", "--config", "nope.yaml"), 2, "nope.yaml", "no such file")


def test_a_variable_that_is_no_setting(cli: Program) -> None:
    done = cli("sync", env={"MEDIA_SYNC_PURGE__OLDER_THEN": "2d"})
    complaint(done, 2, "MEDIA_SYNC_PURGE__OLDER_THEN", "MEDIA_SYNC_PURGE__OLDER_THAN")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["snyc"], ["snyc", "sync"]),
        (["sync", "--dry-rum"], ["--dry-rum", "--dry-run", "media-sync sync --help"]),
        (["config", "shwo"], ["shwo", "show"]),
        (["--sync"], ["--sync"]),
        (["list", "--limit", "0"], ["--limit", '"0"', "whole number from 1 to 10000"]),
        (["run", "--keep-newest", "x"], ["purge.keep_newest", '"x"', "whole number"]),
        (["list", "--cursor", "x"], ["--cursor", '"x"', "next"]),
        (["sync", "--source", "x"], ["--source", '"x"', "NAME=CONTAINER"]),
        (["sync", "--log-level", "loud"], ["log.level", '"loud"', "debug"]),
        (["sync", "--log-format", "xml"], ["log.format", '"xml"', "json"]),
        (["purge", "--older-than", "yesterday"], ["purge.older_than", '"yesterday"', "24h"]),
        (["purge", "--max-delete", "some"], ["purge.max_delete", '"some"', "50%"]),
        (["serve", "--every", "often"], ["schedule.every", '"often"', "24h"]),
        (["serve", "--every", "0s"], ["schedule.every", '"0s"', "shorter than 1s"]),
        (["sync", "--host", "foo"], ["host", '"foo"', "unix:///var/run/docker.sock"]),
        (["sync", "--host", "ssh://me:hunter2@box"], ["host", "ssh://me:***@box", "over ssh yet", "forward"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_line_that_cannot_be_meant(args: list[str], words: list[str], tmp_path: Path) -> None:
    cli = Program(tmp_path, "unix:///nobody")
    complaint(cli(*args, bare=True), 2, *words)
    assert not cli.state.exists()


# -- folders --------------------------------------------------------------------------------------------------------


def test_a_library_that_cannot_be_written(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"a.png": heavy_png(10)}, age=60)
    with read_only(cli.library):
        done = cli("sync", "--source", f"a={made.name}:/output")
        complaint(done, 5, f"library {cli.library} cannot be written", "read-only", "mount it read-write")
        assert cli("doctor", "--source", f"a={made.name}:/output").code == 5


def test_a_state_folder_that_cannot_be_written(cli: Program, generator: MakeGenerator) -> None:
    name = generator().name
    with read_only(cli.state):
        line = complaint(cli("sync", "--source", f"a={name}:/output"), 5, f"state {cli.state} cannot be")
        assert "Errno" not in line


def test_a_library_in_the_way_of_a_file(cli: Program, generator: MakeGenerator) -> None:
    cli.library.write_text("a file")
    complaint(cli("sync", "--source", f"a={generator().name}:/output"), 5, f"library {cli.library}")


def test_a_damaged_manifest(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"a.png": heavy_png(10)}, age=60)
    source = ["--source", f"a={made.name}:/output"]
    cli("sync", *source).ok()
    (manifest,) = cli.state.glob("*.sqlite3")
    with sqlite3.connect(manifest) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:100] + os.urandom(len(whole) - 100))
    for command in ("sync", "status"):
        complaint(cli(command, *source), 5, str(manifest), "damaged")
    assert made.files() == {b"a.png"}


def test_the_state_of_another_library(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({"a.png": heavy_png(10)}, age=60)
    source = ["--source", f"a={made.name}:/output"]
    cli("sync", *source).ok()
    other = Program(tmp_path / "other", cli.host)
    other.folder.mkdir()
    other("sync", *source).ok()
    swapped = cli("sync", *source, "--library", str(cli.library), "--state", str(other.state), "--host", cli.host,
                  bare=True)  # fmt: skip
    complaint(swapped, 5, f"library {cli.library}", "another state")
    (tmp_path / "empty").mkdir()
    fresh = cli("purge", *source, "--library", str(tmp_path / "empty"), "--state", str(cli.state), "--host", cli.host,
                bare=True)  # fmt: skip
    complaint(fresh, 5, "marker")


def test_a_full_library(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    files = {f"f{n}.png": heavy_png(900_000, n) for n in range(8)}
    made.put(files, age=60)
    source = ["--source", f"a={made.name}:/output"]
    with mounted(cli.library, "-t", "tmpfs", "-o", "size=4m", "none"):
        complaint(cli("sync", *source), 3, str(cli.library), "is full", "nothing was deleted")
        assert leftovers(cli.library) == []
        kept = {path.name: path.read_bytes() for path in (cli.library / "a").glob("*")}
        assert all(files[name] == data for name, data in kept.items())
        assert made.files() == {name.encode() for name in files}
        subprocess.run(["mount", "-o", "remount,size=30m", str(cli.library)], check=True)
        report = cli("sync", *source, "--json").ok().json["sources"][0]
        assert report["stored"] + report["unchanged"] == len(files)
        assert {path.name: path.read_bytes() for path in (cli.library / "a").glob("*")} == files
        assert leftovers(cli.library) == []


@pytest.mark.parametrize("shared", ["library", "state"])
def test_a_second_process(shared: str, cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    given = ["--source", f"a={made.name}:/output"]
    process = cli.start("serve", "--every", "1s", *given)
    try:
        eventually(lambda: cli("healthcheck").code == 0, "serve is up")
        other = {"library": str(tmp_path / "l2"), "state": str(tmp_path / "s2"), shared: str(getattr(cli, shared))}
        folders = ["--library", other["library"], "--state", other["state"], "--host", cli.host]
        for command in ("sync", "serve"):
            complaint(cli(command, *given, *folders, bare=True), 5, f"{shared} {getattr(cli, shared)}", "in use")
        assert cli("status").code == 0
        assert cli("list").code == 0
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


# -- what the agent may not read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_files_that_the_agent_may_not_read(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    made = generator(image=request.getfixturevalue(image), user="1000:1000", owner=(1000, 1000), tmpfs=["/output"],
                     root="/output/mine")  # fmt: skip
    for name, owner, mode in (("a.png", "1000", "644"), ("b.png", "0", "600"), ("c.png", "0", "600")):
        made.write(name, heavy_png(1000, ord(name[0])), age=60)
        made.exec("chown", f"{owner}:{owner}", made.path(name))
        made.exec("chmod", mode, made.path(name))
    done = cli("sync", "--source", f"a={made.name}:/output/mine", "--json")
    assert done.code == 3, done.err
    report = done.json["sources"][0]
    assert (report["stored"], report["failed"]) == (1, 2)
    assert {p["path"] for p in report["problems"] if "permission" in p["reason"].lower()} == {"b.png", "c.png"}
    told = {line["file"]: line["message"] for line in log_lines(done.err) if line["level"] == "warning"}
    assert set(told) == {"b.png", "c.png"}
    assert sorted(path.name for path in (cli.library / "a").iterdir()) == ["a.png"]
    assert json.loads(done.out)["ok"] is False


def test_a_folder_that_the_agent_may_not_list(cli: Program, generator: MakeGenerator) -> None:
    made = generator(user="1000:1000", owner=(1000, 1000), tmpfs=["/output"], root="/output/mine")
    made.write("a.png", heavy_png(100), age=60)
    made.write("closed/b.png", heavy_png(100), age=60)
    made.exec("chmod", "700", made.path("closed"))
    done = cli("sync", "--source", f"a={made.name}:/output/mine", "--json")
    assert done.code == 3, done.err
    assert any(p["path"] == "closed" for p in done.json["sources"][0]["problems"])
    assert (cli.library / "a" / "a.png").exists()


def test_what_the_agent_may_not_read_and_the_engine_may(cli: Program, generator: MakeGenerator) -> None:
    made = generator(user="1000:1000", owner=(1000, 1000))
    mine, roots = heavy_png(100, 1), heavy_png(100, 2)
    made.put([Entry(b"a.png", mine, mtime_ns=10**18, uid=1000, gid=1000),
              Entry(b"b.png", roots, mtime_ns=10**18, mode=0o600)])  # fmt: skip
    done = cli("sync", "--source", f"a={made.name}:/output", "--json")
    report = done.json["sources"][0]
    listed = {p["path"] for p in report["problems"]}
    assert (cli.library / "a" / "a.png").read_bytes() == mine
    assert (cli.library / "a" / "b.png").exists() is (done.code == 0)
    assert listed == (set() if done.code == 0 else {"b.png"})
