"""Files summed up by the folder they lie in."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.models import shown


def by_folder(files: Iterable[tuple[bytes, int]]) -> dict[str, tuple[int, int]]:
    """Count and bytes of each folder, by its name as it is shown; `files` are paths with sizes in bytes."""
    found: dict[bytes, tuple[int, int]] = {}
    for path, size in files:
        folder = path.rpartition(b"/")[0]
        count, before = found.get(folder, (0, 0))
        found[folder] = (count + 1, before + size)
    return {shown(folder): counts for folder, counts in found.items()}
