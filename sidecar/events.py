"""What happened, as frozen values, and the bus that tells whoever listens. Anyone may emit."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from loguru import logger

from sidecar.jobs.job import JobView
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a job of a source. `path` is relative to its root, bytes; sizes in bytes."""

    job: str
    source: str


@dataclass(frozen=True, slots=True)
class FileStored(Event):
    """A file is in the library, durable and recorded. `library_path` is relative to the library."""

    path: bytes
    library_path: bytes
    sha256: bytes
    size: int
    duplicate: bool
    incomplete: str | None


@dataclass(frozen=True, slots=True)
class FileFailed(Event):
    """A file could not be stored in this pass."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SourceRead(Event):
    """Reads of a source have ended. `received` are the bytes that came over the wire.

    `froze` has, for each read that held the engine's lock on a running container, for how long, in seconds.
    """

    received: int
    froze: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FilePurged(Event):
    """An original was deleted."""

    path: bytes
    size: int


@dataclass(frozen=True, slots=True)
class FileKept(Event):
    """An original was to be deleted and was not, because it did not prove what it should."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class FileRestored(Event):
    """An original that an interrupted purge had moved away is back under its own name."""

    path: bytes


@dataclass(frozen=True, slots=True)
class JobChanged(Event):
    """A job was queued, began, was joined by another request, or ended. `source` is "": a job may have many."""

    view: JobView


@dataclass(frozen=True, slots=True)
class SourceChanged(Event):
    """Discovery found a source that was not there, lost one, or found it in another state. `job` is "".

    `change` is `found`, `gone` or `changed`; `state` is its container's, "" where there is none any more.
    """

    change: str
    state: str


@dataclass(frozen=True, slots=True)
class SourceSlowed(Event):
    """A source keeps failing: passes leave it alone until `until_ns`. `until_ns` 0 says that it works again."""

    failures: int
    until_ns: int
    reason: str


Listener = Callable[[Event], None]


class Bus:
    """Hands every event to every listener, in the thread that emits it. A listener must be quick.

    One that raises is a mistake of ours, which is logged: no picture is lost because nobody could be told of it.
    """

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the answer takes it away again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:
                logger.error("{} was not told everywhere: unexpected {}: {} — please report it, with what --log-level "
                             "debug adds", type(event).__name__, type(error).__name__, error)  # fmt: skip
                logger.debug("{}", traceback.format_exc())
