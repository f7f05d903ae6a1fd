"""What the benchmark's figures rest on: files that settle at once, memory of the right process, bounds read rightly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sidecar.media.endings import State, ending_check
from tests.bench import corpus
from tests.bench.bounds import BOUNDS, Measured, verdicts
from tests.bench.content import Sizes
from tests.bench.corpus import Amount
from tests.bench.latency import at
from tests.bench.measuring import Command, Failed, run

MB = 1_000_000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", corpus.png(1, 400)),
        ("a.png", corpus.png(2, 8_000)),
        ("a.jpg", corpus.jpeg(3, 8_000)),
        ("a.mp4", b"".join(corpus.film(2 * corpus.BLOCK + 5))),
    ],
)
def test_what_is_made_ends_as_its_format_ends(name: str, data: bytes) -> None:
    check = ending_check(os.fsencode(name))
    assert check is not None
    check.feed(memoryview(data))
    assert check.verdict().state is State.COMPLETE


def test_sizes_are_kept_and_no_two_files_are_alike() -> None:
    assert [len(make(1, 8_000)) for make in (corpus.png, corpus.jpeg)] == [8_000, 8_000]
    assert sum(map(len, corpus.film(5 * MB))) == 5 * MB
    assert corpus.png(1, 400) != corpus.png(2, 400)
    assert Sizes().scaled(0.1).small == 2_000


def test_an_amount_is_what_lies_there_without_the_librarys_own(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", ".media-sync/marker"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert corpus.amount(tmp_path) == Amount(2, 10)


def test_memory_is_that_of_the_largest_process_wherever_it_is(tmp_path: Path) -> None:
    script = "import time; held = bytearray(60_000_000); time.sleep(0.3)"
    found = run(Command(["sh", "-c", '"$0" -c "$1"; true', sys.executable, script], tmp_path, dict(os.environ)))
    assert 60 * MB < found.peak < 100 * MB
    assert found.seconds > 0.3
    assert 0 < found.cpu < found.seconds + 1


def test_a_contestant_that_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="ended with 3: no room"):
        run(Command(["sh", "-c", "echo no room >&2; exit 3"], tmp_path, dict(os.environ)))


def test_percentiles() -> None:
    values = [n / 1000 for n in range(1000, 0, -1)]
    assert (at(values, 0.5), at(values, 0.99), at([0.5], 0.99)) == (0.501, 0.991, 0.5)


def test_bounds_of_what_was_measured_and_no_others() -> None:
    def took(seconds: float, **more: object) -> dict[str, object]:
        return {"median": seconds, "peak": 50 * MB, "received": 100} | more

    measured: Measured = {
        "A": {"contestants": {"media-sync": took(3.0), "docker cp": took(2.0), "raw drain": took(2.0)}},
        "D": {"new_bytes": 100, "contestants": {"media-sync": took(0.1, received=120), "docker cp": took(2.0)}},
    }
    said = {(v["workload"], v["what"]): (round(v["value"], 3), v["met"]) for v in verdicts(measured)}
    assert said == {
        ("A", "wall over docker cp (aim 0.8)"): (1.5, False),
        ("A", "wall over raw drain"): (1.5, True),
        ("D", "received bytes over new bytes"): (1.2, False),
        ("D", "wall over docker cp of all"): (0.05, True),
    }
    assert {bound.workload for bound in BOUNDS} == {"A", "B", "C", "D", "E", "F", "G", "freeze"}
