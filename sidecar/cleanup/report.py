"""What a purge of one source did, or would do: the object that `purge --json` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from itertools import chain, islice
from typing import Any

from sidecar.errors import MediaSyncError, Refused
from sidecar.models import shown
from sidecar.values import dataclass

FAULTY = ("failed", "unknown")  # outcomes of files that did not go as they should


@dataclass(slots=True)
class PurgeReport:
    """Counts are files, sizes bytes. `files` holds (path, outcome, reason) of every file of the source's roots."""

    name: str
    candidates: int = 0
    purged: int = 0
    failed: int = 0
    bytes_freed: int = 0
    bytes_to_free: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    refused: str | None = None
    declined: bool = False
    files: list[tuple[bytes, str, str]] = field(default_factory=list)
    folders_removed: int = 0
    seconds: float = 0.0
    error: MediaSyncError | None = None

    @property
    def ok(self) -> bool:
        """Whether all went as planned; a source that is switched off, and was not asked for by name, did."""
        return not self.failed and (self.refused is None or self.declined) and self.error is None

    def keep(self, path: bytes, reason: str) -> None:
        """One file stays."""
        self.kept[reason] += 1
        self.files.append((path, "kept", reason))

    def fail(self, path: bytes, outcome: str, reason: str) -> None:
        """One file did not go as it should: `failed`, or `unknown` where nobody could tell what became of it."""
        self.failed += 1
        self.files.append((path, outcome, reason))

    def cut_short(self, error: MediaSyncError) -> None:
        """Note what ended the purge before its end; what a guard said counts as a refusal, too."""
        self.error = error
        if isinstance(error, Refused):
            self.refused = self.refused or error.line()

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """The promised shape of `--json`, with `bytes_to_free`, `folders_removed`, `seconds` and `error` besides.

        No more than `most` files are in it, those that failed before all others.
        """
        files: Iterable[tuple[bytes, str, str]] = self.files
        if most is not None and len(self.files) > most:
            failed, rest = (f for f in self.files if f[1] in FAULTY), (f for f in self.files if f[1] not in FAULTY)
            files = islice(chain(failed, rest), most)
        told: dict[str, Any] = {
            "name": self.name,
            "candidates": self.candidates,
            "purged": self.purged,
            "kept": dict(self.kept),
            "bytes_freed": self.bytes_freed,
            "bytes_to_free": self.bytes_to_free,
            "failed": self.failed,
            "refused": self.refused,
            "folders_removed": self.folders_removed,
            "seconds": round(self.seconds, 3),
            "error": self.error.line() if self.error else None,
            "files": [{"path": shown(p), "outcome": outcome, "reason": reason} for p, outcome, reason in files],
        }
        more = len(self.files) - len(told["files"])
        return told | {"files_more": more} if more else told
