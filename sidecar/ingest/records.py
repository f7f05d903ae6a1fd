"""What sinks are told of a file, from what the manifest holds of it."""

from __future__ import annotations

import hashlib

from sidecar.ingest.base import Record
from sidecar.manifest import Due
from sidecar.models import shown


def record_of(due: Due, library_id: str) -> Record:
    """The record of a file of the library with this ID."""
    return Record(
        key=key_of(due, library_id),
        hash=due.hash.hex(),
        source=due.source,
        path=shown(due.path),
        library_path=shown(due.library_path),
        size=due.size,
        mtime_ns=due.mtime_ns,
        stored_ns=due.stored_ns,
        state=due.state,
        kind=due.kind,
        incomplete=due.incomplete,
        metadata=due.finding.recipe or None,
        problems=due.finding.problems,
    )


def key_of(due: Due, library_id: str) -> str:
    """The same for the same content in the same place, also when the manifest was lost and made anew.

    Two libraries that tell one sink have no key in common, and paths cannot hold what stands between the parts.
    """
    parts = (library_id.encode(), due.source.encode(), due.root, due.path, due.hash.hex().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
