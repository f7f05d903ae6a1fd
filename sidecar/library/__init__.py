"""Durable, whole-or-absent, no-overwrite storage of bytes under safe names."""

from sidecar.errors import FolderGone, TooManyOpen
from sidecar.library.marker import OWN_FOLDER, read_marker
from sidecar.library.names import tagged
from sidecar.library.store import Library, Placed, Staged

__all__ = ["OWN_FOLDER", "FolderGone", "Library", "Placed", "Staged", "TooManyOpen", "read_marker", "tagged"]
