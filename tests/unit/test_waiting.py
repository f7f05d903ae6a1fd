"""What must not be left half done is not, however often it is told to stop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sidecar.jobs.waiting import finished


async def test_a_second_cancellation_cuts_nothing_off() -> None:
    begun, go, done = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait(30)
        done.set()

    async def careful() -> bool:
        try:
            await finished(asyncio.to_thread(work))
        finally:
            assert done.is_set()
        return True

    task = asyncio.create_task(careful())
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_its_answer_and_its_error_come_through() -> None:
    assert await finished(asyncio.sleep(0, "answer")) == "answer"

    async def wrong() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finished(wrong())
