"""How progress looks: a tqdm bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from loguru import logger
from tqdm import tqdm

from sidecar.logs import printable
from sidecar.progress import Snapshot, View

EVERY = 5.0  # seconds between progress lines in a log
_NUMBERS = 70  # columns for action, bar, bytes, time and rate
_LEAST = 8  # a shorter piece of a name says nothing


class Bar:
    """One tqdm bar over all folders: bytes, rate, ETA and the present file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None

    def update(self, now: Snapshot) -> None:
        """Draw this state; the bar appears with the first byte that is expected."""
        if now.bytes_total == 0:
            return
        if self._bar is None:  # the delay keeps it from drawing itself before it has its first numbers
            self._bar = tqdm(total=now.bytes_total, unit="B", unit_scale=True, unit_divisor=1000, desc=now.action,
                             file=self._stream, dynamic_ncols=True, leave=True, delay=1e-9)  # fmt: skip
        self._bar.total = now.bytes_total
        self._bar.n = now.bytes_done
        self._bar.set_postfix_str(" ".join(filter(None, (_files(now), now.source, self._place(now)))), refresh=True)

    def _place(self, now: Snapshot) -> str:
        """The present file, from its end, in what a line leaves beside the numbers and a bar that can be seen."""
        place = printable(f"{now.folder}/{now.file}" if now.folder else now.file)
        columns = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(self._stream.fileno()).columns
        room = columns - _NUMBERS - len(_files(now)) - len(now.source)
        if room < _LEAST:
            return ""
        return place if len(place) <= room else "…" + place[1 - room :]

    def close(self, now: Snapshot) -> None:
        """Leave the finished bar on the screen, also of a job that was over before it could be drawn."""
        self.update(now)
        if self._bar is not None:
            self._bar.total = now.bytes_total
            self._bar.n = now.bytes_done
            self._bar.set_postfix_str(_files(now), refresh=False)
            self._bar.close()
            self._bar = None


def _files(now: Snapshot) -> str:
    return f"{now.files_done}/{now.files_total} files"


class Lines:
    """A log line every five seconds while bytes move. Made anew for each job."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def update(self, now: Snapshot) -> None:
        """Log this state if the last line is old enough."""
        if self._clock() - self._last < EVERY:
            return
        self._last = self._clock()
        share = 100 * now.bytes_done / now.bytes_total if now.bytes_total else 100.0
        eta = f"{now.eta:.0f} s left" if now.eta is not None else "time left unknown"
        logger.bind(source=now.source, file=f"{now.folder}/{now.file}".lstrip("/"), bytes=now.bytes_done).info(
            "{}: {:.0f} % of {:.1f} MB, {}/{} files, {:.1f} MB/s, {}", now.action, share, now.bytes_total / 1e6,
            now.files_done, now.files_total, now.rate / 1e6, eta)  # fmt: skip

    def close(self, now: Snapshot) -> None:
        """The job's own line says the rest."""


def view(log_format: str) -> View:
    """The view for this process's stderr: a bar only where a person watches and reads text."""
    if sys.stderr.isatty() and log_format != "json":
        return Bar(sys.stderr)
    return Lines()
