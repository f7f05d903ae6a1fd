"""A bounded, pull-based tar reader: it lists and hands out bytes, and never writes, creates or follows anything.

Written for streams that lie: an engine ends a failed archive with HTTP 200 (moby#42884), and a container chooses
every header. So each checksum is verified, each size and count is capped, a stream is complete only after both of
its end blocks, and everything else is StreamBroken. CPython's tarfile ends silently at a broken header past the first
(cpython#157190), and takes three to seven times as long for the same archive.

A name comes from the pax `path`, else the GNU long name, else the header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from sidecar.errors import StreamBroken
from sidecar.models import shown
from sidecar.transports.docker import tarheaders as th
from sidecar.transports.docker.tarheaders import BLOCK, TarType
from sidecar.values import dataclass

__all__ = ["TarLimits", "TarMember", "TarReader", "TarType"]

_ZERO = bytes(BLOCK)
_LONG_LINK, _LONG_NAME, _PAX_GLOBAL = b"KLg"


@dataclass(frozen=True, slots=True)
class TarLimits:
    """What a stream may cost. Sizes in bytes. Going over any of them is StreamBroken.

    `size` caps one member; `name` one GNU long name or link; `meta` all extension blocks in front of one member,
    `extensions` their count; `members` the whole stream. `drain` is no cap on the stream: it is how many bytes after
    a single archive's end blocks are read and counted.
    """

    size: int = 1 << 44
    name: int = 1 << 16
    meta: int = 1 << 20
    extensions: int = 16
    members: int = 10_000_000
    drain: int = 1 << 20


DEFAULT_LIMITS = TarLimits()


class TarMember:
    """One entry. `name` and `linkname` are bytes exactly as in the stream, never cleaned; sizes in bytes.

    `mtime_ns` is ns since the epoch, of any sign and not bounded to 64 bits; `mtime_exact` is true when a pax record
    gave it (the header itself knows whole seconds). `size` is what the stream carries for this member: 0 for links
    and directories, the packed size for SPARSE. `offset` is where its own header starts.
    """

    __slots__ = ("_reader", "gid", "linkname", "mode", "mtime_exact", "mtime_ns", "name", "offset", "size", "type", "uid")  # fmt: skip  # noqa: E501

    def __init__(self, reader: TarReader, offset: int, header: th.Header) -> None:
        self._reader = reader
        self.offset = offset
        self.name = header.name
        self.linkname = header.linkname
        self.type = header.type
        self.size = header.size
        self.mtime_ns = header.mtime_ns
        self.mtime_exact = header.mtime_exact
        self.mode = header.mode
        self.uid = header.uid
        self.gid = header.gid

    def __repr__(self) -> str:
        return f"TarMember({self.name!r}, {self.type}, {self.size} bytes at {self.offset})"

    def chunks(self) -> Iterator[memoryview]:
        """The content as read-only slices of the reader's buffer, each valid only until the next is taken.

        What is not taken is skipped when the next member is asked for. Raises StreamBroken when the content is cut
        short, ValueError when this is not a FILE or the reader has moved on to another member.
        """
        return self._reader._content(self)

    def readinto(self, view: memoryview) -> int:
        """The next bytes of the content into a buffer of one's own, without a copy; answers how many. 0 at its end.

        Raises as `chunks`. What `chunks` gave before is not given again.
        """
        return self._reader._content_into(self, view)

    def whole(self) -> bytes:
        """The content at once, of a member that is known to be small. Raises as `chunks`."""
        return self._reader._whole(self)


class TarReader:
    """Iterates the TarMembers of a stream; ends only when the archive was complete, else raises StreamBroken.

    `readinto` fills the memoryview it is given from the start and answers the count, 0 at the end of the stream; it
    may block, and what it raises passes through. After any error the reader stays broken. With `concatenated`, more
    archives may follow the first until the stream ends; with `open_ended` nothing follows, and the stream does not end:
    nothing is read behind the end blocks. Memory is `buffer_size` plus `limits.meta`, in bytes.
    """

    def __init__(
        self,
        readinto: Callable[[memoryview], int],
        *,
        limits: TarLimits = DEFAULT_LIMITS,
        concatenated: bool = False,
        open_ended: bool = False,
        buffer_size: int = 1 << 18,
    ) -> None:
        if buffer_size < BLOCK:
            raise ValueError(f"a buffer of {buffer_size} bytes does not hold one header")
        self._readinto = readinto
        self._limits = limits
        self._concatenated = concatenated
        self._open_ended = open_ended
        self._view = memoryview(bytearray(buffer_size))
        self._shared = self._view.toreadonly()
        self._start = self._end = 0  # what is buffered and not used yet
        self._received = 0
        self._left = self._pad = 0  # content and padding of the current member that are still to come
        self._current: TarMember | None = None
        self._header_at = 0
        self._alike: th.Alike | None = None  # what is like the last plain file
        self._globals: dict[bytes, bytes] = {}
        self._count = 0
        self._complete = False
        self._failed = ""

    @property
    def complete(self) -> bool:
        """True once both end blocks were read (of the last archive, when concatenated)."""
        return self._complete

    @property
    def received(self) -> int:
        """Bytes taken from `readinto` so far: headers, padding and what was drained after the end included."""
        return self._received

    def __iter__(self) -> TarReader:
        return self

    def __next__(self) -> TarMember:
        if self._failed:
            raise StreamBroken(self._failed)
        if self._complete:
            raise StopIteration
        if self._left or self._pad:
            self._skip()
        self._current = None
        try:
            member = self._member()
        except th.Malformed as error:
            self._break(str(error), at=self._header_at)
        if member is None:
            raise StopIteration
        self._current = member
        return member

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _offset(self) -> int:
        return self._received - (self._end - self._start)

    def _break(self, what: str, name: bytes = b"", *, at: int = -1) -> NoReturn:
        """Every message names the offset, and the member where it is known."""
        who = f"{shown(name[:300])}: " if name else ""
        self._failed = f"{who}{what} at byte {self._offset() if at < 0 else at} of the tar stream"
        self._left = self._pad = 0
        raise StreamBroken(self._failed)

    def _fill(self) -> int:
        """Read more behind what is buffered. Answers the count, 0 at the end of the stream."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._view):
            rest = self._shared[self._start : self._end].tobytes()  # less than a block
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self._taken(self._view[self._end :])
        self._end += count
        return count

    def _taken(self, view: memoryview) -> int:
        try:
            count = self._readinto(view)
        except BaseException:
            self._failed = f"reading failed at byte {self._received} of the tar stream"
            raise
        self._received += count
        return count

    def _block(self) -> bytes:
        """The next 512 bytes, fewer where the stream ends."""
        while self._end - self._start < BLOCK:
            if not self._fill():
                break
        start = self._start
        self._start = min(start + BLOCK, self._end)
        return self._shared[start : self._start].tobytes()

    def _skip(self) -> None:
        """Pass over what is left of the current member and its padding."""
        left = self._left + self._pad
        while (have := self._end - self._start) < left:
            left -= have
            self._start = self._end
            if not self._fill():
                name = self._current.name if self._current is not None else b""
                self._break(f"the stream ends {left} bytes before the member does", name)
        self._start += left
        self._left = self._pad = 0

    def _content(self, member: TarMember, most: int = 1 << 62) -> Iterator[memoryview]:
        if member.type is not TarType.FILE:
            raise ValueError(f"a {member.type} has no content to read: {shown(member.name)}")
        while True:
            if self._failed:
                raise StreamBroken(self._failed)
            if self._current is not member:
                raise ValueError(f"the reader has moved on from {shown(member.name)}")
            if not self._left:
                return
            if self._start == self._end and not self._fill():
                self._break(f"the stream ends {self._left} bytes before the member does", member.name)
            start = self._start
            stop = min(self._end, start + min(self._left, most))
            self._start = stop
            self._left -= stop - start
            yield self._shared[start:stop]

    def _content_into(self, member: TarMember, view: memoryview) -> int:
        if self._start < self._end or self._current is not member or member.type is not TarType.FILE:
            chunk = next(self._content(member, len(view)), None)
            if chunk is None:
                return 0
            view[: len(chunk)] = chunk
            return len(chunk)
        if self._failed:
            raise StreamBroken(self._failed)
        most = min(len(view), self._left)
        if not most:
            return 0
        count = self._taken(view[:most])
        if not count:
            self._break(f"the stream ends {self._left} bytes before the member does", member.name)
        self._left -= count
        return count

    def _whole(self, member: TarMember) -> bytes:
        start, stop = self._start, self._start + self._left
        if self._current is member and member.type is TarType.FILE and self._left == member.size and stop <= self._end:
            self._start, self._left = stop, 0
            return self._shared[start:stop].tobytes()
        return b"".join(chunk.tobytes() for chunk in self._content(member))

    def _data(self, size: int) -> bytes:
        """Content of an extension header, whose size is known to be within the limits; its padding is passed over."""
        data = bytearray()
        want = size + -size % BLOCK
        while len(data) < want:
            if self._start == self._end and not self._fill():
                self._break("the stream ends inside an extension header")
            stop = min(self._end, self._start + want - len(data))
            data += self._shared[self._start : stop]
            self._start = stop
        return bytes(data[:size])

    # -- headers -------------------------------------------------------------------------------------------------

    def _member(self) -> TarMember | None:
        """The next member with what its extension headers say, or None at a complete end."""
        long: dict[int, bytes] = {}
        local: dict[bytes, bytes] = {}
        meta = seen = 0
        while True:
            block = self._block()
            if block == _ZERO or len(block) < BLOCK:
                if long or local:
                    self._break("the stream ends after an extension header")
                block = self._past_end(block)
                if not block:
                    return None
            self._header_at = self._offset() - BLOCK
            if self._alike is not None and not seen and not self._globals and (found := self._alike.read(block)):
                return self._like_the_last(self._alike, *found)
            th.verify(block)
            flag = block[156]
            if flag not in th.EXTENSIONS:
                return self._build(block, long, local, meta)
            size = th.size_of(block, self._limits.size)
            seen += 1
            meta += BLOCK + size
            if seen > self._limits.extensions or meta > self._limits.meta:
                self._break(f"{seen} extension headers of {meta} bytes for one member")
            if flag not in (_LONG_NAME, _LONG_LINK):
                th.records(self._data(size), self._globals if flag == _PAX_GLOBAL else local)
            elif size > self._limits.name + 1:
                self._break(f"a name of {size} bytes")
            else:
                long[flag] = th.text(self._data(size))

    def _like_the_last(self, alike: th.Alike, name: bytes, size: int, mtime_ns: int) -> TarMember:
        self._counted()
        member = TarMember(self, self._header_at, alike.model)
        member.name, member.size, member.mtime_ns = name, size, mtime_ns
        self._left, self._pad = size, -size % BLOCK
        return member

    def _counted(self) -> None:
        self._count += 1
        if self._count > self._limits.members:
            self._break(f"more than {self._limits.members} members")

    def _build(self, block: bytes, long: Mapping[int, bytes], local: Mapping[bytes, bytes], meta: int) -> TarMember:
        self._counted()
        pax = {**self._globals, **local} if local or self._globals else {}
        name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or long.get(_LONG_NAME) or th.header_name(block)
        try:
            header = th.Header(block, name, long.get(_LONG_LINK, b""), pax, self._limits.size)
        except th.Malformed as error:
            self._break(str(error), name, at=self._header_at)
        if block[156] == th.GNU_SPARSE:
            self._skip_sparse_map(block, name, meta)
        self._left, self._pad = header.size, -header.size % BLOCK
        if not pax and not long and th.Alike.serves(block):
            self._alike = th.Alike(block, header, self._limits.size)
        return TarMember(self, self._header_at, header)

    def _skip_sparse_map(self, block: bytes, name: bytes, meta: int) -> None:
        """GNU sparse members carry their map in further blocks in front of the content."""
        more = block[482]
        while more:
            meta += BLOCK
            if meta > self._limits.meta:
                self._break(f"{meta} bytes of sparse map for one member", name)
            extra = self._block()
            if len(extra) < BLOCK:
                self._break("the stream ends inside a sparse map", name)
            more = extra[504]

    # -- the end -------------------------------------------------------------------------------------------------

    def _past_end(self, block: bytes) -> bytes:
        """Judge a zero or short block. Answers the first header of a further archive, b"" at the complete end."""
        if len(block) < BLOCK:
            self._break("the stream ends inside a header" if block else "the stream ends without its end blocks")
        second = self._block()
        if second != _ZERO:
            self._break("a lone zero block" if len(second) == BLOCK else "the stream ends between its end blocks")
        self._globals.clear()
        if self._concatenated:
            while (more := self._block()) == _ZERO:
                pass
            if more.strip(b"\0"):
                if len(more) < BLOCK:
                    self._break("the stream ends inside a header")
                return more
        elif not self._open_ended:
            self._drain()
        elif self._start != self._end:
            self._break("bytes behind the end blocks")
        self._complete = True
        return b""

    def _drain(self) -> None:
        drained = 0
        while drained <= self._limits.drain:
            drained += self._end - self._start
            self._start = self._end
            if not self._fill():
                return
