"""What the tests of commands share: files of some weight, the one line on stderr, and what may lie in a library."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from generators import media

from tests.rig.program import Program, Result

TWO_SECONDS = 2.0  # promised between SIGTERM and the end
ALONE = {"MEDIA_SYNC_DOCKER__LABELS": "false"}  # other labelled containers on this engine are none of our business


def heavy_png(size: int, seed: int = 0) -> bytes:
    """A whole PNG of about `size` bytes, most of them in an ancillary chunk."""
    whole: bytes = media.tiny_png(seed)
    ballast = b"paDd" + random.Random(seed).randbytes(size)
    chunk = struct.pack(">I", size) + ballast + struct.pack(">I", zlib.crc32(ballast))
    return whole[:-12] + chunk + whole[-12:]


def log_lines(err: str) -> list[dict[str, Any]]:
    """Everything on stderr, each line of it a JSON object without raw control characters."""
    for line in err.splitlines():
        assert line.isprintable(), line
    return [json.loads(line) for line in err.splitlines()]


def complaint(done: Result, code: int, *words: str) -> str:
    """The one line that a command which ended with `code` has on stderr; it holds all `words` and says what to do."""
    assert done.code == code, f"exit code {done.code}\n{done.err}\n{done.out}"
    assert "Traceback" not in done.err
    lines = [line["message"] for line in log_lines(done.err) if line["level"] in ("error", "warning")]
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines[0]
    assert " — " in lines[0], f"nothing says what to do: {lines[0]}"
    return str(lines[0])


def leftovers(library: Path) -> list[str]:
    """Names in a library that are neither whole media nor the library's own."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk(library) for name in names]
    return [name for name in found if "/.media-sync/" not in name and not name.endswith(".png")]


@contextmanager
def mounted(at: Path, *options: str) -> Iterator[Path]:
    """A mount for the length of a test; also root may not write where it is read-only."""
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextmanager
def read_only(at: Path) -> Iterator[Path]:
    """A folder that nobody can write."""
    with mounted(at, "-t", "tmpfs", "-o", "ro,size=1m", "none"):
        yield at


@contextmanager
def serving(cli: Program, *args: str, host: str | None = None, **env: str) -> Iterator[subprocess.Popen[str]]:
    """`serve --every 1s`, ended when the test ends."""
    if host is not None:
        cli = Program(cli.folder, host)
    process = cli.start("serve", "--every", "1s", *args, env={**ALONE, **env})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def eventually(check: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Wait until something becomes true."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}"
        time.sleep(0.1)


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """SIGTERM; the code and everything that was said on stderr. More than two seconds fail."""
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    code = process.wait(timeout=30)
    took = time.monotonic() - asked
    assert took < TWO_SECONDS, f"SIGTERM took {took:.2f} s"
    return code, process.stderr.read() if process.stderr is not None else ""
