"""Reads under way: archives of the engine and streams of the agent, for worker threads. Imported when first used.

Both end in one tar reader. What it says of names is only ever compared with the names that were asked for.
"""

from __future__ import annotations

import http.client
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import requests
import urllib3

from sidecar.errors import HeldTooLong, MediaSyncError, StreamBroken
from sidecar.models import FileStat, Road, Transfer
from sidecar.transports.docker.client import IDENTITY, Engine, archive_path, refusal
from sidecar.transports.docker.sdk import translated
from sidecar.transports.docker.tar import TarMember, TarReader, TarType

Abort = Callable[[], None]
OnOpen = Callable[[Abort], None]
_FRAME = struct.Struct(">BxxxL")
_STDERR = 2
_BROKEN = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, requests.RequestException)


class TarFile:
    """A member of a stream, under the name that a scan gave it."""

    def __init__(self, member: TarMember, path: bytes) -> None:
        self._member = member
        self.path = path
        self.size = member.size

    def chunks(self) -> Iterator[memoryview]:
        return self._member.chunks()

    def readinto(self, view: memoryview) -> int:
        return self._member.readinto(view)

    def whole(self) -> bytes:
        return self._member.whole()


class TarReading:
    """Files of a tar stream whose names `rename` knows; everything else is passed over.

    `since` is when it was asked for, by the monotonic clock.
    """

    def __init__(self, readinto: Callable[[memoryview], int], rename: Callable[[bytes], bytes | None], *,
                 concatenated: bool = False, open_ended: bool = False, since: float | None = None
                 ) -> None:  # fmt: skip
        self.members = TarReader(readinto, concatenated=concatenated, open_ended=open_ended)
        self._rename = rename
        self._since = time.monotonic() if since is None else since
        self.problems: list[tuple[bytes, str]] = []

    @property
    def received(self) -> int:
        return self.members.received

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def __iter__(self) -> Iterator[TarFile]:
        for member in self.members:
            path = self._rename(member.name)
            if path is not None and member.type is TarType.FILE:
                yield TarFile(member, path)


def connected(engine: Engine, container: str) -> None:
    """Connect the data plane where that was not done yet. Raises EngineUnreachable, EngineRefused."""
    with translated(container):
        _ = engine.data


@contextmanager
def archive(engine: Engine, container: str, path: bytes, stall: float, on_open: OnOpen, hold: float | None = None
            ) -> Iterator[Callable[[memoryview], int]]:  # fmt: skip
    """GET archive of an absolute path: a `readinto` for its tar bytes.

    `stall` seconds without a byte end it; so do `hold` seconds in all, because an open read keeps the container's
    lock (moby#29058). Raises SourceGone for a container that is not there, StreamBroken when the path is not, or when
    cut off.
    """
    with translated(container):
        client = engine.data
        url = f"{client.base_url}/v{client.api_version}{archive_path(container, path)}"
        response = client.get(url, stream=True, headers=IDENTITY, timeout=(engine.timeout, stall))
        with response:
            if response.status_code >= 400:
                raise _refused(container, response.status_code, response.text)
            raw = response.raw
            cut = Cutter(raw.shutdown, hold)
            on_open(cut.now)
            with cut:
                yield reader(raw.readinto, cut)


def _refused(container: str, status: int, body: str) -> MediaSyncError:
    """What an archive's error answer means. The engine says 404 for a missing path as for a missing container."""
    try:
        said = json.loads(body)
        text = str(said["message"]) if isinstance(said, dict) and "message" in said else ""
    except ValueError:  # a proxy's own page
        text = body
    if status == 404 and text and "no such container" not in text.lower():
        return StreamBroken("the engine does not find it any more", hint="was it deleted meanwhile?")
    return refusal(container, status, text)


class Cutter:
    """Ends a read from another thread, or after its time; remembers which."""

    def __init__(self, shutdown: Abort, hold: float | None) -> None:
        self._shutdown = shutdown
        self._timer = threading.Timer(hold, self._expire) if hold else None
        self._cut = self._late = False

    def now(self) -> None:
        self._cut = True
        with suppress(OSError, ValueError, AttributeError):  # it ended by itself meanwhile
            self._shutdown()

    def why(self) -> StreamBroken | None:
        """The error of a read that was cut off; None when it was not."""
        if self._late:
            return HeldTooLong("the read was cut off: it held the container's lock for too long")
        return StreamBroken("the read was cut off") if self._cut else None

    def _expire(self) -> None:
        self._late = True
        self.now()

    def __enter__(self) -> Cutter:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def reader(readinto: Callable[[memoryview], int], cut: Cutter) -> Callable[[memoryview], int]:
    def read(view: memoryview) -> int:
        try:
            got = readinto(view)
        except TimeoutError as error:
            raise StreamBroken("the read stalled", hint="is the engine or its disk overloaded?") from error
        except _BROKEN as error:
            raise cut.why() or StreamBroken(f"the read broke off: {error}") from error
        if got == 0 and (why := cut.why()):  # a connection that was shut down may as well just end
            raise why
        return got

    return read


def below(folder: bytes) -> Callable[[bytes], bytes | None]:
    """Names of an archive of `folder/.`, which begin with `./`, as paths relative to the root."""
    head = folder + b"/" if folder else b""

    def rename(name: bytes) -> bytes | None:
        return head + name[2:] if name.startswith(b"./") and len(name) > 2 else None

    return rename


def archive_target(root: bytes, transfer: Transfer) -> tuple[bytes, Callable[[bytes], bytes | None]]:
    """The absolute path that a FOLDER or FILE transfer asks for, and how its members are named.

    `root/.` follows a root that is a symbolic link, which the plain path would not (moby's Lstat).
    """
    if transfer.road is Road.FOLDER:
        inside = b"/./" + transfer.folder + b"/." if transfer.folder else b"/."
        return root + inside, below(transfer.folder)
    only: FileStat = transfer.files[0]
    return root + b"/./" + only.path, lambda _name: only.path
