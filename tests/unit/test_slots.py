"""Reads and open files that several sources share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.errors import Cancelled
from sidecar.sync.slots import Slots

NEVER = threading.Event()


def test_no_more_reads_at_once_than_there_are_slots() -> None:
    slots, lock = Slots(2), threading.Lock()
    now = most = 0
    both = threading.Barrier(2)

    def read(number: int) -> None:
        nonlocal now, most
        with slots.reading(NEVER):
            with lock:
                now += 1
                most = max(most, now)
            if number < 2:
                both.wait(30)  # two are let in together
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(40)))
    assert most == 2


def test_a_reader_that_waits_for_a_slot_can_be_told_to_stop() -> None:
    slots, stop = Slots(1), threading.Event()
    with slots.reading(NEVER), ThreadPoolExecutor(1) as pool:

        def second() -> None:
            with slots.reading(stop):
                raise AssertionError("there is one slot, and it is taken")

        waiting = pool.submit(second)
        stop.set()
        with pytest.raises(Cancelled):
            waiting.result(30)
    with slots.reading(NEVER):
        pass  # what was taken was given back


def test_files_that_are_open_are_bounded_and_come_back() -> None:
    slots = Slots(1, files=10)
    assert slots.reserve(7, NEVER, lambda: None) == 7
    pressed: list[str] = []
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        slots.reserve(4, stop, lambda: pressed.append("let go"))
    assert pressed == ["let go"]
    slots.give_back(7)
    assert slots.reserve(4000, NEVER, lambda: None) == 10, "more than there are in all are never waited for"


def test_who_presses_for_room_gets_what_is_let_go() -> None:
    slots = Slots(1, files=10)
    held = slots.reserve(8, NEVER, lambda: None)
    assert slots.reserve(5, NEVER, lambda: slots.give_back(held)) == 5


def test_memory_for_small_files_is_bounded_and_comes_back() -> None:
    memory = Slots(1, held=100).memory
    assert memory.take(60)
    assert not memory.take(41)
    assert memory.take(40)
    memory.give_back(60)
    assert memory.take(60)
    assert not memory.take(1)
