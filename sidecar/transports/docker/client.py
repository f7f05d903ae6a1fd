"""The two clients of one engine, and the translation of the first one's errors.

aiodocker is the control plane: list, inspect, HEAD, exec. The docker SDK is the data plane (see `sdk.py`): archive and
exec streams read by worker threads. Both ask for `Accept-Encoding: identity`, because the engine gzips what a client
says it can unpack (tenfold slower), and both have a read timeout.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime
import email.utils
import json
import os
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from yarl import URL

from sidecar.config import ResolvedHost
from sidecar.errors import ConfigError, EngineRefused, EngineUnreachable, MediaSyncError, SourceGone
from sidecar.http_client import aiodocker, aiohttp
from sidecar.models import NS, clamped
from sidecar.values import dataclass

if TYPE_CHECKING:
    import docker

IDENTITY = {"Accept-Encoding": "identity"}
NO_CONNECTION = 900  # the status that aiodocker makes up when nobody answers
ID = 64  # characters of a container's ID, of which twelve are enough for people
_API = re.compile(r"[0-9]+\.[0-9]+")
_DIRECTORY_BIT = 1 << 31  # Go's os.ModeDir, as the engine's JSON carries it
_LINK_BIT = 1 << 27


@dataclass(frozen=True, slots=True)
class PathInfo:
    """What HEAD archive tells of one path: size in bytes, mtime in ns since the epoch."""

    size: int
    mtime_ns: int
    is_dir: bool
    is_link: bool
    link_target: str


class EventsForbidden(EngineRefused):
    """A proxy keeps the engine's events to itself."""


class Engine:
    """One Docker Engine, connected. Made by `connect`, closed by `close`."""

    def __init__(self, host: ResolvedHost, control: aiodocker.Docker, session: aiohttp.ClientSession,
                 timeout: float, version: dict[str, Any]) -> None:  # fmt: skip
        self.host = host
        self.control = control
        self.timeout = timeout
        self.version = version
        self._session = session
        self._data: docker.APIClient | None = None
        self._connecting = threading.Lock()

    @classmethod
    async def connect(cls, host: ResolvedHost, timeout: float) -> Engine:  # noqa: ASYNC109 (of each answer)
        """Reach the engine and agree on an API version; `timeout` in seconds for each answer.

        Raises EngineUnreachable (nobody answers) or EngineRefused (it answered, and said no).
        """
        where = host.url
        patience = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        session = aiohttp.ClientSession(connector=_connector(host), headers=IDENTITY, timeout=patience)
        try:
            with translated(where):
                version = await _version(session, host)
        except BaseException:
            await session.close()
            raise
        # aiodocker heeds its own argument and not the session's; on exec streams it lifts the read timeout itself
        control = aiodocker.Docker(url=_http_base(host), connector=session.connector, session=session,
                                   timeout=patience, api_version=f"v{version['ApiVersion']}")  # fmt: skip
        return cls(host, control, session, timeout, version)

    @property
    def data(self) -> docker.APIClient:
        """The data plane, for worker threads; connected when first asked for. Raises what the SDK does.

        To import it takes longer than a whole pass in which nothing is fetched.
        """
        from sidecar.transports.docker.sdk import connect

        with self._connecting:
            if self._data is None:
                self._data = connect(self.host, self.timeout, self.version["ApiVersion"])
            return self._data

    @property
    def identity(self) -> str:
        """Address, version and kernel: what decides how long its reads take, as far as it tells without being asked."""
        return f"{self.host.url} {self.version.get('Version', '')} {self.version.get('KernelVersion', '')}"

    async def close(self) -> None:
        """Close both clients; idempotent."""
        if self._data is not None:
            self._data.close()
        await self.control.close()
        await self._session.close()

    async def inspect_all(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """`docker inspect` of every container, stopped ones too; of those that did not answer, what the list says.

        Raises EngineUnreachable when not one of them answered.
        """
        with translated(self.host.url):
            listed = await self.control.containers.list(all=True)
        answers = await asyncio.gather(*(self._inspect_or_why_not(c.id) for c in listed))
        silent = [answer for answer in answers if isinstance(answer, EngineUnreachable)]
        if silent and len(silent) == len(listed):
            raise silent[0]
        found = [answer for answer in answers if isinstance(answer, dict)]
        return found, [c._container for c, answer in zip(listed, answers, strict=True) if answer in silent]

    async def _inspect_or_why_not(self, container: str) -> dict[str, Any] | EngineUnreachable | None:
        try:
            return await self.inspect(container)
        except SourceGone:
            return None
        except EngineUnreachable as error:  # one container whose lock is held by somebody must not hide the others
            return error

    async def inspect(self, container: str) -> dict[str, Any]:
        """`docker inspect` of one container. Raises SourceGone when it is not there."""
        with translated(container):
            answer: dict[str, Any] = await self.control.containers.container(container).show()
        return answer

    async def head(self, container: str, path: bytes) -> PathInfo | None:
        """Stat one path by HEAD archive; None when it is not there. Sees no tmpfs (moby#22020)."""
        url = URL(f"{self.control.docker_host}/{self.control.api_version}{archive_path(container, path)}", encoded=True)
        with translated(container):
            async with self._session.head(url) as answer:
                if answer.status == 404:
                    return None
                if answer.status >= 400:
                    raise EngineRefused(f"the engine refused to look into {container[:12]} (HTTP {answer.status})",
                                        hint="check the rights of the socket or proxy")  # fmt: skip
                return _path_info(answer.headers.get("X-Docker-Container-Path-Stat", ""))

    async def now_ns(self) -> int:
        """The engine's clock, to the second, from its HTTP Date header; ns since the epoch."""
        url = URL(f"{self.control.docker_host}/{self.control.api_version}/_ping", encoded=True)
        with translated(self.host.url):
            async with self._session.get(url) as answer:
                date = answer.headers.get("Date")
        if not date:
            return time.time_ns()
        return int(email.utils.parsedate_to_datetime(date).timestamp()) * NS

    @asynccontextmanager
    async def events(self, kinds: Sequence[str], since_ns: int | None) -> AsyncIterator[aiohttp.StreamReader]:
        """The engine's events of containers, one JSON object a line, those since `since_ns` (its clock) first.

        Silence is no error here. Raises EngineUnreachable, also for an engine that is just starting or ending, and
        EventsForbidden where a proxy says no.
        """
        asked = {"filters": json.dumps({"type": ["container"], "event": list(kinds)})}
        if since_ns is not None:
            asked["since"] = f"{since_ns // NS}.{since_ns % NS:09d}"
        url = URL(f"{self.control.docker_host}/{self.control.api_version}/events").with_query(asked)
        patience = aiohttp.ClientTimeout(total=None, sock_connect=self.timeout, sock_read=None)
        with translated(self.host.url):
            async with asyncio.timeout(self.timeout) as opening, self._session.get(url, timeout=patience) as answer:
                opening.reschedule(None)
                if answer.status >= 500:
                    raise EngineUnreachable(f"Docker at {self.host.url} has no events now (HTTP {answer.status})",
                                            hint="is it starting, or ending?")  # fmt: skip
                if answer.status >= 400:
                    raise EventsForbidden(f"{self.host.url}: no events (HTTP {answer.status})",
                                          hint="let the socket proxy grant EVENTS")  # fmt: skip
                yield answer.content

    @asynccontextmanager
    async def exec(self, container: str, argv: list[str], user: str) -> AsyncIterator[aiodocker.stream.Stream]:
        """An exec with stdin, stdout and stderr, closed on leaving. Raises EngineRefused, SourceGone."""
        with translated(container):
            made = await self.control.containers.container(container).exec(argv, stdin=True, user=user)
            # entered and left by hand: Stream.__aexit__ waits for nothing, and must run even when cancelled
            stream = made.start()
            try:
                yield stream
            finally:
                with suppress(AssertionError):  # aiodocker's word for a connection that the other end closed before
                    await stream.close()


async def _version(session: aiohttp.ClientSession, host: ResolvedHost) -> dict[str, Any]:
    """What /version answers; EngineUnreachable where something that is no engine does.

    Asked once: an engine runs other programs to answer it, and aiodocker would ask twice.
    """
    async with session.get(URL(f"{_http_base(host)}/version")) as answer:
        status, body = answer.status, await answer.read()
    try:
        said: object = json.loads(body)
    except ValueError:
        said = None
    if status >= 400:
        message = said.get("message") if isinstance(said, dict) else body.decode(errors="replace")
        raise refusal(host.url, status, str(message or ""))
    if not isinstance(said, dict) or not _API.fullmatch(str(said.get("ApiVersion"))):
        raise _no_engine(host.url)
    return said


def _no_engine(where: str) -> EngineUnreachable:
    return EngineUnreachable(f"what answers at {where} is not a Docker Engine",
                             hint="point --host / DOCKER_HOST at the engine, or at its proxy")  # fmt: skip


def archive_path(container: str, path: bytes) -> str:
    """The archive endpoint of a path, which may be any bytes."""
    return f"/containers/{container}/archive?path={quote_from_bytes(path, safe=b'')}"


def _path_info(header: str) -> PathInfo:
    try:
        raw = json.loads(base64.b64decode(header + "=" * (-len(header) % 4)))
        mode = int(raw["mode"])
        return PathInfo(int(raw["size"]), rfc3339_ns(str(raw["mtime"])), bool(mode & _DIRECTORY_BIT),
                        bool(mode & _LINK_BIT), str(raw.get("linkTarget") or ""))  # fmt: skip
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise EngineRefused("the engine sent a path stat that cannot be read", hint="is a proxy in between?") from error


def rfc3339_ns(text: str) -> int:
    """Nanoseconds since the epoch of Go's RFC 3339 time, which datetime would cut to microseconds.

    >>> rfc3339_ns("1970-01-01T00:00:01.123456789Z")
    1123456789
    """

    head, fraction, zone = text, "", ""
    for mark in ("Z", "+", "-"):
        at = text.rfind(mark, 19)
        if at >= 0:
            head, zone = text[:at], text[at:]
            break
    head, _, fraction = head.partition(".")
    stamp = datetime.datetime.fromisoformat(head + ("+00:00" if zone in ("Z", "") else zone))
    seconds = int((stamp - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).total_seconds())
    return clamped(seconds * NS + int((fraction + "000000000")[:9]))


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what aiodocker and the system raise into our errors; `what` names the engine or container."""
    try:
        yield
    except aiodocker.DockerError as error:
        if int(error.status) == NO_CONNECTION:
            raise unreachable(what, error.__cause__ or error) from error
        raise refusal(what, int(error.status), str(error.message)) from error
    except (aiohttp.ClientError, TimeoutError, ConnectionError, FileNotFoundError, PermissionError) as error:
        raise unreachable(what, error) from error


def unreachable(what: str, error: BaseException, *, late: bool = False) -> EngineUnreachable:
    """The one line for an engine that does not answer; `late` when the error says that time ran out."""
    where = f"Docker (asked about container {what[:12]})" if len(what) == ID else f"Docker at {what}"
    system = _system_error(error)
    text = _system_words(system) if system is not None else str(error) or type(error).__name__
    if late or isinstance(error, TimeoutError):
        return EngineUnreachable(f"{where} did not answer in time", hint="is the engine busy or hung?")
    if "permission denied" in text.lower() or isinstance(error, PermissionError):
        hint = "run as a user who may use that socket (its group), or set PUID/PGID"
        return EngineUnreachable(f"no permission to talk to {where}", hint=hint)
    hint = "start Docker, mount its socket, or point --host / DOCKER_HOST at it"
    return EngineUnreachable(f"cannot reach {where}: {_first_line(text)}", hint=hint)


def _system_words(error: OSError) -> str:
    number = error.errno or 0
    return (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()


def _system_error(error: BaseException) -> OSError | None:
    """What the system said, below the words that the clients wrap around it; None where it said nothing."""
    at: BaseException | None = error
    for _ in range(10):
        if isinstance(at, aiohttp.ClientConnectorError):
            at = at.os_error
        elif isinstance(at, OSError) and at.errno is not None and type(at).__module__ in ("builtins", "socket"):
            return at
        elif at is not None:
            at = at.__cause__ or at.__context__
    return None


def refusal(what: str, status: int, message: str) -> MediaSyncError:
    """The engine's own no, by its HTTP status."""
    text, named = _first_line(message), what[:12] if len(what) == ID else what
    if status == 404:
        return SourceGone(f"{named}: {text or 'not found'}", hint="was the container removed?")
    if status == 409:
        return SourceGone(f"{named}: {text}", hint="is the container stopped or paused?")
    if status == 403:
        said = f"forbidden{f': {text}' if text else ''}"
        return EngineRefused(f"{named}: {said}", hint="the socket proxy does not grant this right")
    return EngineRefused(f"{named}: HTTP {status}{f': {text}' if text else ''}", hint="see the engine's log")


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else ""


def _http_base(host: ResolvedHost) -> str:
    """The address as HTTP sees it: a client with a connector of ours leaves the scheme to us."""
    if host.url.startswith("unix://"):
        return "http://docker"
    return ("https://" if host.tls else "http://") + host.url.partition("://")[2]


def _connector(host: ResolvedHost) -> aiohttp.BaseConnector:
    """Without a limit: agents and watches of many sources keep their connections, and must not starve a question."""
    if host.url.startswith("unix://"):
        return aiohttp.UnixConnector(host.url.removeprefix("unix://"), limit=0)
    if host.url.startswith(("tcp://", "http://", "https://")):
        return aiohttp.TCPConnector(ssl=_ssl(host) or True, limit=0)
    scheme = host.url.partition("://")[0]
    raise ConfigError(f"engine address {host.url}: {scheme} is not supported", hint="use unix:// or tcp://")


def _ssl(host: ResolvedHost) -> ssl.SSLContext | None:
    if host.tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=host.tls.ca)
        if host.tls.cert and host.tls.key:
            context.load_cert_chain(host.tls.cert, host.tls.key)
    except OSError as error:
        raise ConfigError(
            f"TLS material of {host.url} cannot be read: {error}", hint="check DOCKER_CERT_PATH"
        ) from error
    if not host.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
