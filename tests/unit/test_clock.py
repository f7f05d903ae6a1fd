"""A clock that jumps makes nothing old."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.cleanup.clock import ClockWatch, Reading, judged, read_clocks
from sidecar.manifest import Manifest
from sidecar.models import NS

HOUR = 3600 * NS
START = Reading("boot-a", 1000 * HOUR, 500_000 * HOUR)


def later(reading: Reading, boot: int, wall: int) -> Reading:
    return replace(reading, boot_ns=reading.boot_ns + boot, wall_ns=reading.wall_ns + wall, jumped_ns=None)


@pytest.mark.parametrize(
    ("now", "jumped"),
    [
        (later(START, HOUR, HOUR), False),
        (later(START, HOUR, HOUR + 60 * NS), False),  # a minute of slewing is no jump
        (later(START, HOUR, 720 * HOUR), True),
        (later(START, HOUR, -720 * HOUR), True),
        (replace(later(START, -999 * HOUR, 5 * HOUR), boot="boot-b"), False),
        (replace(later(START, -999 * HOUR, -5 * HOUR), boot="boot-b"), True),
    ],
)
def test_a_jump_is_what_the_boot_clock_did_not_see(now: Reading, jumped: bool) -> None:
    assert (judged(START, now).jumped_ns is not None) is jumped


def test_the_real_clocks_pass_alike() -> None:
    before = read_clocks()
    assert judged(before, read_clocks()).jumped_ns is None


def test_after_a_jump_ages_count_from_it(tmp_path: Path) -> None:
    manifest = Manifest.open(tmp_path)
    now = [START]
    watch = ClockWatch(manifest, lambda: now[0])
    watch.look()
    now[0] = later(START, HOUR, 720 * HOUR)
    assert "clock jumped" in str(watch.refusal(24 * HOUR)), "noticed at the purge itself"
    watch.look()
    now[0] = later(now[0], 23 * HOUR, 23 * HOUR)
    watch.look()
    assert "another 60 minutes" in str(watch.refusal(24 * HOUR))
    now[0] = later(now[0], HOUR, HOUR)
    assert watch.refusal(24 * HOUR) is None
    manifest.close()
