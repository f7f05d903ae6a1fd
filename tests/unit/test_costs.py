"""What is learned of an engine's reads: it comes near the truth, no odd read or row leads it astray, it is kept."""

from __future__ import annotations

import math
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.manifest import CostRow, Manifest
from sidecar.manifest.opening import FILE_NAME
from sidecar.models import NS, Capabilities, FileStat, Road, Transfer
from sidecar.sync.costs import HALF_LIFE, PRIORS, CostBook, RoadCost, Sample, believed, corrected, remembered
from sidecar.sync.metering import Meter
from sidecar.sync.planner import Freight

SIZES = st.one_of(st.integers(0, 50_000), st.integers(0, 1 << 34))
TRUTHS = [
    RoadCost(0.002, 1 / 500e6, 0.0001),  # Engine 28
    RoadCost(0.040, 1 / 300e6, 0.0008),  # small files read slowly
    RoadCost(0.300, 1 / 11e6, 0.0020),  # behind a slow line
]
NOW = 1_700_000_000 * NS
ABLE = Capabilities("python", frozenset(Road), engine="unix:///x 20.10 6.1")


def taught(cost: RoadCost, truth: RoadCost, times: int) -> RoadCost:
    """After reads of many shapes that took what is true."""
    shapes = [(1, 8_000), (1, 1_500_000), (300, 2_400_000), (60, 90_000_000), (2000, 16_000_000), (1, 200_000_000)]
    for at in range(times):
        files, size = shapes[at % len(shapes)]
        cost = corrected(cost, Sample(Road.FOLDER, files, size, truth.seconds(files, size)))
    return cost


@pytest.mark.parametrize("truth", TRUTHS)
def test_it_comes_near_the_truth(truth: RoadCost) -> None:
    learned = taught(PRIORS.folder, truth, 300)
    for files, size in ((1, 8_000), (700, 6_000_000), (50, 75_000_000)):
        ratio = learned.seconds(files, size) / truth.seconds(files, size)
        assert 0.75 < ratio < 1.35, (files, size)


def test_one_read_teaches_at_once() -> None:
    learned = corrected(PRIORS.file, Sample(Road.FILE, 1, 8000, 0.002))
    assert learned.seconds(1, 8000) < 0.6 * PRIORS.file.seconds(1, 8000)


@given(st.integers(-5, 10**9), st.integers(-5, 1 << 50), st.floats(), st.booleans())
def test_no_read_leads_it_astray(files: int, size: int, seconds: float, whole: bool) -> None:
    before = taught(PRIORS.folder, TRUTHS[1], 60)
    after = corrected(before, Sample(Road.FOLDER, files, size, seconds, whole))
    for old, new in ((before.start, after.start), (before.per_byte, after.per_byte), (before.per_file, after.per_file)):
        assert math.isfinite(new)
        assert new > 0
        assert 0.4 < new / old < 2.5


def test_a_suspended_laptop_is_no_measurement() -> None:
    before = taught(PRIORS.stream, PRIORS.stream, 3)
    assert corrected(before, Sample(Road.STREAM, 10, 1000, 3600.0)) == before


def test_a_read_that_was_cut_off_never_teaches_that_reads_are_fast() -> None:
    short = Sample(Road.FOLDER, 1, 1000, 0.001, whole=False)
    assert corrected(PRIORS.folder, short).start == PRIORS.folder.start
    slow = corrected(PRIORS.folder, Sample(Road.FOLDER, 20, 2_000_000, 2.0, whole=False))
    assert slow.seconds(100, 10_000_000) > 2 * PRIORS.folder.seconds(100, 10_000_000)


@pytest.mark.parametrize("absurd", [
    {"start": 0.0}, {"start": -1.0}, {"start": 1e9}, {"start": math.inf}, {"start": math.nan}, {"per_byte": 1e-30},
    {"per_byte": 1.0}, {"per_file": 60.0}, {"seen": 0}, {"seen": -3}, {"seen": 1 << 62},
])  # fmt: skip
def test_an_absurd_row_is_not_believed(absurd: dict[str, float]) -> None:
    sane = {"start": 0.002, "per_byte": 2e-9, "per_file": 1e-4, "seen": 50} | absurd
    assert believed(CostRow("file", learned_ns=NOW, **sane), PRIORS.file, NOW) == PRIORS.file  # type: ignore[arg-type]


def test_what_is_not_seen_again_is_slowly_forgotten() -> None:
    row = CostRow("file", 0.002, 2e-9, 1e-4, 50, NOW)
    fresh, later, much_later = (believed(row, PRIORS.file, NOW + n * HALF_LIFE) for n in (0, 1, 50))
    assert fresh.start == pytest.approx(0.002)
    assert (fresh.seen, later.seen) == (50, 25)
    assert later.start == pytest.approx(math.sqrt(0.002 * PRIORS.file.start))
    assert much_later.start == pytest.approx(PRIORS.file.start)
    assert believed(row, PRIORS.file, NOW - HALF_LIFE) == fresh, "a clock that went back says nothing of age"


async def test_it_is_kept_by_engine_and_by_agent(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    try:
        async with remembered(manifest, ABLE, lambda: NOW) as book:
            book.learn(Sample(Road.STREAM, 1, 8000, 0.9))
            learned = book.costs
        async with remembered(manifest, ABLE, lambda: NOW) as book:
            assert book.costs.stream == learned.stream != PRIORS.stream
            assert book.costs.folder == PRIORS.folder
        for other in (
            Capabilities("sh", ABLE.roads, engine=ABLE.engine),
            Capabilities("python", ABLE.roads, engine=""),
        ):
            async with remembered(manifest, other, lambda: NOW) as book:
                assert book.costs == PRIORS
    finally:
        manifest.close()


async def test_it_is_kept_also_when_the_pass_fails_and_nothing_is_written_without_news(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    try:
        async with remembered(manifest, ABLE, lambda: NOW):
            pass
        assert manifest.costs.load(ABLE.engine) == {}
        with suppress(RuntimeError):
            async with remembered(manifest, ABLE, lambda: NOW) as book:
                book.learn(Sample(Road.FILE, 1, 8000, 0.9))
                raise RuntimeError
        assert set(manifest.costs.load(ABLE.engine)) == {"file"}
    finally:
        manifest.close()


async def test_rows_that_somebody_edited_are_replaced(tmp_path: Path) -> None:
    Manifest.open(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("INSERT INTO costs VALUES (?, 'file', -5, 9e999, 0, 3, ?)", (ABLE.engine, NOW))
    db.close()
    manifest = Manifest.open(tmp_path)
    try:
        async with remembered(manifest, ABLE, lambda: NOW) as book:
            assert book.costs == PRIORS
            book.learn(Sample(Road.FILE, 1, 8000, 0.040))
        assert 0.01 < manifest.costs.load(ABLE.engine)["file"].start < 0.1
    finally:
        manifest.close()


class Read:
    """How a read stood when it ended."""

    problems = ()

    def __init__(self, received: int, seconds: float) -> None:
        self.received, self.seconds = received, seconds

    def __iter__(self) -> object:
        return iter(())


def folder(name: bytes) -> Transfer:
    return Transfer(Road.FOLDER, (FileStat(name + b"/a.png", 1, 0),), name)


def meter(max_freeze: float = 0.25) -> Meter:
    return Meter(CostBook(), {b"a": Freight(100, 10_000_000), b"b": Freight(1, 1000)}, max_freeze)


def test_after_a_read_was_cut_off_no_other_folder_is_read_in_that_round() -> None:
    one = meter()
    assert one.admits(folder(b"b"))
    one.cut_off(folder(b"a"), Read(1_000_000, 2.0))  # type: ignore[arg-type]
    assert not one.admits(folder(b"b"))
    assert one.admits(Transfer(Road.STREAM, ()))
    assert one.costs.folder.seconds(100, 10_000_000) > 0.25, "and it was learned from"
    one.begin_round()
    assert one.admits(folder(b"b"))


def test_what_was_learned_meanwhile_may_forbid_a_planned_read() -> None:
    one = meter()
    assert one.admits(folder(b"a"))
    for _ in range(5):
        one.ended(folder(b"a"), Read(10_000_000, 1.5))  # type: ignore[arg-type]
    assert not one.admits(folder(b"a"))
    assert meter(math.inf).admits(folder(b"a"))


def test_streams_side_by_side_are_taken_for_what_they_cost_together() -> None:
    stream = Transfer(Road.STREAM, (FileStat(b"a.png", 110_000_000, 0),))
    alone, beside = meter(), meter()
    with alone.turn(stream):
        alone.ended(stream, Read(110_000_000, 1.1))  # type: ignore[arg-type]
    with beside.turn(stream), beside.turn(stream):
        beside.ended(stream, Read(110_000_000, 2.2))  # type: ignore[arg-type]
    assert beside.costs.stream == alone.costs.stream
