"""Awaiting what must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end, however often this is cancelled meanwhile; the cancellation is raised after it.

    A task is easily cancelled twice: by who wants it to stop, and by the group that it is in.
    """
    task = asyncio.ensure_future(work)
    told: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            told = error
    if told is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # taken note of, so that nobody complains that it was not
    raise told
