"""What comes before a deletion, a batch ahead of it: copies prove themselves, and the intent is recorded."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sidecar.cleanup.plan import Candidate, undelivered
from sidecar.jobs.waiting import finished
from sidecar.library import Library
from sidecar.manifest import Ended, Manifest, SourceKey
from sidecar.media.kinds import PRIVATE_PREFIX
from sidecar.models import PurgeItem
from sidecar.values import dataclass

BATCH = 256  # originals whose copies are proven, and whose intents are recorded, at a time
BATCH_BYTES = 256 << 20  # where they are large, fewer: what was proven waits no longer than it takes to read so much
PROVERS = 2  # threads that re-read copies
_SHARE = 64  # copies that a thread takes at a time
_DIGITS = 24  # of a private name, which nobody can guess


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


@dataclass(frozen=True, slots=True)
class Proven:
    """A batch: whose copies proved themselves, what the agent is to be told of them, and why others have to stay:
    `doubtful` copies, and originals that it is too `early` for, because a required sink has not got them.
    """

    sound: Sequence[Candidate]
    items: Sequence[PurgeItem]
    doubtful: Sequence[tuple[Candidate, str]]
    early: Sequence[tuple[Candidate, str]]


class Prover:
    """Threads that prove batches for one job. `close` ends them within the moment, whatever they are reading."""

    def __init__(self, library: Library, manifest: Manifest, key: SourceKey, job: str, clock_ns: Callable[[], int],
                 required: Sequence[str] = ()) -> None:  # fmt: skip
        self._library = library
        self._manifest = manifest
        self._key = key
        self._job = job
        self._clock_ns = clock_ns
        self._required = required
        self._readers = ThreadPoolExecutor(PROVERS, "prove")
        self._recorder = ThreadPoolExecutor(1, "intend")
        self._stop = threading.Event()

    def begin(self, some: Sequence[Candidate], owner: tuple[int, int], ended: Sequence[Ended]) -> Future[Proven]:
        """Re-read the copies of a batch, and record the intent to delete those originals whose copies are sound.

        In the same commit goes what became of those before, `ended`. Copies that are not sound are not trusted any
        more. The answer raises LibraryUnsafe when the library is not in its place, and then nothing was recorded;
        besides that TooManyOpen, and what the manifest raises.
        """
        shares = [self._readers.submit(self._reasons, some[at : at + _SHARE]) for at in range(0, len(some), _SHARE)]
        return self._recorder.submit(self._record, some, shares, owner, ended)

    def _reasons(self, some: Sequence[Candidate]) -> list[str]:
        found = self._library.rehash_all([c.library_path for c in some], self._stop)
        return [_judged(candidate, copy) for candidate, copy in zip(some, found, strict=True)]

    def _record(self, some: Sequence[Candidate], shares: Sequence[Future[list[str]]], owner: tuple[int, int],
                ended: Sequence[Ended]) -> Proven:  # fmt: skip
        reasons = [reason for share in shares for reason in share.result()]
        self._library.check_marker()  # else it says nothing that a copy is missing
        judged = list(zip(some, reasons, strict=True))
        doubtful = [(candidate, reason) for candidate, reason in judged if reason]
        sound, early = self._delivered([candidate for candidate, reason in judged if not reason])
        if doubtful:
            self._manifest.distrust([candidate.file_id for candidate, _ in doubtful], self._clock_ns())
        items = _items(sound)
        if items or ended:
            intents = [(c.file_id, item.private) for c, item in zip(sound, items, strict=True)]
            self._manifest.intend(self._key, self._job, intents, owner, self._clock_ns(), ended)
        return Proven(sound, items, doubtful, early)

    def _delivered(self, some: Sequence[Candidate]) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
        """Those that every required sink has got, and the others with the reason to stay."""
        lacking = self._manifest.deliveries.lacking(self._required, [candidate.file_id for candidate in some])
        early = [(c, undelivered(c.file_id, lacking)) for c in some if c.file_id in lacking]
        return [c for c in some if c.file_id not in lacking], early

    async def close(self) -> None:
        """End the threads, also when cancelled meanwhile."""
        self._stop.set()
        await finished(asyncio.to_thread(self._shut_down))

    def _shut_down(self) -> None:
        self._readers.shutdown(cancel_futures=True)
        self._recorder.shutdown(cancel_futures=True)


def _judged(candidate: Candidate, copy: tuple[bytes, int] | None) -> str:
    """Why a copy does not stand for its original; "" when its bytes, re-read from disk, do."""
    if copy is None:
        return "its library copy is missing"
    if copy != (candidate.sha256, candidate.stat.size):
        return "its library copy is damaged"
    return ""


def _items(candidates: Sequence[Candidate]) -> list[PurgeItem]:
    digits = secrets.token_hex(_DIGITS // 2 * len(candidates)).encode()
    return [
        PurgeItem(c.stat.path, c.stat.size, c.stat.mtime_ns, c.stat.exact, c.sha256,
                  PRIVATE_PREFIX + digits[_DIGITS * n : _DIGITS * (n + 1)])
        for n, c in enumerate(candidates)
    ]  # fmt: skip
