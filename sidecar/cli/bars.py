"""How progress looks: a tqdm bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from sidecar.logs import printable, size
from sidecar.progress import Snapshot, View

if TYPE_CHECKING:
    from tqdm import tqdm

EVERY = 5.0  # seconds between the first progress lines in a log
RARELY = 60.0  # and between those of a long job, which get rarer as it goes on
_WIDE = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<LEFT, RATE{postfix}]"
_NARROW = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [LEFT, RATE{postfix}]"
_ENDED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<00:00, {rate_fmt}{postfix}]"
_SPARE = 3  # columns that numbers may grow by until they are drawn
_GLYPHS = 12  # columns of the smallest bar that says anything
_LEAST = 8  # a shorter piece of a name says nothing
_ENOUGH = 24  # columns of a name that are worth a bar's


def _tqdm() -> type[tqdm[Any]]:
    from tqdm import tqdm  # for terminals only

    return tqdm


class Bar:
    """One tqdm bar over all folders: bytes, rate, ETA and the present file, for which the bar's glyphs make way."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None

    def update(self, now: Snapshot) -> None:
        """Draw this state; the bar appears with the first byte that is expected."""
        if now.bytes_total == 0:
            return
        if self._bar is None:  # the delay keeps it from drawing itself before it has its first numbers
            self._bar = _tqdm()(total=now.bytes_total, unit="B", unit_scale=True, unit_divisor=1000, desc=now.action,
                             file=self._stream, dynamic_ncols=True, leave=True, delay=1e-9)  # fmt: skip
        self._bar.total = now.bytes_total
        self._bar.n = now.bytes_done
        self._bar.bar_format, text = self._fit(self._bar, now)
        self._bar.set_postfix_str(text, refresh=True)

    def _fit(self, bar: tqdm[Any], now: Snapshot) -> tuple[str, str]:
        """The form of the line, and what stands behind its numbers: the present file, by its end where it is long."""
        place = printable(f"{now.folder}/{now.file}" if now.folder else now.file)
        columns = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError, ValueError):
            columns = os.get_terminal_size(self._stream.fileno()).columns
        form = _timed(_WIDE, now)
        wide = f"{_files(now)} {now.source}".rstrip()
        room = columns - _SPARE - _GLYPHS - 1 - _length(bar, form.replace("{bar}", ""), wide)
        if room >= min(len(place), _ENOUGH):
            return form, f"{wide} {_end(place, room)}".rstrip()
        form = _timed(_NARROW, now)
        text = count = f"{now.files_done}/{now.files_total}"
        bare = columns - _SPARE - 1 - _length(bar, form, count)
        room = bare - len(now.source) - 1
        if now.source and room >= min(len(place), _LEAST):
            return form, f"{text} {now.source} {_end(place, room)}".rstrip()
        return form, f"{text} {_end(place, bare)}".rstrip()

    def close(self, now: Snapshot) -> None:
        """Leave the finished bar on the screen, also of a job that was over before it could be drawn."""
        self.update(now)
        if self._bar is not None:
            self._bar.total = now.bytes_total
            self._bar.n = now.bytes_done
            self._bar.bar_format = _ENDED
            self._bar.set_postfix_str(_files(now), refresh=False)
            self._bar.close()
            self._bar = None


def _timed(form: str, now: Snapshot) -> str:
    """The form with our own time left and rate, for tqdm's are of bytes alone."""
    left = "?" if now.eta is None else _tqdm().format_interval(now.eta)
    return form.replace("LEFT", left).replace("RATE", f"{_tqdm().format_sizeof(now.rate, 'B', 1000)}/s")


def _length(bar: tqdm[Any], form: str, text: str) -> int:
    return len(_tqdm().format_meter(**{**bar.format_dict, "bar_format": form, "postfix": text, "ncols": None}))


def _end(place: str, room: int) -> str:
    """The end of a name in so many columns: what tells the files of a series apart."""
    if len(place) <= room:
        return place
    return "…" + place[1 - room :] if room >= _LEAST else ""


def _files(now: Snapshot) -> str:
    return f"{now.files_done}/{now.files_total} files"


class Lines:
    """A log line every five seconds while bytes move, later one every minute. Made anew for each job."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = self._last = clock()

    def update(self, now: Snapshot) -> None:
        """Log this state if the last line is old enough."""
        at = self._clock()
        if at - self._last < min(RARELY, max(EVERY, (at - self._begun) / 5)):
            return
        self._last = at
        share = 100 * now.bytes_done / now.bytes_total if now.bytes_total else 100.0
        eta = f"{now.eta:.0f} s left" if now.eta is not None else "time left unknown"
        alone = sum(not one.finished for one in now.sources) <= 1  # of several, the figures are of all of them
        where = {"source": now.source, "file": f"{now.folder}/{now.file}".lstrip("/")} if alone else {}
        logger.bind(job=now.job or None, bytes=now.bytes_done, **where).info(
            "{}: {:.0f} % of {}, {}/{} files, {}/s, {}", now.action, share, size(now.bytes_total), now.files_done,
            now.files_total, size(now.rate), eta)  # fmt: skip

    def close(self, now: Snapshot) -> None:
        """The job's own line says the rest."""


def view(log_format: str) -> View:
    """The view for this process's stderr: a bar only where a person watches and reads text."""
    if sys.stderr.isatty() and log_format != "json":
        return Bar(sys.stderr)
    return Lines()
