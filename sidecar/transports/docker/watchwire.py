"""What a watching agent is asked, and what is made of its endless answer. No input or output happens here.

See `agent_watch.py` for the records, `wire.py` for their form. The container is not trusted: malformed records raise
StreamBroken, impossible paths are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.errors import StreamBroken
from sidecar.models import Alive, FileType, Overflow, Problem, Seen, Sight, Standing, clamped
from sidecar.transports.docker import scanwire, wire

HEARTBEAT = 10.0  # seconds between the agent's signs of life
SILENCE = 3.5 * HEARTBEAT  # seconds without one after which the watch counts as dead
HEARD = b"heard\n"  # the host's answer to a sign of life: an agent that misses it for long ends

_STANDS = re.compile(rb"stands (inotify|poll) (\d{1,10})").fullmatch
_BEAT = re.compile(rb"beat (\d{1,20})").fullmatch
_ENDLESS = 1 << 62  # records: nothing is kept of them


def watch_request(token: bytes, root: bytes) -> bytes:
    """Answered by records for `Sights`, until the agent's standard input ends or `wire.quit_request` comes."""
    return wire.request("watch", token, root, [root])


def watch_parser(token: bytes) -> wire.RecordParser:
    """A parser for an answer that goes on for months."""
    return wire.RecordParser(token, max_records=_ENDLESS)


class Sights:
    """Turns records into sights, and remembers who looks."""

    def __init__(self) -> None:
        self.agent_uid = -1
        self.owner = (-1, -1)

    def take(self, records: Iterable[bytes]) -> list[Sight]:
        """Raises StreamBroken for malformed records, RootMissing when the agent says so."""
        found = (self._read(record) for record in records)
        return [sight for sight in found if sight is not None]

    def _read(self, record: bytes) -> Sight | None:
        if record.startswith(b"e "):
            return self._entry(record)
        if beat := _BEAT(record):
            return Alive(clamped(int(beat[1])))
        if stands := _STANDS(record):
            return Standing(stands[1].decode(), int(stands[2]))
        if record == b"overflow":
            return Overflow()
        if hello := scanwire.HELLO(record):
            self.agent_uid = int(hello[1])
            return Alive(clamped(int(hello[2])))
        problems = wire.read_problems([record])
        return problems[0] if problems else None

    def _entry(self, record: bytes) -> Sight | None:
        stat = scanwire.parse_entry(record)
        if not stat.path:
            self.owner = (stat.uid, stat.gid)
            return None
        if wire.UNSAFE_PATH(stat.path):
            return Problem(stat.path, "not a path below the root")
        if stat.type is not FileType.FILE:
            raise StreamBroken("the agent told of something that is no file")
        return Seen(stat)

    def hindered_by(self, sight: Sight) -> bool:
        """Whether a sight shows that the agent's user may not see or read what the root's owner may."""
        if self.agent_uid in (0, self.owner[0]) or self.owner[0] < 0:
            return False
        if isinstance(sight, Seen):
            return not sight.stat.readable_by(self.agent_uid)
        return isinstance(sight, Problem) and sight.reason == "permission denied"
