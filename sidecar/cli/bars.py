"""How progress looks: a tqdm bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from loguru import logger
from tqdm import tqdm

from sidecar.logs import printable
from sidecar.progress import Snapshot, View

EVERY = 5.0  # seconds between progress lines in a log
_NAME = 40  # columns for the file that is being read


class Bar:
    """One tqdm bar over all folders: bytes, rate, ETA and the present file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None

    def update(self, now: Snapshot) -> None:
        """Draw this state; the bar appears with the first byte that is expected."""
        if now.bytes_total == 0:
            return
        if self._bar is None:
            self._bar = tqdm(total=now.bytes_total, unit="B", unit_scale=True, unit_divisor=1000, desc=now.action,
                             file=self._stream, dynamic_ncols=True, leave=True)  # fmt: skip
        self._bar.total = now.bytes_total
        self._bar.n = now.bytes_done
        place = f"{now.folder}/{now.file}" if now.folder else now.file
        place = printable(place)
        short = place if len(place) <= _NAME else "…" + place[1 - _NAME :]
        self._bar.set_postfix_str(f"{now.files_done}/{now.files_total} files {now.source} {short}", refresh=True)

    def close(self, now: Snapshot) -> None:
        """Leave the finished bar on the screen."""
        if self._bar is not None:
            self.update(now)
            self._bar.set_postfix_str(f"{now.files_done}/{now.files_total} files", refresh=True)
            self._bar.close()
            self._bar = None


class Lines:
    """A log line every five seconds while bytes move."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def update(self, now: Snapshot) -> None:
        """Log this state if the last line is old enough."""
        if time.monotonic() - self._last < EVERY:
            return
        self._last = time.monotonic()
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
