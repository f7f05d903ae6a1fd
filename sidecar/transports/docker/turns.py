"""Turns at a container's lock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Turns:
    """Who may use a container's lock: one archive at a time, or questions, which go first.

    The engine makes the others wait anyway (moby#29058), but with their time-outs running.
    """

    POLL = 0.002

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reading = False
        self._asking = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """For a worker thread: nobody else reads or asks meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reading and self._asking == 0)
            self._reading = True
        try:
            yield
        finally:
            with self._changed:
                self._reading = False
                self._changed.notify_all()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """For the event loop: no archive is open meanwhile."""
        with self._changed:
            self._asking += 1
        try:
            while self._reading:  # noqa: ASYNC110 (it is a thread that ends it)
                await asyncio.sleep(self.POLL)
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()
