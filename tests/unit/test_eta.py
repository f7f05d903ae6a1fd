"""What is told of the time left, against what came true: within 25 % after a third of a transfer, and from then on.

The transfers are computed: each file costs some time, and so does each byte, with and without noise.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sidecar.progress import ProgressManager, Snapshot
from sidecar.progress.pace import Pace, Stretch, fitted

PROMISED = 0.25
CHUNK = 1 << 18
PER_BYTE = 1 / 150e6  # seconds

_random = random.Random(3)
LARGE = [int(_random.uniform(40e6, 120e6)) for _ in range(12)]
SMALL = [int(_random.uniform(50e3, 400e3)) for _ in range(6000)]
ORDERS = {
    "large files, then small ones": LARGE + SMALL,
    "large files all alike, then small ones all alike": [80_000_000] * 12 + [200_000] * 6000,
    "small files, then large ones": SMALL + LARGE,
    "mixed": _random.sample(SMALL + LARGE, len(SMALL) + len(LARGE)),
}


class Clock:
    """Seconds, moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def transfer(sizes: Sequence[int], per_file: float, noise: float, slower: float = 1.0) -> list[tuple[float, Snapshot]]:
    """Read these files one after another; where it stood every half second. `slower` for all but the first tenth."""
    chance, clock = random.Random(1), Clock()
    progress = ProgressManager("sync", (), clock)
    progress.expect(len(sizes), sum(sizes), "a")
    told: list[tuple[float, Snapshot]] = []
    for number, size in enumerate(sizes):
        factor = (slower if number > len(sizes) / 10 else 1.0) * (1 + noise * chance.uniform(-1, 1))
        clock.now += per_file * factor
        file = progress.begin("a", b"%d" % number, size)
        for at in range(0, size, CHUNK):
            some = min(CHUNK, size - at)
            clock.now += some * PER_BYTE * factor * (1 + noise * chance.uniform(-1, 1))
            file.advance(some)
            if not told or clock.now - told[-1][0] >= 0.5:
                told.append((clock.now, progress.snapshot()))
        file.done()
    return [*told, (clock.now, progress.snapshot())]


def misses(told: Sequence[tuple[float, Snapshot]]) -> list[float]:
    """By how much of the truth the told time was wrong, from a third of the time on to nine tenths."""
    begun, ended = 100.0, told[-1][0]
    span = ended - begun
    return [abs((now.eta or 0.0) - (ended - at)) / (ended - at)
            for at, now in told if begun + span / 3 <= at <= begun + 0.9 * span]  # fmt: skip


@pytest.mark.parametrize("noise", [0.0, 0.3], ids=["even", "noisy"])
@pytest.mark.parametrize("per_file", [0.0005, 0.002], ids=["0.5 ms", "2 ms"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_time_left_is_right_after_a_third(order: str, per_file: float, noise: float) -> None:
    told = transfer(ORDERS[order], per_file, noise)
    found = misses(told)
    assert len(found) > 10
    assert max(found) <= PROMISED, [round(miss, 2) for miss in found]


def test_bytes_by_time_alone_would_not_do() -> None:
    """What the tests above guard against: many small files behind large ones, by the rate of bytes so far."""
    told = transfer(ORDERS["large files, then small ones"], 0.002, 0.0)
    begun, ended = 100.0, told[-1][0]
    at, now = next((at, now) for at, now in told if at >= begun + (ended - begun) / 3)
    naive = (now.bytes_total - now.bytes_done) / (now.bytes_done / (at - begun))
    assert abs(naive - (ended - at)) / (ended - at) > 1.5 * PROMISED


def test_a_disk_that_gets_slower_is_noticed() -> None:
    assert max(misses(transfer(ORDERS["mixed"], 0.001, 0.1, slower=3.0))) <= PROMISED


def test_each_source_has_its_own_time() -> None:
    clock = Clock()
    progress = ProgressManager("sync", (), clock)
    progress.expect(100, 100_000_000, "fast")
    progress.expect(100, 10_000_000, "slow")
    for number in range(50):
        clock.now += 0.1
        for source, size in (("fast", 1_000_000), ("slow", 100_000)):
            file = progress.begin(source, b"%d" % number, size)
            file.advance(size)
            file.done()
    fast, slow = progress.snapshot().sources
    assert fast.eta == pytest.approx(5, rel=0.05)
    assert slow.eta == pytest.approx(5, rel=0.05)
    assert fast.rate == pytest.approx(10e6, rel=0.05)
    assert slow.rate == pytest.approx(1e6, rel=0.05)


def test_looking_for_work_is_no_work() -> None:
    clock = Clock()
    progress = ProgressManager("sync", (), clock)
    for source in ("a", "b"):
        clock.now += 100  # a scan
        progress.expect(10, 10_000_000, source)
        for number in range(10 if source == "a" else 5):
            file = progress.begin(source, b"%d" % number, 1_000_000)
            clock.now += 1
            file.advance(1_000_000)
            file.done()
    assert progress.snapshot().eta == pytest.approx(5, rel=0.1)


def test_what_purging_costs_says_nothing_of_reading() -> None:
    clock = Clock()
    progress = ProgressManager("run", (), clock)
    progress.expect(10, 10_000_000, "a", kind="sync")
    for _ in range(10):
        clock.now += 1
        progress.advance(files=1, size=1_000_000, source="a")
    progress.expect(10, 10_000_000, "a", kind="purge")
    clock.now += 0.01
    progress.advance(files=1, size=1_000_000, source="a")
    clock.now += 0.01
    assert progress.snapshot().eta == pytest.approx(0.18, rel=0.5)


def test_what_will_never_come_takes_no_time() -> None:
    clock = Clock()
    progress = ProgressManager("sync", (), clock)
    progress.expect(2, 2_000_000, "a")
    clock.now += 1
    progress.advance(files=1, size=1_000_000, source="a")
    assert progress.snapshot().eta
    progress.finish("a")
    now = progress.snapshot()
    assert (now.eta, now.sources[0].eta, now.sources[0].finished) == (0.0, 0.0, True)
    assert (now.files_done, now.files_total) == (1, 2), "that one did not come is still to be seen"


def test_a_long_job_is_remembered_in_bounded_memory() -> None:
    pace = Pace()
    pace.start(0.0)
    for step in range(1, 200_000):
        pace.add(step * 0.05, files=1, size=100_000)
    assert len(pace._done) < 100
    assert pace.rate(10_000.0) == pytest.approx(2e6, rel=0.1)
    assert pace.left(10_000.0, 1000, 100_000_000) == pytest.approx(50, rel=0.1)


def test_costs_are_found_from_stretches_that_differ() -> None:
    stretches = [Stretch(f * 0.002 + s * 1e-8, f, s) for f, s in ((500, 0), (0, 100_000_000), (250, 50_000_000))]
    per_file, per_byte = fitted(stretches)
    assert per_file == pytest.approx(0.002, rel=0.2)
    assert per_byte == pytest.approx(1e-8, rel=0.2)
