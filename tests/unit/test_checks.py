"""What hangs is asked once, waited for a little, and cut off by nobody."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from sidecar.api import checks, previews
from sidecar.api.checks import Checked
from sidecar.api.previews import Previews
from sidecar.api.problems import Problem
from sidecar.events import Bus, FilePurged
from sidecar.jobs.work import Tools


async def test_probes_do_not_pile_up_on_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.05)
    asked, answer = 0, asyncio.Event()

    async def ask() -> Checked:
        nonlocal asked
        asked += 1
        await answer.wait()
        return Checked(True, "well")

    part = checks._Shared(ask, lambda: 0.0)
    for _ in range(2):
        found = await asyncio.gather(*(part() for _ in range(5)))
        assert set(found) == {Checked(False, "no answer within 0.05 s")}
    answer.set()
    await asyncio.sleep(0)
    assert await part() == Checked(True, "well")
    assert asked == 1


async def test_who_waits_too_long_for_the_look_of_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "PATIENCE", 0.05)
    made = Previews(cast(Tools, None))
    async with made._alone():
        with pytest.raises(Problem, match="somebody else is looking") as refused:
            async with asyncio.timeout(30), made._alone():
                pass
        assert refused.value.status == 503
    async with made._alone():
        pass


def test_a_listener_that_fails_keeps_nothing_from_the_others() -> None:
    bus, heard = Bus(), list[object]()

    def broken(_: object) -> None:
        raise ValueError("a mistake")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    bus.emit(FilePurged("j", "a", b"/o", b"x", 1))
    assert len(heard) == 1
