"""Durable, whole-or-absent, no-overwrite storage of bytes under safe names."""

from sidecar.errors import FolderGone, TooManyOpen
from sidecar.library.batch import Batch, Placed
from sidecar.library.marker import OWN_FOLDER, read_marker
from sidecar.library.names import tagged
from sidecar.library.staged import Staged
from sidecar.library.store import Library

__all__ = ["OWN_FOLDER", "Batch", "FolderGone", "Library", "Placed", "Staged", "TooManyOpen", "read_marker", "tagged"]
