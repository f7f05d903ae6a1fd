"""How long the main job takes beside `docker cp`, on the engine at DOCKER_HOST: `python -m tests.bench.figures`.

Contestants alternate in one run; medians are printed with all values. What media-sync does is hashed and on stable
storage when its time ends; what `docker cp` wrote is in the page cache. Needs the docker command.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "compose"))

import docker
from generators import images

from tests.rig.generator import Generator, Spec

DAY = 86_400.0


def picture(seed: int, size: int) -> bytes:
    """A file of `size` bytes that begins and ends as a PNG does, full of noise."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    tail = chunk(b"IEND", b"")
    noise = random.Random(seed).randbytes(size - len(head) - len(tail) - 12)
    return head + chunk(b"IDAT", noise) + tail


@dataclass
class Runs:
    """What one contestant took: seconds, and peak memory in bytes."""

    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    def __str__(self) -> str:
        spread = " ".join(f"{s:.2f}" for s in self.seconds)
        return f"{statistics.median(self.seconds):7.2f} s   peak {self.peak / 1e6:4.0f} MB   ({spread})"


def timed(runs: Runs, argv: Sequence[str]) -> str:
    """Run a whole process to its end; its standard output."""
    os.sync()
    with tempfile.TemporaryFile("w+") as out:
        started = time.monotonic()
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            runs.peak = max(runs.peak, _high_water(process.pid))
            time.sleep(0.01)
        runs.seconds.append(time.monotonic() - started)
        if process.returncode:
            raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
        out.seek(0)
        return out.read()


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


class Bench:
    """One container full of pictures, and folders to pull them into."""

    def __init__(self, made: Generator, folder: Path, times: int) -> None:
        self._made = made
        self._folder = folder
        self._times = times

    def sync(self, runs: Runs, root: str) -> dict[str, object]:
        return self._job(runs, "sync", root)

    def purge(self, runs: Runs, root: str) -> dict[str, object]:
        return self._job(runs, "purge", root)

    def _job(self, runs: Runs, action: str, root: str) -> dict[str, object]:
        where = ["--library", str(self._folder / "library"), "--state", str(self._folder / "state")]
        source = ["--source", f"a={self._made.name}:{root}"]
        found = json.loads(timed(runs, [sys.executable, "-m", "sidecar", action, "--json", *source, *where]))
        report: dict[str, object] = found["sources"][0]
        return report

    def fresh(self) -> None:
        for name in ("library", "state", "copy"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def first(self, title: str, folder: str) -> None:
        """A first pull of one folder, beside `docker cp` of the same."""
        ours, theirs = Runs(), Runs()
        for _ in range(self._times):
            self.fresh()
            timed(theirs, ["docker", "cp", f"{self._made.name}:{self._made.root}/{folder}", str(self._folder / "copy")])
            report = self.sync(ours, f"{self._made.root}/{folder}")
        ratio = statistics.median(a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True))
        print(f"{title}\n  docker cp   {theirs}\n  media-sync  {ours}\n  ratio {ratio:.2f}, roads {report['road']}")

    def nothing_new(self) -> None:
        """A pass over everything, of which nothing is new."""
        ours = Runs()
        self.fresh()
        self.sync(Runs(), self._made.root)
        for _ in range(self._times):
            report = self.sync(ours, self._made.root)
        print(f"no-op pass over {report['scanned']}, {report['bytes_received']} bytes received\n  media-sync  {ours}")

    def purged(self, count: int) -> None:
        """A purge of that many verified files of 8 KB."""
        ours = Runs()
        for turn in range(self._times):
            self.fresh()
            files = {f"x_{turn}_{n}.png": picture(n, 8192) for n in range(count)}
            self._made.put({f"P/{name}": data for name, data in files.items()}, age=2 * DAY)
            self._made.put({"P/new.png": picture(count, 8192)}, age=60)
            self.sync(Runs(), f"{self._made.root}/P")
            report = self.purge(ours, f"{self._made.root}/P")
            if report["purged"] != count:
                raise SystemExit(f"purged {report['purged']} of {count}")
        print(f"purge of {count} verified files of 8 KB\n  media-sync  {ours}")


def main() -> None:
    """Make the container, run everything, remove it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs of each contestant")
    parser.add_argument("--image", choices=("busybox", "python"), default="python", help="what the generator has")
    options = parser.parse_args()
    client = docker.from_env(timeout=300)
    image = images.python(client) if options.image == "python" else images.busybox(client)
    made = Generator(f"ms-bench-{os.getpid()}", Spec(image=image))
    try:
        for at in range(0, 1000, 100):
            made.put({f"A/ComfyUI_{n:05d}_.png": picture(n, 1_500_000) for n in range(at, at + 100)}, age=DAY / 24)
        for folder in range(20):
            names = range(folder * 1000, folder * 1000 + 1000)
            made.put({f"B/{folder:02d}/x_{n:05d}_.png": picture(n, 8192) for n in names}, age=DAY / 24)
        print(f"Docker Engine {client.version()['Version']}, {options.image} in the container, {os.cpu_count()} cores")
        with tempfile.TemporaryDirectory(prefix="media-sync-bench-") as folder_name:
            bench = Bench(made, Path(folder_name), options.times)
            bench.first("A: 1,000 files of 1.5 MB, first pull", "A")
            bench.first("B: 20,000 files of 8 KB, first pull", "B")
            bench.nothing_new()
            bench.purged(5000)
    finally:
        made.close()


if __name__ == "__main__":
    main()
