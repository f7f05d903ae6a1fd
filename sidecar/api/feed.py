"""The live feed: a snapshot, then what changes, numbered, so that a client that was away for a while can go on.

Events are told as `sidecar.telling.wire` has them, the frequent ones to those clients alone that ask for their types.
Messages are kept in a ring. Each client has a short queue of its own; one that does not keep up is dropped, and neither
the others nor the work ever wait for it. Everything here runs in the event loop, `Feed.take` alone in any thread.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sidecar.api.flow import Flow
from sidecar.events import FREQUENT, Bus, Event, FileEvent, type_of
from sidecar.telling.wire import as_json
from sidecar.values import dataclass

KEPT = 1000  # messages for clients that come back
KEPT_SIZE = 4 * 2**20  # of their text: a job's report may be long
QUEUED = 2 * KEPT  # messages that a client may be behind
QUEUED_SIZE = 2 * KEPT_SIZE
CLIENTS = 32  # at once
TICK = 0.1  # seconds: progress is told at most ten times each
SINGLY = 20  # events of files within a tick that are told one by one; the rest are counted
OFTEN = 100  # the same of the frequent types

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Message:
    """`of` is the job whose progress it tells; a later one of the same job says all that this one says.

    `frequent` is the type of event that it is about, where that is one to be asked for.
    """

    seq: int
    text: str
    of: str = ""
    frequent: str = ""

    @property
    def lasting(self) -> bool:
        """Whether it is of use to who comes back: the next progress says more, and the frequent is too much."""
        return not self.of and not self.frequent


class Client:
    """One client's place in the feed. `also` are the frequent types that it asked for."""

    def __init__(self, first: list[_Message], also: Collection[str] = ()) -> None:
        self.also = frozenset(also)
        self._queue = deque(first)
        self._size = sum(len(message.text) for message in first)
        self._progress: dict[str, _Message] = {}  # by job, in the order of their numbers
        self._filled = asyncio.Event()
        self.too_slow = asyncio.Event()

    async def next(self) -> str:
        """The next message, once there is one."""
        while not self._queue and not self._progress:
            self._filled.clear()
            await self._filled.wait()
        job, progress = next(iter(self._progress.items()), ("", None))
        if progress is None or (self._queue and self._queue[0].seq < progress.seq):
            text = self._queue.popleft().text
            self._size -= len(text)
            return text
        del self._progress[job]
        return progress.text

    def offer(self, message: _Message) -> None:
        """Queue a message. Of a job's progress only the newest waits; of all else no more than so many do."""
        if message.frequent and message.frequent not in self.also:
            return
        if message.of:
            self._progress.pop(message.of, None)
            self._progress[message.of] = message
        elif len(self._queue) >= QUEUED or self._size > QUEUED_SIZE:
            self.too_slow.set()
            return
        else:
            self._queue.append(message)
            self._size += len(message.text)
        self._filled.set()


class Feed:
    """Numbers what happens and hands it to the clients. `running` has to be entered for it to hear anything.

    `jobs` gives the jobs that are queued or run, in the API's shape; `progress` how far each running one is, by ID.
    """

    def __init__(self, jobs: Callable[[], list[Json]], progress: Callable[[], Mapping[str, Json]]) -> None:
        self.epoch = secrets.token_hex(8)  # of this process: numbers begin anew with it
        self._jobs = jobs
        self._progress = progress
        self._seq = 0
        self._ring: deque[_Message] = deque()
        self._ring_size = 0
        self._forgotten = 0  # the last number that fell out of the ring
        self._clients: set[Client] = set()
        self._shown: dict[str, Json] = {}
        self._singly, self._often = Flow(SINGLY), Flow(OFTEN)
        self._bus: Bus | None = None
        self._asked: tuple[frozenset[str], Callable[[], None]] = (frozenset(), lambda: None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def running(self, bus: Bus) -> AsyncIterator[None]:
        """Listen to the bus while the body runs; at its end every client is sent away. If it dies, so does the body."""
        self._loop, self._bus = asyncio.get_running_loop(), bus
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(self._tick(), name="feed")
            ignore = bus.subscribe(self.take)
            try:
                yield
            finally:
                ignore()
                self._asked[1]()
                self._bus = None
                self._closing.set()
                ticking.cancel()

    def take(self, event: Event) -> None:
        """Something happened. Quick, and safe in any thread."""
        kind = type_of(event)
        if kind is None or self._loop is None or self._loop.is_closed():
            return
        frequent = type(event) in FREQUENT
        if not isinstance(event, FileEvent) or (self._often if frequent else self._singly).passes(kind):
            self._loop.call_soon_threadsafe(self._happened, event, kind if frequent else "")

    @contextmanager
    def joined(self, since: int | None, epoch: str | None, also: Collection[str] = ()) -> Iterator[Client | None]:
        """A client's place: what it missed after `since`, or a snapshot where that is not known any more.

        `also` are frequent types of events that it wants, from now on. None when there are too many clients.
        """
        if len(self._clients) >= CLIENTS:
            yield None
            return
        client = Client(self._missed(since, epoch) or [self._snapshot()], also)
        self._clients.add(client)
        self._ask()
        try:
            yield client
        finally:
            self._clients.discard(client)
            self._ask()

    async def closing(self) -> None:
        """Wait until the feed ends."""
        await self._closing.wait()

    def _ask(self) -> None:
        """Hear of the frequent types that some client wants, and of no others: nobody makes those for nobody."""
        wanted, (asked, leave) = frozenset(kind for client in self._clients for kind in client.also), self._asked
        if self._bus is not None and wanted != asked:
            leave()
            kinds = [kind for kind, name in FREQUENT.items() if name in wanted]
            self._asked = (wanted, self._bus.subscribe(self.take, *kinds) if kinds else lambda: None)

    def _missed(self, since: int | None, epoch: str | None) -> list[_Message] | None:
        if since is None or epoch != self.epoch or not self._forgotten <= since <= self._seq:
            return None
        missed = [message for message in self._ring if message.seq > since]
        return [_Message(since, json.dumps({"type": "resumed", "epoch": self.epoch, "seq": since})), *missed]

    def _snapshot(self) -> _Message:
        body = {"type": "snapshot", "epoch": self.epoch, "seq": self._seq, "jobs": self._jobs()}
        return _Message(self._seq, json.dumps(body, ensure_ascii=False))

    def _happened(self, event: Event, frequent: str) -> None:
        self._say({"type": "event"}, event=as_json(event), frequent=frequent)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for kind, count in self._singly.over().items():
                self._say({"type": "more", "of": kind, "count": count})
            for kind, count in self._often.over().items():
                self._say({"type": "more", "of": kind, "count": count}, frequent=kind)
            if self._clients:
                self._tell_progress()

    def _tell_progress(self) -> None:
        now = dict(self._progress())
        for job, shape in now.items():
            if self._shown.get(job) != shape:
                self._say({"type": "progress", "job": job, "progress": shape}, of=job)
        self._shown = now

    def _say(self, body: Json, *, of: str = "", event: str | None = None, frequent: str = "") -> None:
        """Number a message and hand it to the clients; `event` is the text of the one that it tells."""
        self._seq += 1
        text = json.dumps({"seq": self._seq, **body}, ensure_ascii=False)
        if event is not None:
            text = f'{text[:-1]}, "event": {event}}}'
        message = _Message(self._seq, text, of, frequent)
        if message.lasting:
            self._ring.append(message)
            self._ring_size += len(message.text)
            while len(self._ring) > KEPT or self._ring_size > KEPT_SIZE:
                oldest = self._ring.popleft()
                self._ring_size -= len(oldest.text)
                self._forgotten = oldest.seq
        for client in self._clients:
            client.offer(message)
