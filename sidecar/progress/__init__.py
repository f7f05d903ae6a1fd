"""How far a job is: one place that counts, at the levels of job, source, folder and file, and whoever shows it.

The manager counts; the pace turns what was counted into a rate and the time that is left; a view shows snapshots.
"""

from sidecar.progress.folders import by_folder
from sidecar.progress.manager import FileCount, ProgressManager, stored
from sidecar.progress.snapshot import Snapshot, SourceProgress, View

__all__ = ["FileCount", "ProgressManager", "Snapshot", "SourceProgress", "View", "by_folder", "stored"]
