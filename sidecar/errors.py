"""The one error root. Foreign errors are translated where they enter; every error says what to do next."""

from __future__ import annotations


class MediaSyncError(Exception):
    """Anything that this program reports in one line.

    `str(error)` names the thing and what is wrong; `hint` says what to do. `transient` is true when the same call
    may succeed later without anybody changing anything.
    """

    transient = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """Message and hint as the one line that a person reads."""
        return f"{self} — {self.hint}" if self.hint else str(self)


class ConfigError(MediaSyncError):
    """Settings, labels or arguments that cannot be meant. `problems` holds one line for each."""

    def __init__(self, message: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class UnknownSource(ConfigError):
    """A source or container was named that is not there."""


class RootMissing(ConfigError):
    """The output folder does not exist in the source."""


class EngineUnreachable(MediaSyncError):
    """The Docker Engine, or the host of another transport, does not answer."""

    transient = True


class EngineRefused(MediaSyncError):
    """The engine answered, and said no (permissions, a proxy without the right, an unknown API)."""


class SourceGone(MediaSyncError):
    """The container was removed, or stopped, while it was being worked on."""

    transient = True


class AgentFailed(MediaSyncError):
    """The agent inside the container did not start, or ended without its closing record."""

    transient = True


class StreamBroken(MediaSyncError):
    """A transfer ended early, stalled, or was not well formed. Nothing of the broken member was kept."""

    transient = True


class HeldTooLong(StreamBroken):
    """A read was cut off, because it held its container's lock for longer than any may."""


class Refused(MediaSyncError):
    """A guard said no, and nothing was changed."""


class LibraryUnsafe(Refused):
    """The library cannot be trusted now: its marker is gone, it belongs to another state, or cannot be written."""


class NameUnusable(MediaSyncError):
    """One name cannot be stored in the library (unsafe, too long, a file where a folder must be)."""


class LibraryFull(MediaSyncError):
    """No space is left for copies. Nothing partial was kept."""

    transient = True


class FolderGone(MediaSyncError):
    """A folder of the library was moved or deleted while it was written to. Nothing of the group was recorded."""

    transient = True


class TooManyOpen(MediaSyncError):
    """No file can be opened, for too many are. Nothing is wrong with the disk."""

    transient = True


class Locked(Refused):
    """Another process works on the same library or state."""


class ManifestDamaged(Refused):
    """The manifest does not open or does not pass its own integrity check."""


class KeepsFailing(MediaSyncError):
    """A source failed so often that it is left alone for a while."""

    transient = True


class TooManyJobs(MediaSyncError):
    """So many jobs wait that no more are taken."""

    transient = True


class Cancelled(MediaSyncError):
    """The job was told to stop; what was finished is kept."""
