"""Tells others over the web: a heartbeat for each pass, a signed post for each event.

`guard` decides where requests may go, `sender` brings them there in order and in bounds, `heartbeat` and `webhook` make
them from events.
"""

from sidecar.notify.running import notifying

__all__ = ["notifying"]
