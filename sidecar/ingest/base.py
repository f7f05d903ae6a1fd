"""What a sink is, and what it is told. Plugins need this module, `sidecar.errors` and `sidecar.ingest.testing` alone.

A package offers a sink through the entry-point group `media_sync.sinks`: a name, and a factory that is called with the
options that stand in the settings (`ingest.sinks.NAME`, all values but the common ones, as text) and answers a
`MediaIngest`, or raises ConfigError for options it cannot use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.errors import MediaSyncError

GROUP = "media_sync.sinks"


class SinkDown(MediaSyncError):
    """The sink cannot be reached now: the same batch comes again, after a while, for as long as it takes."""

    transient = True


class SinkRefused(MediaSyncError):
    """The sink will not take this batch, ever. It is told again in halves, until the one record is found that it
    refuses; that one is set aside for `media-sync ingest retry`, and the others go on.
    """


@dataclass(frozen=True, slots=True)
class Record:
    """A file that was pulled, as far as is known when it is told; its place is (`source`, `path`), its content `hash`.

    Attributes:
        key: The same in every delivery of this file, and of no other: a path whose content changed is another file.
        hash: SHA-256 of the content, hex.
        source: The source's name.
        path: Relative to its root in the source; bytes that are not UTF-8 are percent-encoded.
        library_path: Relative to the library, likewise.
        size: Bytes.
        mtime_ns: When the generator wrote it, ns since the epoch.
        stored_ns: When it was recorded, ns since the epoch.
        state: `stored`, or what became of the original: `purged`, `vanished` or `replaced`.
        kind: `image`, `video`, `audio`, `mesh`, `text` or `other`.
        incomplete: What is missing from it; None when it is whole.
        metadata: What it says of its making, in JSON's types; None where nothing is known.
        problems: What went wrong in reading it, in a line each.
    """

    key: str
    hash: str
    source: str
    path: str
    library_path: str
    size: int
    mtime_ns: int
    stored_ns: int
    state: str
    kind: str
    incomplete: str | None = None
    metadata: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it in JSON's types. Texts may hold lone surrogates, so JSON is to be written in ASCII."""
        told = {name: getattr(self, name) for name in _FIELDS}
        return told | {"problems": list(self.problems)}


_FIELDS = tuple(Record.__dataclass_fields__)


class MediaIngest(Protocol):
    """A receiver of records. One call at a time, in order; the same batch may come again after a crash.

    Any method may raise SinkDown or SinkRefused; anything else counts as SinkDown and is logged as the sink's mistake.
    """

    async def open(self) -> None:
        """Reach it, make what it needs there. Called again after SinkDown, without a `close` in between."""

    async def ingest(self, batch: Sequence[Record]) -> None:
        """Make these known, replacing what it knows under the same keys. Durable when it returns."""

    async def retract(self, batch: Sequence[Record]) -> None:
        """The originals of these are gone from their source; the copies are still in the library. May be told of keys
        it does not know, which it then keeps as well.
        """

    async def close(self) -> None:
        """Let go of everything; idempotent."""


Factory = Callable[[Mapping[str, str]], MediaIngest]
