"""Walking a file that streams by: format scripts ask for what they need, and everything else is passed over.

A script is a generator. It yields one Want at a time and is sent the bytes that the Want gathered; its return value
is the Ending. When the file ends before a Want is filled, Short is raised inside the script, which lets it through
unless the end is allowed there. Memory is what the largest Want keeps, never the file.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator
from enum import StrEnum
from typing import TypeVar

from sidecar.values import dataclass

Bytes = bytes | bytearray | memoryview


class State(StrEnum):
    """Whether a file has the end that its own format promises."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ending:
    """A verdict. `reason` says why it is not COMPLETE, `note` what is odd and harmless; `format` is by content.

    UNKNOWN: this format, or this file of it, has no mark that would show an end.
    """

    state: State
    reason: str = ""
    note: str = ""
    format: str = ""


def complete(note: str = "") -> Ending:
    """The end is there."""
    return Ending(State.COMPLETE, note=note)


def incomplete(reason: str) -> Ending:
    """The end is missing, or the file cannot be a finished one."""
    return Ending(State.INCOMPLETE, reason)


def unknown(reason: str) -> Ending:
    """Nothing in the file tells."""
    return Ending(State.UNKNOWN, reason)


class Short(Exception):
    """The file ended inside a Want; `got` is what it had gathered."""

    def __init__(self, what: str, got: bytes) -> None:
        super().__init__(what)
        self.what = what
        self.got = got


class Want(ABC):
    """One request. `eat` takes bytes from `at` on and answers how far it got; `done` says that it is filled."""

    __slots__ = ("done", "got", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.done = False
        self.got = bytearray()

    @abstractmethod
    def eat(self, view: memoryview, at: int) -> int:
        """Consume from `view[at:]`; answers the new position. Called with at least one byte, while not done."""


class _Counted(Want):
    """A request for a known number of bytes."""

    __slots__ = ("count",)

    def __init__(self, count: int, what: str) -> None:
        super().__init__(what)
        self.count = count
        self.done = count <= 0


class Take(_Counted):
    """Exactly `count` bytes, few of them."""

    __slots__ = ()

    def eat(self, view: memoryview, at: int) -> int:
        stop = min(len(view), at + self.count - len(self.got))
        self.got += view[at:stop]
        self.done = len(self.got) == self.count
        return stop


class Skip(_Counted):
    """Pass over exactly `count` bytes."""

    __slots__ = ()

    def eat(self, view: memoryview, at: int) -> int:
        stop = min(len(view), at + self.count)
        self.count -= stop - at
        self.done = self.count <= 0
        return stop


class SubBlocks(Want):
    """Pass over GIF sub-blocks: a length byte and as many bytes, until a length of 0."""

    __slots__ = ("_left",)

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._left = 0

    def eat(self, view: memoryview, at: int) -> int:
        end = len(view)
        at += self._left
        while at < end:  # once for each 256 bytes
            length = view[at]
            at += length + 1
            if not length:
                self.done = True
                return at
        self._left = at - end
        return end


class Marker(Want):
    """Pass over JPEG entropy-coded data up to the next marker that ends it; gathers the marker's second byte."""

    __slots__ = ("_after_ff",)
    pattern = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
    _inside = frozenset((0x00, *range(0xD0, 0xD8), 0xFF))

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._after_ff = False

    def eat(self, view: memoryview, at: int) -> int:
        if self._after_ff and view[at] not in self._inside:
            stop = at + 1
        else:
            match = self.pattern.search(view, at)
            self._after_ff = view[-1] == 0xFF
            if not match:
                return len(view)
            stop = match.end()
        self.got.append(view[stop - 1])
        self.done = True
        return stop


class NonZero(Want):
    """Pass over zero bytes; gathers the first other one."""

    __slots__ = ()
    _pattern = re.compile(rb"[^\x00]")

    def eat(self, view: memoryview, at: int) -> int:
        match = self._pattern.search(view, at)
        if not match:
            return len(view)
        self.got.append(view[match.start()])
        self.done = True
        return match.end()


class Rest(Want):
    """Everything up to the end of the file: `size` in bytes, and its last `keep` bytes. Never Short."""

    __slots__ = ("keep", "size")

    def __init__(self, keep: int = 0) -> None:
        super().__init__("")
        self.keep = keep
        self.size = 0

    def eat(self, view: memoryview, at: int) -> int:
        end = len(view)
        self.size += end - at
        if self.keep:
            self.got += view[max(at, end - self.keep) :]
            if len(self.got) > 2 * self.keep:
                del self.got[: -self.keep]
        return end

    def tail(self) -> bytes:
        """The last bytes of the file, at most `keep` of them."""
        return bytes(self.got[-self.keep :]) if self.keep else b""


T = TypeVar("T")
Part = Generator[Want, bytes, T]
Script = Part[Ending]


# A 1 GB Ogg takes 800,000 steps, other formats far fewer; a hostile file of empty parts would take one for a few bytes.
_MOST_STEPS = 1_000_000


class Walk:
    """Runs one script over the bytes of one file."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._ending: Ending | None = None
        self._want: Want = Skip(0, "")
        self._steps = 0
        self._advance(None)

    def feed(self, data: Bytes) -> None:
        """The next bytes of the file, in order. What a finished script does not want is ignored."""
        view = memoryview(data)
        at, end = 0, len(view)
        while at < end and self._ending is None:
            at = self._want.eat(view, at)
            if self._want.done:
                self._advance(bytes(self._want.got))

    def finish(self) -> Ending:
        """The file is over."""
        while self._ending is None:
            try:
                if isinstance(self._want, Rest):
                    self._want = self._script.send(self._want.tail())
                else:
                    self._want = self._script.throw(Short(self._want.what, bytes(self._want.got)))
            except StopIteration as stop:
                self._ending = stop.value
            except Short as short:
                self._ending = incomplete(f"ends inside {short.what}")
            else:
                if self._want.done:
                    self._advance(bytes(self._want.got))
        return self._ending

    def _advance(self, got: bytes | None) -> None:
        """Hand over what was gathered, until the script wants bytes again or is through."""
        try:
            self._want = self._script.send(got)  # type: ignore[arg-type]  # the first send of a generator is None
            while self._want.done:
                self._want = self._script.send(bytes(self._want.got))
            self._steps += 1
            if self._steps > _MOST_STEPS:
                self._ending = unknown("a file of more parts than are checked")
        except StopIteration as stop:
            self._ending = stop.value


def trailing(mark: str, seen: int = 0) -> Script:
    """The end mark was read: COMPLETE, with a note of what follows it; `seen` bytes of that were read already."""
    rest = Rest()
    yield rest
    return complete(f"{rest.size + seen} bytes after {mark}" if rest.size + seen else "")
