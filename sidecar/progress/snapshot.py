"""What progress looks like at one moment, as frozen values, and what shows them."""

from __future__ import annotations

from typing import Protocol

from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """Where one source of a job stands: all of it, the folder that is worked on, and the file.

    Bytes and files; `rate` in bytes per second, `eta` in seconds, None while unknown. Where several of its files are
    read at the same time, `folder` and `file` are of the one begun last. `finished` when nothing more is awaited;
    what did not come until then never will in this job.
    """

    name: str
    folder: str = ""
    file: str = ""
    file_bytes_done: int = 0
    file_bytes_total: int = 0
    folder_bytes_done: int = 0
    folder_bytes_total: int = 0
    folder_files_done: int = 0
    folder_files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    rate: float = 0.0
    eta: float | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a job stands. Bytes and files; `rate` in bytes per second; `eta` in seconds, None while unknown.

    `source`, `folder` and `file` are what was begun last; `sources` holds each source by itself, in the order in
    which they were begun. `job` is the job's ID, "" before it has one.
    """

    action: str
    source: str = ""
    folder: str = ""
    file: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    rate: float = 0.0
    eta: float | None = None
    sources: tuple[SourceProgress, ...] = ()
    job: str = ""


class View(Protocol):
    """Shows progress. `update` comes at most ten times a second, `close` once at the end; from any thread."""

    def update(self, now: Snapshot) -> None:
        """Show this."""

    def close(self, now: Snapshot) -> None:
        """Show the last state and let go of the screen."""
