"""A large file between two threads: all of it, in order, in bounded memory, and no thread left behind."""

from __future__ import annotations

import hashlib
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.sync.relay import BUFFER, BUFFERS, relay


def threads() -> int:
    return sum(thread.name == "relay" for thread in threading.enumerate())


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 7 * BUFFER), seed=st.integers(0, 1 << 16))
def test_every_byte_in_order(size: int, seed: int) -> None:
    dice = random.Random(seed)
    data = dice.randbytes(size)
    at = 0
    digest = hashlib.sha256()

    def fill(view: memoryview) -> int:
        nonlocal at
        count = min(len(view), dice.choice((1000, 70_000, BUFFER)))
        view[:count] = data[at : at + count]
        at += count
        return count

    relay(size, fill, digest.update)
    assert (at, digest.digest()) == (size, hashlib.sha256(data).digest())
    assert threads() == 0


def test_the_wire_is_read_no_further_than_the_ring_is_long() -> None:
    go, ahead = threading.Event(), 0

    def fill(view: memoryview) -> int:
        nonlocal ahead
        ahead += len(view)
        if ahead == BUFFERS * BUFFER:
            threading.Timer(0.2, go.set).start()
        assert go.is_set() or ahead <= BUFFERS * BUFFER
        return len(view)

    def take(_: memoryview) -> None:
        assert go.wait(30)

    relay(20 * BUFFER, fill, take)
    assert ahead == 20 * BUFFER


@pytest.mark.parametrize("where", ["fill", "take"])
@pytest.mark.parametrize("when", [1, 3, 9])
def test_what_fails_ends_both(where: str, when: int) -> None:
    calls = {"fill": 0, "take": 0}

    def step(name: str) -> None:
        calls[name] += 1
        if name == where and calls[name] == when:
            raise OSError("disk full")

    def fill(view: memoryview) -> int:
        step("fill")
        return len(view)

    with pytest.raises(OSError, match="disk full"):
        relay(100 * BUFFER, fill, lambda _: step("take"))
    assert calls["fill"] <= when + BUFFERS + 1
    assert threads() == 0
