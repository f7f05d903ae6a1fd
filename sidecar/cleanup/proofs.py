"""Copies prove themselves, a batch ahead of the one whose originals are being deleted, so that neither side waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sidecar.cleanup.plan import Candidate
from sidecar.library import Library
from sidecar.waiting import finished

BATCH = 256  # originals whose copies are proven, and whose intents are recorded, at a time
BATCH_BYTES = 256 << 20  # where they are large, fewer: what was proven waits no longer than it takes to read so much
PROVERS = 2  # threads that re-read copies
_SHARE = 64  # copies that a thread takes at a time
Proofs = Sequence[Future[list[str]]]


def batches(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """All of them in their order, up to BATCH files or BATCH_BYTES at a time, one file at least."""
    some: list[Candidate] = []
    size = 0
    for candidate in candidates:
        if some and (len(some) == BATCH or size + candidate.stat.size > BATCH_BYTES):
            yield some
            some, size = [], 0
        some.append(candidate)
        size += candidate.stat.size
    if some:
        yield some


class Provers:
    """The threads. `close` ends them within the moment, whatever they are reading."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._pool = ThreadPoolExecutor(PROVERS, "prove")
        self._stop = threading.Event()

    def begin(self, some: Sequence[Candidate]) -> Proofs:
        """Start to re-read the copies of a batch."""
        return [self._pool.submit(self._prove, some[at : at + _SHARE]) for at in range(0, len(some), _SHARE)]

    async def reasons(self, proofs: Proofs) -> list[str]:
        """Why each copy does not stand for its original; "" when its bytes, re-read, do. Raises TooManyOpen."""
        return [reason for share in proofs for reason in await asyncio.wrap_future(share)]

    def _prove(self, some: Sequence[Candidate]) -> list[str]:
        found = self._library.rehash_all([c.library_path for c in some], self._stop)
        return [_judged(candidate, copy) for candidate, copy in zip(some, found, strict=True)]

    async def close(self) -> None:
        """End the threads, also when cancelled meanwhile."""
        self._stop.set()
        await finished(asyncio.to_thread(self._pool.shutdown, cancel_futures=True))


def _judged(candidate: Candidate, copy: tuple[bytes, int] | None) -> str:
    if copy is None:
        return "its library copy is missing"
    if copy != (candidate.sha256, candidate.stat.size):
        return "its library copy is damaged"
    return ""
