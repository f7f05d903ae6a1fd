"""What reads cost: priors of a plain engine, and what an engine's own reads teach about it.

A read is expected to take `start + bytes * per_byte + files * per_file` seconds. Each read that ended corrects the
three numbers of its road by a part of how far off they were, on a logarithmic scale and in proportion to how much
each of them had to say. So they stay positive, one odd read moves them little, and reads of many sizes tell them apart.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sidecar.manifest import CostRow, Manifest
from sidecar.models import NS, Capabilities, Road
from sidecar.values import dataclass

HALF_LIFE = 24 * 3600 * NS  # after which half of what was learned of a road is forgotten, if it was not taken
FIRST, LEAST = 0.5, 0.1  # how much of its error the first read corrects, and every late one
SURPRISE = 8.0  # what took longer or shorter than this times the expectation counts as this
STANDSTILL = (30.0, 50.0)  # longer than so many seconds, and so many times the expectation: a laptop was suspended
SEEN_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class RoadCost:
    """One road's costs: seconds to start a read, for each byte, for each file; and how many reads taught them."""

    start: float
    per_byte: float
    per_file: float
    seen: int = 0

    def seconds(self, files: int, size: int) -> float:
        """What a read of so many files with `size` bytes in all is expected to take."""
        return self.start + size * self.per_byte + files * self.per_file


@dataclass(frozen=True, slots=True)
class Costs:
    """All three roads."""

    folder: RoadCost
    file: RoadCost
    stream: RoadCost

    def of(self, road: Road) -> RoadCost:
        """One road's."""
        return {Road.FOLDER: self.folder, Road.FILE: self.file, Road.STREAM: self.stream}[road]

    def with_road(self, road: Road, cost: RoadCost) -> Costs:
        """The same with another cost of one road."""
        return Costs(**{one.value: cost if one is road else self.of(one) for one in Road})


# Engine 20.10 on two cores, hashing and writing included. An exec's stream passes through the engine in small frames.
PRIORS = Costs(
    folder=RoadCost(0.045, 1 / 350e6, 0.00025),
    file=RoadCost(0.045, 1 / 350e6, 0.00025),
    stream=RoadCost(0.110, 1 / 110e6, 0.00040),
)
# What can be: from a fast engine of years to come to one behind a slow line. Anything else was not learned here.
_LEAST = RoadCost(0.0002, 1 / 20e9, 0.000001)
_MOST = RoadCost(30.0, 1 / 0.2e6, 0.5)


@dataclass(frozen=True, slots=True)
class Sample:
    """One read: files and bytes that it carried, wanted or not, and the seconds that it took.

    `whole` is false when it was cut off: the seconds are what the rest would have taken at least, at the same pace.
    """

    road: Road
    files: int
    size: int
    seconds: float
    whole: bool = True


def corrected(cost: RoadCost, sample: Sample) -> RoadCost:
    """What a road costs, after one more read of it."""
    if sample.files < 1 or sample.size < 0 or not (math.isfinite(sample.seconds) and sample.seconds > 0):
        return cost
    expected = cost.seconds(sample.files, sample.size)
    if sample.seconds > STANDSTILL[0] and sample.seconds > STANDSTILL[1] * expected:
        return cost
    surprise = min(max(sample.seconds / expected, 1 / SURPRISE), SURPRISE)
    if not sample.whole:
        surprise = max(surprise, 1.0)
    shares = (cost.start / expected, sample.size * cost.per_byte / expected, sample.files * cost.per_file / expected)
    gain = max(LEAST, FIRST / (1 + cost.seen / 2)) / sum(share * share for share in shares)
    return _bounded(
        RoadCost(
            cost.start * surprise ** (gain * shares[0]),
            cost.per_byte * surprise ** (gain * shares[1]),
            cost.per_file * surprise ** (gain * shares[2]),
            min(cost.seen + 1, SEEN_MOST),
        )
    )


def believed(row: CostRow, prior: RoadCost, now_ns: int) -> RoadCost:
    """What was learned earlier, nearer to the prior the longer ago; the prior itself in place of what cannot be."""
    kept = RoadCost(row.start, row.per_byte, row.per_file, row.seen)
    finite = all(map(math.isfinite, (kept.start, kept.per_byte, kept.per_file)))
    if not finite or not 0 < kept.seen <= SEEN_MOST or kept != _bounded(kept):
        return prior
    weight = 0.5 ** (max(0, now_ns - row.learned_ns) / HALF_LIFE)
    return RoadCost(
        prior.start ** (1 - weight) * kept.start**weight,
        prior.per_byte ** (1 - weight) * kept.per_byte**weight,
        prior.per_file ** (1 - weight) * kept.per_file**weight,
        round(kept.seen * weight),
    )


def _bounded(cost: RoadCost) -> RoadCost:
    """The nearest that can be."""
    return RoadCost(
        min(max(cost.start, _LEAST.start), _MOST.start),
        min(max(cost.per_byte, _LEAST.per_byte), _MOST.per_byte),
        min(max(cost.per_file, _LEAST.per_file), _MOST.per_file),
        cost.seen,
    )


class CostBook:
    """What is known of one engine's reads. Safe to use from several threads.

    `scanner` tells which agent streams: one written in Python and one in shell are different roads.
    """

    def __init__(self, rows: Mapping[str, CostRow] | None = None, scanner: str = "", now_ns: int = 0) -> None:
        self._scanner = scanner
        self._lock = threading.Lock()
        self._news: set[Road] = set()
        self._costs = PRIORS
        for road in Road:
            row = (rows or {}).get(self._name(road))
            if row is not None:
                self._costs = self._costs.with_road(road, believed(row, PRIORS.of(road), now_ns))

    @property
    def costs(self) -> Costs:
        """As they are known now."""
        with self._lock:
            return self._costs

    def learn(self, sample: Sample) -> None:
        """One read ended, or was cut off."""
        with self._lock:
            before = self._costs.of(sample.road)
            after = corrected(before, sample)
            if after != before:
                self._costs = self._costs.with_road(sample.road, after)
                self._news.add(sample.road)

    def news(self, now_ns: int) -> list[CostRow]:
        """What was learned since this was last asked, for the manifest."""
        with self._lock:
            roads, self._news = self._news, set()
            costs = self._costs
        return [_row(self._name(road), costs.of(road), now_ns) for road in sorted(roads)]

    def _name(self, road: Road) -> str:
        return f"{road.value} {self._scanner}".rstrip() if road is Road.STREAM else road.value


@asynccontextmanager
async def remembered(manifest: Manifest, able: Capabilities, clock_ns: Callable[[], int]) -> AsyncIterator[CostBook]:
    """The book of the engine that `able` tells of, kept in the manifest when this is left, however."""
    rows = await asyncio.to_thread(manifest.costs.load, able.engine) if able.engine else {}
    book = CostBook(rows, able.scanner, clock_ns())
    try:
        yield book
    finally:
        news = book.news(clock_ns())
        if news and able.engine:
            await asyncio.to_thread(manifest.costs.keep, able.engine, news)


def _row(road: str, cost: RoadCost, now_ns: int) -> CostRow:
    return CostRow(road, cost.start, cost.per_byte, cost.per_file, cost.seen, now_ns)
