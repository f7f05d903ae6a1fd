"""How fast work goes, and how long the rest takes: a cost for each file and for each byte, fitted to what was seen.

A rate alone misleads: after a few large files come thousands of small ones, whose bytes are nothing and whose number
is all. So the time of each stretch of work is explained as `scale * (weight * files + bytes)`, the weight being the
bytes that a file costs as much as. It is what the stretches say it is, and where they cannot tell (all files were
alike so far) what is usual; the scale follows what was seen lately.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

USUAL_FILE = 0.0008  # seconds for a file besides its content: stream, staging, commit in a group
USUAL_BYTE = 7e-9  # seconds
_DOUBT_FILE = math.log(4)  # the usual cost is wrong by this factor as often as not
_DOUBT_BYTE = math.log(30)  # from a memory file system to a slow line
_WEIGHTS = tuple(10 ** (step / 8) for step in range(8 * 9 + 1))  # a file is worth 1 B to 1 GB
_FLOOR = 0.002  # of a stretch's time: no measurement is better
_FIRST = 0.1  # seconds of the first stretches
_MOST = 64  # stretches that are kept; then neighbours are joined, so that a long job is remembered whole
_RECENT = 5.0  # seconds that the shown rate is of
_FADES = 3  # after this share of the whole time a stretch counts half


@dataclass(slots=True)
class Stretch:
    """Seconds of work, and what was done in them: files, bytes."""

    seconds: float
    files: float
    size: float


class Pace:
    """What was seen of one job or source. Times in seconds on one clock that never goes back; not thread-safe."""

    def __init__(self) -> None:
        self._done: list[Stretch] = []
        self._length = _FIRST
        self._since: float | None = None
        self._last = 0.0
        self._files, self._size = 0.0, 0

    def start(self, at: float) -> None:
        """There is work from now on: the time since the last of it was done was spent on something else."""
        if self._since is not None and self._last > self._since:
            self._close(self._last)
        self._since = self._last = at

    def add(self, at: float, files: float = 0.0, size: int = 0) -> None:
        """So many files more and so many bytes more are done by now; one that is half done is half a file."""
        if self._since is None:
            self._since = at
        self._last = at
        self._files += files
        self._size += size
        if at - self._since >= self._length:
            self._close(at)

    def _close(self, at: float) -> None:
        if self._since is not None:
            self._done.append(Stretch(at - self._since, self._files, self._size))
        self._since, self._files, self._size = at, 0.0, 0
        if len(self._done) >= _MOST:
            self._join()

    def _join(self) -> None:
        pairs = zip(self._done[::2], self._done[1::2], strict=True)
        self._done = [Stretch(a.seconds + b.seconds, a.files + b.files, a.size + b.size) for a, b in pairs]
        self._length *= 2

    def rate(self, at: float) -> float:
        """Bytes per second over the last few seconds; over all of it in the beginning."""
        seconds = size = 0.0
        for stretch in self._seen(at, backwards=True):
            seconds += stretch.seconds
            size += stretch.size
            if seconds >= _RECENT:
                break
        return size / seconds if seconds > 0 else 0.0

    def left(self, at: float, files: float, size: int) -> float | None:
        """Seconds until so many more files and bytes are done; None as long as nothing was done."""
        seen = [s for s in self._seen(at) if s.files or s.size]
        if not seen:
            return None
        if not files and not size:
            return 0.0
        per_file, per_byte = fitted(list(self._seen(at)))
        return per_file * files + per_byte * size

    def _seen(self, at: float, *, backwards: bool = False) -> Iterator[Stretch]:
        """Every stretch, and the one under way once it says something: a piece of it would be all noise."""
        now = []
        if self._since is not None and at > self._since:
            open_for = at - self._since
            if not self._done or open_for >= self._length / 2:
                now = [Stretch(open_for, self._files, self._size)]
        yield from (*now, *reversed(self._done)) if backwards else (*self._done, *now)


def fitted(stretches: list[Stretch]) -> tuple[float, float]:
    """Seconds for each file and for each byte that explain these stretches best, the later ones first of all.

    For every weight the best scale is a division; the weight with the greatest likelihood wins, its noise unknown,
    against what is usual. At least one stretch must hold work.
    """
    half_life = sum(s.seconds for s in stretches) / _FADES
    ff = fb = bb = ft = bt = tt = number = age = 0.0
    for s in reversed(stretches):
        share = 0.5 ** (age / half_life)
        age += s.seconds
        number += share
        counts = share / s.seconds  # the error of a stretch grows with its length as a sum's does
        ff += counts * s.files * s.files
        fb += counts * s.files * s.size
        bb += counts * s.size * s.size
        ft += counts * s.files * s.seconds
        bt += counts * s.size * s.seconds
        tt += counts * s.seconds * s.seconds
    best, found = math.inf, (0.0, 0.0)
    for weight in _WEIGHTS:
        work = weight * weight * ff + 2 * weight * fb + bb
        timed = weight * ft + bt
        error = max(0.0, 1 - timed * timed / (work * tt)) + _FLOOR * _FLOOR
        scale = tt / timed  # all of the time is explained, also what the likeliest scale would call noise
        odd = math.log(scale * weight / USUAL_FILE) / _DOUBT_FILE, math.log(scale / USUAL_BYTE) / _DOUBT_BYTE
        unlikely = number * math.log(error) + odd[0] ** 2 + odd[1] ** 2
        if unlikely < best:
            best, found = unlikely, (scale * weight, scale)
    return found
