"""The time left as it is told while a real engine delivers, against what came true.

A line of known speed stands between: what a shared machine does meanwhile must not decide. Few large files come first
and many small ones behind them, in folders that are read one after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from sidecar.config import load
from sidecar.progress import ProgressManager, Snapshot
from sidecar.workspace import open_workspace
from tests.conftest import MakeGenerator
from tests.engine.commands import heavy_png
from tests.engine.purging import bench
from tests.rig.program import Program
from tests.rig.proxy import EngineProxy

pytestmark = pytest.mark.alone

PROMISED = 0.25  # of the truth, after a third of a long transfer
RATE = 3_750_000  # bytes per second
TIMES_A_SECOND = 10


class Record:
    """A view that remembers what was told, and when. The first word of work to do calls `begun`."""

    def __init__(self, begun: Callable[[], None]) -> None:
        self.told: list[tuple[float, Snapshot]] = []
        self._begun = begun

    def update(self, now: Snapshot) -> None:
        """Remember this."""
        if not self.told:
            self._begun()
        self.told.append((time.monotonic(), now))

    def close(self, now: Snapshot) -> None:
        """Remember the end."""
        self.told.append((time.monotonic(), now))


async def test_the_time_left_is_right_after_a_third(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    large = {f"a{number // 2}/{number}.png": heavy_png(2_200_000, number) for number in range(8)}
    small = {f"b{number // 70}/{number}.png": heavy_png(34_000, 100 + number) for number in range(350)}
    made.put(large | small, age=100)
    # folders and groups as small beside this transfer as they usually are beside a long one
    sync = {"max_freeze": "60ms", "group_files": "40", "group_bytes": "8MiB"}
    settings = {"library": str(cli.library), "state": str(cli.state), "sync": sync}
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:

        def slow() -> None:  # looking is no part of the transfer
            proxy.rate = RATE

        record = Record(slow)
        progress = ProgressManager("sync", (record,))
        loaded = load(settings | {"host": proxy.host}, env={}, cwd=tmp_path, sources=[f"gen={made.name}:{made.root}"])
        async with open_workspace(loaded, {}) as work:
            report = await work.orchestrator.sync([], progress)
            progress.close()
    assert report.sync[0].stored == len(large) + len(small), report.as_json()
    begun, last = record.told[0][0], record.told[-1][1]
    ended = next(at for at, now in record.told if now.files_done == now.files_total)
    assert (last.files_done, last.bytes_done) == (358, last.bytes_total)
    span = ended - begun
    told = [(round(at - begun, 2), round(now.eta or 0.0, 2), round(ended - at, 2))
            for at, now in record.told if begun + span / 3 <= at <= begun + 0.8 * span]  # fmt: skip
    assert len(told) > 10
    # the middle one: on a machine that others use, too, single moments go by what these do
    miss = median(abs(eta - true) / true for _, eta, true in told)
    assert miss <= PROMISED, f"of {span:.1f} s; at, told, true: {told}"
    # how far apart is the business of tests/unit/test_progress, by a clock that nobody holds up
    assert len(record.told) <= TIMES_A_SECOND * (record.told[-1][0] - begun) + 2


async def test_a_check_of_all_copies_knows_what_is_to_come(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    same = heavy_png(5000, 1)  # of the same content in two places each place is checked
    made.put({f"s/{n % 3}/{n}.png": heavy_png(5000, n) for n in range(30)} | {"again.png": same}, age=100)
    async with bench(cli, made) as parts:
        assert (await parts.sync()).ok
        progress = ProgressManager("verify")
        report = await parts.work.orchestrator.verify([], progress)
        assert report.ok
    now = progress.snapshot()
    assert (now.job, now.eta) == (report.job, 0.0)
    (source,) = now.sources
    assert (source.files_done, source.files_total, source.bytes_done) == (31, 31, source.bytes_total)
    assert source.folder_files_done == source.folder_files_total
