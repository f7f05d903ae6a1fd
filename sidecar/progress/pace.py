"""How fast work goes, and how long the rest takes: a cost for each file and for each byte, fitted to what was seen.

A rate alone misleads: after a few large files come thousands of small ones, whose bytes are nothing and whose number
is all. So the time of each stretch of work is explained as `scale * (weight * files + bytes)`, the weight being the
bytes that a file costs as much as. It is what the stretches say it is, and where they cannot tell (all files were
alike so far) what is usual; the scale follows what was seen lately.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sidecar.values import dataclass

USUAL_FILE = 0.0008  # seconds for a file besides its content: stream, staging, commit in a group
USUAL_BYTE = 7e-9  # seconds
_DOUBT_FILE = math.log(4)  # the usual cost is wrong by this factor as often as not
_DOUBT_BYTE = math.log(30)  # from a memory file system to a slow line
_STEPS = 8  # weights in each power of ten
_WIDE = range(0, 9 * _STEPS + 1, _STEPS // 2)  # a file is worth 1 B to 1 GB
_AGAIN = 0.5  # seconds for which costs that were found are used
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
        self._costs = (0.0, 0.0)
        self._costs_at = -math.inf

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
        if at - self._costs_at >= _AGAIN:
            seen = list(self._seen(at))
            if not any(s.files or s.size for s in seen):
                return None
            self._costs, self._costs_at = fitted(seen), at
        per_file, per_byte = self._costs
        return per_file * files + per_byte * size

    def _seen(self, at: float, *, backwards: bool = False) -> Iterator[Stretch]:
        """Every stretch, and the one under way once it says something: a piece of it would be all noise."""
        now = []
        if self._since is not None and at > self._since:
            open_for = at - self._since
            if not self._done or open_for >= self._length / 2:
                now = [Stretch(open_for, self._files, self._size)]
        yield from (*now, *reversed(self._done)) if backwards else (*self._done, *now)


def fitted(stretches: Sequence[Stretch]) -> tuple[float, float]:
    """Seconds for each file and for each byte that explain these stretches best, the later ones first of all.

    For every weight the best scale is a division; the weight with the greatest likelihood wins, its noise unknown,
    against what is usual. At least one stretch must hold work.
    """
    moments = _Moments.of(stretches)
    about = min(_WIDE, key=moments.costs)
    _, per_file, per_byte = min(moments.costs(step) for step in range(about - _WIDE.step + 1, about + _WIDE.step))
    return per_file, per_byte


@dataclass(slots=True)
class _Moments:
    """Sums over stretches, each by how recent it is: their number, and products of files, bytes and time."""

    number: float = 0.0
    ff: float = 0.0
    fb: float = 0.0
    bb: float = 0.0
    ft: float = 0.0
    bt: float = 0.0
    tt: float = 0.0

    @classmethod
    def of(cls, stretches: Sequence[Stretch]) -> _Moments:
        """The sums; a stretch counts half after a share of the whole time."""
        made, half_life, age = cls(), sum(s.seconds for s in stretches) / _FADES, 0.0
        for s in reversed(stretches):
            share = 0.5 ** (age / half_life)
            age += s.seconds
            counts = share / s.seconds  # the error of a stretch grows with its length as a sum's does
            made.number += share
            made.ff += counts * s.files * s.files
            made.fb += counts * s.files * s.size
            made.bb += counts * s.size * s.size
            made.ft += counts * s.files * s.seconds
            made.bt += counts * s.size * s.seconds
            made.tt += counts * s.seconds * s.seconds
        return made

    def costs(self, step: int) -> tuple[float, float, float]:
        """How unlikely a weight is, and the costs of a file and of a byte with it."""
        weight = 10 ** (step / _STEPS)
        work = weight * weight * self.ff + 2 * weight * self.fb + self.bb
        timed = weight * self.ft + self.bt
        error = max(0.0, 1 - timed * timed / (work * self.tt)) + _FLOOR * _FLOOR
        scale = self.tt / timed  # all of the time is explained, also what the likeliest scale would call noise
        odd = math.log(scale * weight / USUAL_FILE) / _DOUBT_FILE, math.log(scale / USUAL_BYTE) / _DOUBT_BYTE
        return self.number * math.log(error) + odd[0] ** 2 + odd[1] ** 2, scale * weight, scale
