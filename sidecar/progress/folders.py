"""Files summed up by the folder they lie in."""

from __future__ import annotations

from collections.abc import Iterable


def by_folder(files: Iterable[tuple[bytes, int]]) -> dict[bytes, tuple[int, int]]:
    """Count and bytes of each folder; `files` are paths with sizes in bytes."""
    found: dict[bytes, tuple[int, int]] = {}
    for path, size in files:
        folder = path.rpartition(b"/")[0]
        count, before = found.get(folder, (0, 0))
        found[folder] = (count + 1, before + size)
    return found
