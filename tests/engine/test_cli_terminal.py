"""What a person sees: the bar on a terminal, the screen that it leaves, and that file names do nothing to either."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests.conftest import MakeGenerator
from tests.engine.commands import ALONE, heavy_png, log_lines
from tests.rig.program import Program
from tests.rig.proxy import EngineProxy

HOSTILE = b"\x1b[31m\x1b]0;owned\x07red\nline\x9b2J.png"
EMPTY = b"\x1b[2Jempty\r.png"


def on_terminal(cli: Program, *args: str, columns: int = 120) -> tuple[int, str]:
    """Run one command with a pseudo-terminal for stdout and stderr; its code and all that was written there."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(cli.argv(args), cwd=cli.folder, env={**cli.environment(ALONE), "TERM": "xterm"},
                               stdin=subprocess.DEVNULL, stdout=follower, stderr=follower)  # fmt: skip
    os.close(follower)
    said = bytearray()
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while data := os.read(leader, 65536):
            said += data
    os.close(leader)
    return process.wait(), said.decode()


def screen(said: str) -> list[str]:
    """The lines that stay: a carriage return writes over what was there."""
    lines = []
    for line in said.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_the_bar_and_the_screen_it_leaves(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"2026-01-31/ComfyUI_{n:05}_.png": heavy_png(400_000, n) for n in range(8)}, age=60)
    made.put({HOSTILE: heavy_png(400_000, 99), EMPTY: b""}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.rate = 2_000_000
        code, said = on_terminal(Program(cli.folder, proxy.host), "sync", "--source", f"a={made.name}:/output")
    assert code == 0
    assert re.search(
        r"sync: +\d+%\|.*\| [\d.]+M/3\.60M \[\d\d:\d\d<\d\d:\d\d, [\d.]+[kM]B/s, \d+/9 files a 2026-01-31/Comfy", said
    )
    assert "\x1b[31m" not in said
    assert not re.search(r"\x1b\]|\x07|\x9b|\x1b\[2J", said)
    assert not [c for c in said if not c.isprintable() and c not in "\r\n\x1b"]
    assert set(re.findall(r"\x1b\[[^A-Za-z]*[A-Za-z]", said)) <= {"\x1b[A"}, "only what tqdm itself moves the cursor by"
    left = [line for line in screen(said) if line]
    assert [line[:16] for line in left if "synced" in line or "%" in line[:12]] == [left[0][:16], left[1][:16]]
    assert re.match(r"\d\d:\d\d:\d\d info    (\[\w+\] )?a: synced: 9 stored", left[0])
    assert re.match(r"sync: 100%\|.*\| 3\.60M/3\.60M \[\d\d:\d\d<00:00, [\d.]+[kM]B/s, 9/9 files\]$", left[1])
    assert left[2].split()[:4] == ["source", "files", "unchanged", "stored"]
    assert left[3].split()[:4] == ["a", "10", "0", "9"]
    assert left[4] == "a: waiting: %1B[2Jempty%0D.png: empty"
    assert len(left) == 5


def test_a_narrow_terminal_still_has_a_bar(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"{'long' * 30}{n}.png": heavy_png(400_000, n) for n in range(4)}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.rate = 2_000_000
        _, said = on_terminal(Program(cli.folder, proxy.host), "sync", "--source", f"a={made.name}:/output", columns=80)
    bars = [part for part in re.split(r"[\r\n]", said) if part.startswith("sync: ")]
    assert bars
    assert all(len(bar) <= 80 for bar in bars), max(bars, key=len)
    assert re.search(r"sync: +\d+% [\d.]+M/1\.60M \[[\d:?]+, [\d.]+[kM]B/s, \d/4 a …[long]+\d\.png\]", said), bars
    assert re.search(r"100%\|█+\| 1\.60M/1\.60M .* 4/4 files\]", said), "where no name needs the place there is a bar"


def test_tables_fit_a_terminal_and_pipes_get_everything(cli: Program, generator: MakeGenerator) -> None:
    root = "/workspace/stable-diffusion-webui-forge/outputs"
    made = generator(root=root)
    made.put({"2026-01-31/ComfyUI_00001_.png": heavy_png(100)}, age=3 * 86400)
    source = ["--source", f"{'forge' * 6}={made.name}:{root}"]
    for args in (["sources"], ["sync", "--dry-run"], ["sync"], ["purge", "--dry-run"]):
        code, said = on_terminal(cli, *args, *source, columns=80)
        assert code == 0
        (head,) = [n for n, line in enumerate(screen(said)) if line.startswith("source ")]
        assert [line for line in screen(said)[head : head + 2] if len(line) > 80] == [], said
    for args in (["status"], ["list"]):
        assert max(map(len, screen(on_terminal(cli, *args, columns=80)[1]))) <= max(80, len(f"library {cli.library}"))
    assert "…" in on_terminal(cli, "list", columns=80)[1]
    piped = cli("sources", *source).ok().out
    assert all(word in piped for word in (root, "forge" * 6, made.name, made.id[:12], "generation"))


def test_serve_with_json_speaks_json_on_a_terminal_too(cli: Program) -> None:
    cli.library.write_text("a file where the library should be")
    code, said = on_terminal(cli, "serve", "--json")
    assert code == 5
    assert [line["level"] for line in log_lines(said.replace("\r\n", "\n"))] == ["error"]


def test_a_hostile_name_in_every_output(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({HOSTILE: heavy_png(100), EMPTY: b"", b"\x1b[5mno.xyz": b"x"}, age=60)
    source = ["--source", f"a={made.name}:/output"]
    _, said = on_terminal(cli, "sync", "--dry-run", "--log-level", "debug", *source)
    _, listed = on_terminal(cli, "sync", *source)
    for args in (["list"], ["list", "--json"], ["purge", "--dry-run", *source], ["sync", "--json", *source]):
        _, more = on_terminal(cli, *args)
        listed += more
    for c in said + listed:
        assert c.isprintable() or c in "\r\n\x1b"
    assert set(re.findall(r"\x1b.?.?", said + listed)) <= {"\x1b[A"}
    for form in ("text", "json"):
        done = cli("sync", "--json", "--log-format", form, "--log-level", "debug", *source)
        assert all(line.isprintable() for line in done.err.splitlines())
        assert done.err.count("\n") == len(done.err.splitlines())
    assert log_lines(done.err)


def test_a_transfer_without_a_terminal_logs_where_it_is(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put({f"f{n}.png": heavy_png(1_500_000, n) for n in range(4)}, age=60)
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.rate = 900_000
        done = Program(cli.folder, proxy.host)("sync", "--source", f"a={made.name}:/output").ok()
    lines = [line for line in log_lines(done.err) if re.match(r"sync: \d+ % of 6\.0 MB, \d/4 files, ", line["message"])]
    assert lines
    assert lines[0]["source"] == "a"
    assert re.fullmatch(r"f\d\.png", lines[0]["file"])
    assert "left" in lines[0]["message"]
    assert "\r" not in done.err
