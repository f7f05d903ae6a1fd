"""Files are stored as they are finished: one watch per running source, and what it told of pulled when it settled."""

from sidecar.watchers.keeper import Watchers

__all__ = ["Watchers"]
