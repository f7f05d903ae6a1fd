"""Brings requests to one address: one after another, with a time-out and retries, from a queue that cannot grow."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import field

from loguru import logger

from sidecar.config import place_of
from sidecar.http_client import aiohttp
from sidecar.jobs.retrying import tried
from sidecar.notify.guard import TargetRefused
from sidecar.notify.posting import NoAddress, NoAnswer, comes_later, open_session, post, wrong
from sidecar.values import dataclass

WAITING = 1000  # requests that may wait; the oldest make way
ATTEMPTS = 5
LAST_WORDS = 0.15  # seconds that what still waits gets at the end


class _Pointless(Exception):
    """An answer that will not change."""


def _mends(error: Exception) -> bool:
    return isinstance(error, NoAnswer)


@dataclass(frozen=True, slots=True)
class Message:
    """One POST. `headers` are made when it is sent, from its body: a signature carries the time."""

    url: str
    body: bytes
    headers: Callable[[bytes], Mapping[str, str]] = field(default=lambda _body: {})
    what: str = ""


class Sender:
    """Sends what is put into it while `running`. `name` is how log lines call it, `timeout` is of one attempt, in s."""

    def __init__(self, name: str, *, timeout: float, allow_private: bool, wait: float = 1.0) -> None:
        self._name = name
        self._timeout = timeout
        self._allow_private = allow_private
        self._wait = wait
        self._lock = threading.Lock()
        self._queue: deque[Message] = deque()
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._well = True
        self._ended = False
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Queue a message, from any thread. When too many wait, the oldest is dropped."""
        with self._lock:
            full = len(self._queue) >= WAITING
            if full:
                self._queue.popleft()
                self.dropped += 1
                first = self.dropped == 1
            self._queue.append(message)
        if full and first:
            logger.warning("{}: more than {} messages wait: the oldest are dropped", self._name, WAITING)
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._idle.clear()
        self._ready.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send meanwhile; what waits at the end gets a moment."""
        async with open_session(self._timeout, allow_private=self._allow_private) as session:
            sending = asyncio.create_task(self._send_all(session), name=f"{self._name} sender")
            try:
                yield
            finally:
                await self.last_words()
                sending.cancel()
                await asyncio.wait([sending])

    async def last_words(self) -> None:
        """Give what still waits a moment to be sent, once; for who ends several senders at a time."""
        if self._ended:
            return
        self._ended = True
        await asyncio.sleep(0)  # what other threads have just put is seen
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), LAST_WORDS)

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            with self._lock:
                message = self._queue.popleft() if self._queue else None
                if message is None:
                    self._ready.clear()
                    if self.dropped:
                        logger.warning("{}: {} messages were dropped", self._name, self.dropped)
                        self.dropped = 0
            if message is None:
                self._idle.set()
                await self._ready.wait()
                continue
            await self._deliver(session, message)

    async def _deliver(self, session: aiohttp.ClientSession, message: Message) -> None:
        """Send one message, and say so only when that begins to fail, or works again."""
        try:
            async for attempt in tried(_mends, ATTEMPTS, self._wait, 30 * self._wait, self._wait / 2):
                with attempt:
                    await self._once(session, message)
        except (NoAnswer, NoAddress, _Pointless, TargetRefused) as error:
            if self._well:
                told = error.line() if isinstance(error, TargetRefused) else str(error)
                logger.warning("{} to {} failed: {}", self._name, place_of(message.url), told)
            self._well = False
            return
        except Exception as error:  # a mistake of ours: one message, and not all that come after it
            logger.error("{}: unexpected {}: {} — please report it", self._name, type(error).__name__, error)
            self._well = False
            return
        if not self._well:
            logger.info("{} to {} works again", self._name, place_of(message.url))
        self._well = True

    async def _once(self, session: aiohttp.ClientSession, message: Message) -> None:
        status = await post(session, message.url, message.body, message.headers(message.body),
                            allow_private=self._allow_private)  # fmt: skip
        if comes_later(status):
            raise NoAnswer(wrong(status))
        if wrong(status):
            raise _Pointless(wrong(status))
