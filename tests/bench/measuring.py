"""One process from its start to its end: how long, how much memory, how much processor."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.02  # seconds between two looks at a process tree's memory, whose high-water marks lose nothing between


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, where, and in which environment."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """One timed run. Wall and processor time in seconds, `peak` in bytes: most memory of one process of the tree.

    `cpu` is of the processes that were started, not of the engine.
    """

    seconds: float
    cpu: float
    peak: int
    out: str = ""


class Failed(RuntimeError):
    """A contestant ended with an error, or left something out; there is nothing to compare."""


class _HighWater:
    """Looks at a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="high water")
        self._thread.start()

    def _look(self) -> None:
        while True:
            self.peak = max([self.peak, *map(_high_water, _tree(self._pid))])
            if self._stop.wait(EVERY):
                return

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self.peak


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            tasks = os.listdir(f"/proc/{one}/task")
            for task in tasks:
                with open(f"/proc/{one}/task/{task}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        except OSError:  # it ended meanwhile
            continue
    return found


def _high_water(pid: int) -> int:
    """VmHWM: the rusage of a child counts what its parent held when it was started."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def run(command: Command) -> Run:
    """Run to the end. What was written before is on the disk when the clock starts. Raises Failed."""
    os.sync()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(command.argv, cwd=command.cwd, env=command.env, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err)  # fmt: skip
        water = _HighWater(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = water.stop()
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace")
        if process.returncode:
            complaint = f"{err.read()[-600:].decode(errors='replace').strip()} {said[-300:]}".strip()
            raise Failed(f"{' '.join(command.argv)} ended with {process.returncode}: {complaint}")
        return Run(seconds, used.ru_utime + used.ru_stime, peak, said)
