"""Many files, large files, and a generator that must not notice."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from generators import media

from tests.conftest import MakeGenerator
from tests.engine.syncing import COUNTED, LONE, Pull, library_path, stored
from tests.rig.generator import Generator
from tests.rig.program import Program

pytestmark = pytest.mark.alone

MB = 1_000_000
PEAK = 150 * MB  # of the whole program, interpreter and all; the file alone is many times that
LONGEST_WAIT = 1.0  # seconds: what a health check of the generator may notice of a pass with an agent
STOP_WITHIN = 2.0  # seconds: what `docker stop` may be held up, and any look where only archives can list


def bmp_head(size: int) -> bytes:
    """The beginning of a BMP of `size` bytes, which names its own length."""
    return b"BM" + size.to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")


def test_five_thousand_files(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator())
    whole = media.tiny_png(1)
    at = whole.index(b"IDAT") - 4  # a chunk of our own before the picture makes each one different
    files = {
        b"%02d/ComfyUI_%05d_.png" % (n % 50, n): whole[:at] + chunk(b"n%07d" % n) + whole[at:] for n in range(5000)
    }
    pull.made.put(files, age=60)
    report = pull.sync()
    assert (report["scanned"], report["stored"], report["failed"]) == (5000, 5000, 0)
    assert pull.library() == files
    again = pull.sync()
    assert (again["unchanged"], again["bytes_received"]) == (5000, 0)
    pull.made.put({b"07/ComfyUI_09999_.png": whole}, age=60)
    third = pull.sync()
    assert (third["stored"], third["unchanged"]) == (1, 5000)
    assert third["bytes_received"] < 100_000, "one file of many does not bring its folder along"


def chunk(data: bytes) -> bytes:
    """A private PNG chunk; nobody here looks at its checksum."""
    return len(data).to_bytes(4, "big") + b"syNc" + data + bytes(4)


def high_water(pid: int) -> int:
    """Most memory that a process ever held, bytes; 0 once it ended. Its rusage would count the one that started it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def test_two_gigabytes_in_flat_memory(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    size = 2 << 30
    made.exec("sh", "-c", 'head -c 18 > "$1" && truncate -s "$2" "$1" && touch -d "2026-01-01 00:00" "$1"', "-",
              made.path("big.bmp"), str(size), stdin=bmp_head(size))  # fmt: skip
    pull = Pull(cli, made)
    process = cli.start(*pull.command("sync", "--json"), env=LONE)
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.02)
    out, err = process.communicate()
    assert process.returncode == 0, err + out
    path = library_path(cli, "big.bmp")
    try:
        assert os.stat(path).st_size == size
        with open(path, "rb") as file:
            assert file.read(18) == bmp_head(size)
    finally:
        os.unlink(path)
    assert 10_000_000 < peak < PEAK


@contextmanager
def watched(made: Generator) -> Iterator[list[float]]:
    """While inside the context, the generator is inspected without a pause; the list holds how long each look took."""
    waits: list[float] = []
    stop = threading.Event()
    client = docker.DockerClient(base_url=os.environ["DOCKER_HOST"], version="auto", timeout=60)

    def look() -> None:
        while not stop.is_set():
            started = time.monotonic()
            client.api.inspect_container(made.id)
            waits.append(time.monotonic() - started)
            time.sleep(0.01)

    watcher = threading.Thread(target=look, name="inspecting")
    watcher.start()
    try:
        yield waits
    finally:
        stop.set()
        watcher.join()
        client.close()


def fill(made: Generator, files: int, size: int) -> None:
    """`files` BMPs of `size` bytes each, no two alike, all made inside."""
    script = """n=0; while [ $n -lt "$1" ]; do n=$((n+1)); f="$3/p_$n.bmp"
        { cat /head; printf "%024d" $n; head -c $(($2 - 42)) /dev/zero; } > "$f"; touch -d "2026-01-01 00:00" "$f"
        done"""
    made.exec("sh", "-c", "cat > /head", stdin=bmp_head(size))
    made.exec("sh", "-c", script, "-", str(files), str(size), made.root)


@pytest.mark.parametrize(("way", "files", "size"), [("sh", 260, 3 * MB // 2), ("none", 100, 3 * MB // 2),
                                                     ("sh", 2, 200 * MB)])  # fmt: skip
def test_a_generator_does_not_notice_a_pass(
    way: str, files: int, size: int, cli: Program, generator: MakeGenerator
) -> None:
    made = generator()
    fill(made, files, size)
    pull = Pull(cli, made)
    with watched(made) as waits:
        report = pull.sync(env={"MEDIA_SYNC_DOCKER__PULL_ONLY": "true"} if way == "none" else {})
    assert report["stored"] == files
    assert len(waits) > 20
    assert max(waits) < (STOP_WITHIN if way == "none" else LONGEST_WAIT)


def test_a_stopped_container_with_more_than_waits_for_the_disk_at_once(cli: Program, generator: MakeGenerator) -> None:
    """Reading ahead of the disk must not keep the lock that the commit's own questions need."""
    made = generator()
    fill(made, 120, MB)
    made.stop()
    pull = Pull(cli, made)
    report = pull.sync(env={"MEDIA_SYNC_SYNC__GROUP_FILES": "4", "MEDIA_SYNC_DOCKER__TIMEOUT": "5s"})
    assert (report["stored"], report["road"]["folder"]) == (120, 120)


@pytest.mark.parametrize("pull_only", ["false", "true"])
def test_stopping_a_generator_is_not_held_up(pull_only: str, cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    fill(made, 130, 3 * MB // 2)
    pull = Pull(cli, made)
    process = cli.start(*pull.command("sync"), env={**LONE, "MEDIA_SYNC_DOCKER__PULL_ONLY": pull_only})
    deadline = time.monotonic() + 60
    while not any(stored(cli)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    made.container.stop(timeout=0)
    held = time.monotonic() - started
    process.communicate(timeout=60)
    assert held < STOP_WITHIN
    report = pull.sync()
    assert sum(report[key] for key in COUNTED) == report["scanned"] == 130
    assert len(pull.library()) == 130


def test_few_open_files_are_enough_for_a_stopped_container(cli: Program, generator: MakeGenerator) -> None:
    """All files of one archive are open until they are committed: as many as the process may have, no more."""
    pull = Pull(cli, generator())
    pull.made.put({f"{n:04d}.png": media.tiny_png(n) for n in range(1500)}, age=60)
    pull.made.stop()
    done = cli(*pull.command("sync", "--json"), preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)))
    assert (done.code, done.json["sources"][0]["stored"]) == (0, 1500), done.err
