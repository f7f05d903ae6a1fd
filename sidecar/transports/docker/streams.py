"""The agent's streams of files, for worker threads: an exec whose standard output is a tar, standard error its records.

Starting an agent costs the engine and the container more than reading a picture. One in Python ends each answer with
one archive exactly, so its stream is kept for the next read; a shell's tar may pad, and is read to the stream's end.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sidecar.errors import StreamBroken
from sidecar.transports.docker import wire
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.reading import Cutter, OnOpen, TarReading, reader
from sidecar.transports.docker.sdk import translated
from sidecar.values import dataclass

KEPT = 2  # streams that stay open for each user: as many as commonly read at once
_FRAME = struct.Struct(">BxxxL")
_STDERR = 2


@dataclass(slots=True)
class _Link:
    """One agent's connection. `fresh` until the agent was sent its own program."""

    user: str
    opened: Any
    socket: socket.socket
    fresh: bool = True

    def close(self) -> None:
        with suppress(
            OSError
        ):  # an agent that waits for a request ends by this, where a closed input does not reach it
            self.socket.sendall(wire.quit_request())
        self.opened.close()
        self.socket.close()


class AgentStreams:
    """The streams of one container. Safe to use from several threads; `stall` is seconds without a byte."""

    def __init__(self, engine: Engine, container: str, stall: float) -> None:
        self._engine = engine
        self._container = container
        self._stall = stall
        self._idle: list[_Link] = []
        self._lock = threading.Lock()
        self._closes = 0

    @contextmanager
    def read(self, start: wire.Start, user: str, root: bytes, paths: Sequence[bytes], on_open: OnOpen
             ) -> Iterator[TarReading]:  # fmt: skip
        """The agent's tar of exactly these files. It takes no lock, and sees tmpfs."""
        token, since, kept = wire.new_token(), time.monotonic(), start.scanner == "python"
        with translated(self._container):
            closes, link = self._closes, (self._take(user) if kept else None) or self._open(start, user)
            cut = Cutter(lambda: link.socket.shutdown(socket.SHUT_RDWR), None)
            on_open(cut.now)
            whole = False
            try:
                with cut:
                    link.socket.sendall((start.preamble if link.fresh else b"") + wire.tar_request(token, root, paths)
                                        + (b"" if kept else wire.quit_request()))  # fmt: skip
                    link.fresh = False
                    frames = Frames(link.socket, wire.RecordParser(token))
                    reading = TarReading(reader(frames.readinto, cut), _undotted, concatenated=not kept,
                                         open_ended=kept, since=since)  # fmt: skip
                    yield reading
                    frames.finish_records() if kept else frames.finish()
                    problems = wire.read_problems(frames.records)
                    reading.problems += [(p.path, p.reason) for p in problems if p.path]
                    if notes := [p.reason for p in problems if not p.path]:  # of some file, and nobody knows of which
                        raise StreamBroken(f"the container's tar complained: {notes[0]}")
                    # what nobody took may still be on its way, and would be taken for the next read's
                    whole = kept and reading.members.complete and cut.why() is None
            finally:
                self._put(link, closes, whole=whole)

    def warm(self, start: wire.Start, user: str) -> None:
        """Start the agent of a first read in advance. Raises as `read` does."""
        with translated(self._container):
            closes, link = self._closes, self._open(start, user)
            try:
                link.socket.sendall(start.preamble)
                link.fresh = False
            finally:
                self._put(link, closes, whole=not link.fresh)

    def close(self) -> None:
        """End the agents that wait; idempotent. Those that are read from end with their read."""
        with self._lock:
            self._closes += 1
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    def _open(self, start: wire.Start, user: str) -> _Link:
        made = self._engine.data.exec_create(self._container, list(start.argv), stdin=True, user=user)
        opened: Any = self._engine.data.exec_start(made["Id"], socket=True)
        link: socket.socket = getattr(opened, "_sock", opened)
        link.settimeout(self._stall)
        return _Link(user, opened, link)

    def _take(self, user: str) -> _Link | None:
        with self._lock:
            found = next((link for link in self._idle if link.user == user), None)
            if found is not None:
                self._idle.remove(found)
            return found

    def _put(self, link: _Link, closes: int, *, whole: bool) -> None:
        """Keep what ended well, unless enough are kept, or all of them were let go meanwhile."""
        with self._lock:
            if whole and closes == self._closes and sum(one.user == link.user for one in self._idle) < KEPT:
                self._idle.append(link)
                return
        link.close()


class Frames:
    """Takes the engine's multiplexed exec stream apart: standard output is the tar, standard error the records.

    The engine sends frames of 32 KB and less; reading many at once costs a copy, and saves two system calls for each.
    """

    SIZE = 1 << 18

    def __init__(self, link: socket.socket, parser: wire.RecordParser) -> None:
        self._link = link
        self._parser = parser
        self._buffer = memoryview(bytearray(self.SIZE))
        self._start = self._end = 0
        self._left = 0  # bytes of standard output that the present frame still holds
        self.records: list[bytes] = []

    def readinto(self, view: memoryview) -> int:
        """Fill `view` with what is there of standard output, waiting only when nothing is; 0 at the end."""
        filled = 0
        while filled < len(view):
            if self._left == 0 and not self._next_frame(wait=filled == 0):
                break
            if self._start == self._end and (filled or not self._fill()):
                if filled:
                    break
                raise StreamBroken("the agent's stream ended inside a frame")
            count = min(self._left, self._end - self._start, len(view) - filled)
            view[filled : filled + count] = self._buffer[self._start : self._start + count]
            self._start += count
            self._left -= count
            filled += count
        return filled

    def finish(self) -> None:
        """Read what is left of the records; raises AgentFailed when they lack their end."""
        rest = memoryview(bytearray(1 << 16))
        while not self._parser.finished and self.readinto(rest):
            continue
        self._parser.require_finished()

    def finish_records(self) -> None:
        """The same where the stream goes on for another read: nothing but records may come. Raises StreamBroken."""
        while not self._parser.finished:
            if self._left:
                raise StreamBroken("the agent sent bytes behind its archive")
            if self._end - self._start < _FRAME.size and not self._fill():
                break
            if self._end - self._start >= _FRAME.size:
                stream, size = _FRAME.unpack_from(self._buffer, self._start)
                self._start += _FRAME.size
                if stream == _STDERR:
                    self._take(self._exactly(size))
                else:
                    self._left = size
        self._parser.require_finished()

    def _next_frame(self, *, wait: bool) -> bool:
        """Go to the next frame of standard output; False at the end, or when it is not here yet and `wait` is off."""
        while self._left == 0:
            if self._end - self._start < _FRAME.size:
                if not wait:
                    return False
                if not self._fill():
                    if self._start != self._end:
                        raise StreamBroken("the agent's stream ended inside a frame")
                    return False
                continue
            stream, size = _FRAME.unpack_from(self._buffer, self._start)
            self._start += _FRAME.size
            if stream == _STDERR:
                self._take(self._exactly(size))
            else:
                self._left = size
        return True

    def _fill(self) -> bool:
        """Read more from the wire; False at its end."""
        rest = self._end - self._start
        if self._start:
            self._buffer[:rest] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, rest
        got = self._link.recv_into(self._buffer[self._end :])
        self._end += got
        return got > 0

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            if self._start == self._end and not self._fill():
                raise StreamBroken("the agent's stream ended inside a frame")
            count = min(size, self._end - self._start)
            parts.append(bytes(self._buffer[self._start : self._start + count]))
            self._start += count
            size -= count
        return b"".join(parts)

    def _take(self, data: bytes) -> None:
        if not self._parser.finished:
            self.records += self._parser.feed(data)


def _undotted(name: bytes) -> bytes | None:
    return name.removeprefix(b"./")
