"""The contract that every transport keeps. Engines know nothing else about where files come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from sidecar.models import (
    Basis,
    Capabilities,
    Check,
    FileStat,
    LeftOut,
    PurgeItem,
    PurgeResult,
    Scan,
    Sight,
    Source,
    Transfer,
)
from sidecar.values import dataclass


class Member(Protocol):
    """One file inside a running read. Its chunks must be consumed, in order, before the next member is asked for."""

    @property
    def path(self) -> bytes:
        """Relative to the root, exactly as a scan names it."""

    @property
    def size(self) -> int:
        """Bytes announced by the stream."""

    def chunks(self) -> Iterator[memoryview]:
        """The content. A view is valid only until the next one is taken.

        Raises StreamBroken when the content ends before `size` bytes.
        """

    def readinto(self, view: memoryview) -> int:
        """The next bytes into a buffer of one's own, in place of `chunks`; how many, 0 at the end.

        Raises StreamBroken as `chunks` does.
        """

    def whole(self) -> bytes:
        """The content at once, in place of `chunks`, of a member that is known to be small. Raises StreamBroken."""


class Reading(Protocol):
    """A read under way. Iterating gives whole members; a broken stream raises StreamBroken after the last good one.

    When iteration ends without an error the stream was complete to its end mark; that says nothing about files that
    were asked for and did not come.
    """

    def __iter__(self) -> Iterator[Member]: ...

    @property
    def received(self) -> int:
        """Bytes taken from the wire so far, headers and padding included."""

    @property
    def seconds(self) -> float:
        """How long it has been under way at the source, without what it waited for its turn there."""

    @property
    def problems(self) -> Sequence[tuple[bytes, str]]:
        """Files that the source reported as unreadable: path and reason."""


class TransportAdapter(Protocol):
    """One source, reached. Made for one generation of it; cheap to make, closed by `close`.

    All paths are relative to the root given. Every method may raise SourceGone (removed or stopped meanwhile),
    EngineUnreachable, EngineRefused; all are safe to repeat.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What can be done now; known after `scan`."""

    async def prepare(self) -> Capabilities:
        """Find out what can be done, changing nothing; `scan` does so too."""

    async def scan(self, root: bytes, basis: Basis | None = None) -> Scan:
        """List everything under `root`. Raises RootMissing. Cancelling leaves nothing behind in the source.

        A transport that knows no marks takes no notice of a basis. With an empty one, everything is looked at and
        listed; where it names a folder without a shape, every file of it is looked at.
        """

    async def restat(self, root: bytes, paths: Sequence[bytes]) -> dict[bytes, FileStat]:
        """Stat again, by name. What is not there any more is missing from the answer."""

    def turn(self, transfer: Transfer) -> AbstractContextManager[None]:
        """Wait, in a worker thread, until this read may begin beside others of this source; `read` goes inside.

        The wait holds nothing that readers of other sources need.
        """

    def read(
        self, root: bytes, transfer: Transfer, on_open: Callable[[Callable[[], None]], None]
    ) -> AbstractContextManager[Reading]:
        """Start one bounded read; blocking, for a worker thread. Leaving the context closes it at once.

        `on_open` receives a function that any thread may call to abort the read (it then raises StreamBroken).
        """

    def watch(self, root: bytes) -> AsyncGenerator[Sight, None]:
        """Tell of files as they are finished, without scanning, for as long as the answer is iterated.

        Only where `capabilities.watch` says so. Endless: it ends by being closed (`contextlib.aclosing`), which leaves
        nothing behind in the source, or by an error. Raises RootMissing; SourceGone, AgentFailed, StreamBroken and
        EngineUnreachable when the watch broke, also when the root was replaced by another folder: watch again, and
        scan for what was missed. A file may be told of more than once, and may be gone or not settled by then.
        """

    def purge(
        self, root: bytes, batches: AsyncIterator[Sequence[PurgeItem]], owner: tuple[int, int]
    ) -> AsyncIterator[PurgeResult]:
        """Delete originals as `owner`, each only if it still is what its item says; one answer for each item.

        Batches are pulled one at a time, the next after the results of the last one were delivered. An item without
        an answer (the container died) is unknown: its intent is settled by `settle_private` later.
        """

    async def settle_private(
        self, root: bytes, items: Sequence[tuple[bytes, bytes]], owner: tuple[int, int]
    ) -> dict[bytes, str]:
        """Undo what an interrupted purge left: (path, private name) pairs; moves private files back without replacing.

        Answers path -> `restored` (moved back), `absent` (neither a private file nor a need), `stranded`.
        """

    async def remove_empty(self, root: bytes, folders: Sequence[bytes], owner: tuple[int, int]) -> list[bytes]:
        """rmdir the folders that are empty; answers those that went."""

    async def close(self) -> None:
        """Release connections, but for those of watches; idempotent. What is asked afterwards connects anew."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What there is to pull from, what could have been and is not, and lines that the operator should see."""

    sources: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]


class Change(StrEnum):
    """What may happen to a source's container."""

    STARTED = "started"
    STOPPED = "stopped"
    REMOVED = "removed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Happened:
    """One change. `token` is the generation it happened to; `at_ns` by the clock of whoever told."""

    change: Change
    token: str
    name: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Until now nobody listened: anything may have happened. `reason` is why, in a line; "" for the beginning."""

    reason: str


class SourceProvider(Protocol):
    """Finds the sources of one kind of transport, and the way to each."""

    @property
    def transport(self) -> str:
        """How its sources are reached, in a word: `docker`, `local`, `ssh`."""

    async def discover(self) -> Discovery:
        """Look again. Raises EngineUnreachable, EngineRefused; what concerns single sources is in the answer."""

    async def ping(self) -> None:
        """Ask the host for a sign of life, and nothing else. Raises EngineUnreachable, EngineRefused."""

    def examine(self) -> AsyncIterator[Check]:
        """What `doctor` says of the host. Raises EngineUnreachable, EngineRefused."""

    @property
    def tells(self) -> bool:
        """Whether `happenings` ever tells anything."""

    def happenings(self) -> AsyncGenerator[Happened | Gap, None]:
        """What happens to containers, from now on and for ever; also those that are no sources.

        Outlives its engine: what was lost meanwhile is a Gap. Tells one, too, when it is first heard. Raises nothing.
        """

    async def adapter(self, source: Source) -> TransportAdapter:
        """The way to one source of the last discovery. The caller closes it."""

    async def close(self) -> None:
        """Release connections; idempotent, and `discover` may be called again."""
