"""The one batch that a test's library is filled by, as the committer of a pass has one."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sidecar.library import Batch, Library

_BATCHES: WeakKeyDictionary[Library, Batch] = WeakKeyDictionary()


def batch_of(library: Library) -> Batch:
    """The library's batch for the source `gen`, the same every time."""
    if library not in _BATCHES:
        _BATCHES[library] = library.batch("gen")
    return _BATCHES[library]
