"""The Docker transport: agent where the container runs and has a shell, archives of the engine everywhere else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from sidecar.errors import (
    AgentFailed,
    EngineRefused,
    EngineUnreachable,
    MediaSyncError,
    RootMissing,
    SourceGone,
    StreamBroken,
)
from sidecar.models import (
    Basis,
    Capabilities,
    FileStat,
    FileType,
    Problem,
    PurgeItem,
    PurgeResult,
    Road,
    Scan,
    Sight,
    Source,
    Transfer,
    clamped,
)
from sidecar.transports.base import Reading
from sidecar.transports.docker import scanwire, wire
from sidecar.transports.docker.client import Engine
from sidecar.transports.docker.inspected import Container, python_candidates
from sidecar.transports.docker.session import AgentSession
from sidecar.transports.docker.tar import TarReader, TarType
from sidecar.transports.docker.turns import Turns
from sidecar.transports.docker.watching import watching
from sidecar.transports.docker.watchwire import Sights

if TYPE_CHECKING:
    from sidecar.transports.docker.reading import OnOpen
    from sidecar.transports.docker.streams import AgentStreams

WARMING = 1.0  # seconds that one waits at most for what is started in advance
HOLD = 2.0  # seconds: what `docker stop` of a running generator may have to wait for one of our reads
_ARCHIVE_ROADS = frozenset((Road.FOLDER, Road.FILE))
_KINDS = {TarType.FILE: FileType.FILE, TarType.DIRECTORY: FileType.DIRECTORY, TarType.SYMLINK: FileType.LINK}
_Listing = tuple[tuple[FileStat, ...], tuple[Problem, ...], tuple[int, int]]
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DockerAdapter:
    """One container. Starts its agent when it is first needed and keeps it until `close`."""

    def __init__(self, engine: Engine, source: Source, inspect: Mapping[str, Any], *, stall: float = 10.0,
                 pull_only: bool = False, user: str = "") -> None:  # fmt: skip
        self._engine = engine
        self._source = source
        self._inspect = inspect
        self._stall = stall
        self._pull_only = pull_only
        self._user = user
        self._uid = -1  # that agents started as `_user` said they have
        self._forced_user = bool(user)
        self._start: wire.Start | None = None
        self._watcher: wire.Start | None = None
        self._looked = False
        self._why_none = ""
        self._sessions: dict[str, AgentSession] = {}
        self._opening = asyncio.Lock()  # several roots' commits may ask at once
        self._streams: AgentStreams | None = None
        self._first_stream = threading.Lock()
        self._warming: threading.Thread | None = None
        self._closes = 0
        self._mounts = dict(zip(source.roots, source.mounts, strict=False))
        self._turns = Turns()

    @property
    def _id(self) -> str:
        return self._source.generation

    @property
    def capabilities(self) -> Capabilities:
        if self._start is not None:
            roads = frozenset((Road.STREAM,)) if "tmpfs" in self._mounts.values() else frozenset(Road)
            return Capabilities(self._start.scanner, roads, purge=True, engine=self._engine.identity,
                                watch=self._watcher is not None)  # fmt: skip
        running = self._source.state in ("running", "paused", "restarting")
        return Capabilities("archive", _ARCHIVE_ROADS, why_not_purge=self._why_none, reads_lock=running,
                            engine=self._engine.identity)  # fmt: skip

    # -- finding and talking to the agent ---------------------------------------------------------------------------

    async def prepare(self) -> Capabilities:
        """Find out which agent can run, without starting one: HEAD costs a millisecond, a failing exec fifty."""
        if not self._looked:
            self._why_none = await self._look()
            self._looked = True
        return self.capabilities

    async def _look(self) -> str:
        if self._source.state != "running":
            return "paused" if self._source.state == "paused" else "not running"
        if self._pull_only:
            return "pull-only mode"
        path = Container.of(self._inspect).env.get("PATH") or _DEFAULT_PATH
        for name in python_candidates(self._inspect):
            if found := await self._which(name, path):
                self._start, self._watcher = wire.start_python(found), wire.start_watcher(found)
                return ""
        if await self._which("sh", path):
            self._start = wire.start_sh()
            return ""
        return "no shell"

    async def _which(self, name: str, path: str) -> str:
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in path.split(":") if folder.startswith("/")]
        answers = await asyncio.gather(*(self._engine.head(self._id, place.encode()) for place in places))
        return next((place for place, info in zip(places, answers, strict=True) if info and not info.is_dir), "")

    async def _ask(self, user: str, build: Callable[[bytes], bytes], take: Callable[[list[bytes]], object]) -> None:
        """Ask the agent that runs as `user`, starting it first. Raises SourceGone when its container went away."""
        async with self._opening:
            session = await self._session(user)
        try:
            await session.ask(build, take)
        except AgentFailed as error:
            state = (await self._engine.inspect(self._id)).get("State", {}).get("Status")
            if state != "running":
                raise SourceGone(f"container {self._source.container} is {state} now", hint="run it again") from error
            raise

    async def _session(self, user: str) -> AgentSession:
        session = self._sessions.get(user)
        if session is not None and session.dead:  # its connection is open, and its agent may wait for a question
            await _close(self._sessions.pop(user))
            session = None
        if session is None:
            if self._start is None:
                raise AgentFailed(f"there is no agent in {self._source.container}: {self._why_none}")
            session = self._sessions[user] = await AgentSession.open(self._engine, self._id, self._start, user)
        return session

    # -- the contract -----------------------------------------------------------------------------------------------

    async def scan(self, root: bytes, basis: Basis | None = None) -> Scan:
        await self.prepare()
        while self._start is not None:
            try:
                return await self._agent_scan(root, self._start, basis)
            except AgentFailed as error:
                # a broken interpreter, or a tool that is missing: the next lesser way
                self._why_none = f"no usable agent: {error}"
                await self._drop_sessions()
                self._start = wire.start_sh() if self._start.scanner == "python" else None
                self._watcher = None
        if self._mounts.get(root) == "tmpfs":
            raise EngineRefused(f"root {root.decode(errors='replace')} is a tmpfs, which only an agent inside can see",
                                hint=f"{self._why_none}: start the container, or use a volume")  # fmt: skip
        return await self._archive_scan(root)

    async def _agent_scan(self, root: bytes, start: wire.Start, basis: Basis | None) -> Scan:
        scan = await self._scan_as(self._user, root, start, basis)
        self._uid = scan.agent_uid
        uid, gid = scan.owner
        if self._forced_user or scan.agent_uid in (0, uid) or not _is_hindered(scan):
            return scan
        other = f"{uid}:{gid}"
        again = await self._scan_as(other, root, start, basis)
        if _hindrances(again) < _hindrances(scan):
            self._user, self._uid = other, again.agent_uid
            await self._cool()  # it is not this one's files that are read
            return again
        return scan

    async def _scan_as(self, user: str, root: bytes, start: wire.Start, basis: Basis | None) -> Scan:
        basis = basis if start.scanner == "python" else None  # a shell would read it byte by byte for nothing
        entries = scanwire.Entries(basis)

        def take(records: list[bytes]) -> None:
            entries.take(records)
            if self._warming is None and basis is not None and entries.has_news:
                args = (start, user, self._closes)
                self._warming = threading.Thread(target=self._warm, args=args, name="warm", daemon=True)
                self._warming.start()

        await self._ask(user, lambda token: scanwire.scan_request(token, root, basis), take)
        return scanwire.read_scan(entries, root, start.scanner)

    async def _archive_scan(self, root: bytes) -> Scan:
        now = await self._engine.now_ns()
        hold = HOLD if self.capabilities.reads_lock else None
        info = await self._engine.head(self._id, root + b"/.")
        if info is None or not info.is_dir:
            raise RootMissing(f"root {root.decode(errors='replace')} does not exist in {self._source.container}",
                              hint="correct the path, or start the generator once")  # fmt: skip

        aborts: list[Callable[[], None]] = []

        def read() -> tuple[_Listing, int]:
            from sidecar.transports.docker import reading

            with reading.archive(self._engine, self._id, root + b"/.", self._stall, aborts.append, hold) as readinto:
                members = TarReader(readinto)
                return _listed(members), members.received

        since = time.monotonic()
        try:
            (entries, problems, owner), received = await asyncio.to_thread(read)
        except asyncio.CancelledError:
            for abort in aborts:
                abort()
            raise
        except StreamBroken as error:
            if hold is None:
                raise
            raise StreamBroken(f"{self._source.container} cannot be listed without locking it for over {hold:.0f} s: "
                               f"{error}", hint="let an agent run in it (exec), or stop it") from error  # fmt: skip
        froze = 0.0 if hold is None else time.monotonic() - since
        return Scan(root, entries, now, "archive", problems, owner, received=received, froze=froze)

    async def restat(self, root: bytes, paths: Sequence[bytes]) -> dict[bytes, FileStat]:
        if self._start is not None:
            entries = scanwire.Entries()
            await self._ask(self._user, lambda token: scanwire.stat_request(token, root, paths), entries.take)
            return scanwire.read_stats(entries, paths)
        found: dict[bytes, FileStat] = {}
        async with self._turns.asking():
            for at in range(0, len(paths), 16):
                some = paths[at : at + 16]
                answers = await asyncio.gather(*(self._engine.head(self._id, root + b"/./" + path) for path in some))
                for path, info in zip(some, answers, strict=True):
                    if info is not None and not info.is_dir and not info.is_link:
                        found[path] = FileStat(path, info.size, info.mtime_ns)
        return found

    async def watch(self, root: bytes) -> AsyncGenerator[Sight, None]:
        await self.prepare()
        if self._watcher is None:
            raise AgentFailed(f"nobody can watch in {self._source.container}: {self._why_none or 'it has no Python'}",
                              hint="its files come with each pass")  # fmt: skip
        while True:
            sights = Sights()
            async with aclosing(watching(self._engine, self._id, self._watcher, self._user, root, sights)) as told:
                async for sight in told:
                    if not self._forced_user and sights.hindered_by(sight):
                        break
                    yield sight
            self._uid = -1
            self._user = f"{sights.owner[0]}:{sights.owner[1]}"  # who may see everything; what was missed, a scan finds

    def turn(self, transfer: Transfer) -> AbstractContextManager[None]:
        return nullcontext() if transfer.road is Road.STREAM else self._turns.reading()

    @contextmanager
    def read(self, root: bytes, transfer: Transfer, on_open: OnOpen) -> Iterator[Reading]:
        from sidecar.transports.docker import reading

        reading.connected(self._engine, self._id)  # before a read's time is taken: the first one takes longer
        if transfer.road is Road.STREAM:
            if self._start is None:
                raise AgentFailed("there is no agent to stream from", hint=self._why_none)
            if self._warming is not None:
                self._warming.join(WARMING)
            paths = [f.path for f in transfer.files]
            with self._agent_streams().read(self._start, self._user, root, paths, on_open) as stream:
                yield stream
            return
        path, rename = reading.archive_target(root, transfer)
        # a slow library must not hold the container's lock; but one file without an agent has no other road to take
        able = self.capabilities
        hold = HOLD if able.reads_lock and (transfer.road is Road.FOLDER or Road.STREAM in able.roads) else None
        since = time.monotonic()
        with reading.archive(self._engine, self._id, path, self._stall, on_open, hold) as readinto:
            yield reading.TarReading(readinto, rename, since=since)

    async def purge(self, root: bytes, batches: AsyncIterator[Sequence[PurgeItem]], owner: tuple[int, int]
                    ) -> AsyncIterator[PurgeResult]:  # fmt: skip
        async for items in batches:
            results, lost = await self._purge_batch(root, items, self._as(owner))
            for result in results:  # what is known counts, even if the agent died behind it
                yield result
            if lost is not None:
                raise lost

    async def _purge_batch(self, root: bytes, items: Sequence[PurgeItem], user: str
                           ) -> tuple[list[PurgeResult], MediaSyncError | None]:  # fmt: skip
        answers, results = wire.PurgeAnswers(items), list[PurgeResult]()
        try:
            await self._ask(user, lambda token: wire.purge_request(token, root, items),
                            lambda records: results.extend(answers.take(records)))  # fmt: skip
        except MediaSyncError as error:
            return results, error
        return results, None

    async def settle_private(self, root: bytes, items: Sequence[tuple[bytes, bytes]], owner: tuple[int, int]
                             ) -> dict[bytes, str]:  # fmt: skip
        records: list[bytes] = []
        await self._ask(self._as(owner), lambda token: wire.settle_request(token, root, items), records.extend)
        return wire.read_settled(records, items)

    async def remove_empty(self, root: bytes, folders: Sequence[bytes], owner: tuple[int, int]) -> list[bytes]:
        records: list[bytes] = []
        deepest_first = sorted(folders, key=lambda f: -f.count(b"/"))
        await self._ask(self._as(owner), lambda token: wire.rmdir_request(token, root, deepest_first), records.extend)
        return wire.read_removed(records, deepest_first)

    def _as(self, owner: tuple[int, int]) -> str:
        """Whose agent works in a folder of `owner`: the one that scanned, where it has that uid and so its rights."""
        if self._forced_user or owner[0] < 0 or owner[0] == self._uid:
            return self._user
        return f"{owner[0]}:{owner[1]}"

    def _warm(self, start: wire.Start, user: str, closes: int) -> None:
        """Import, connect and start what a read needs, while the scan that found something to read still goes on."""
        from sidecar.transports.docker import reading

        with suppress(MediaSyncError):  # the read meets it as well, and tells it
            reading.connected(self._engine, self._id)
            streams = self._agent_streams()
            streams.warm(start, user)
            if closes != self._closes:  # nobody reads any more
                streams.close()

    def _agent_streams(self) -> AgentStreams:
        from sidecar.transports.docker.streams import AgentStreams

        with self._first_stream:
            if self._streams is None:
                self._streams = AgentStreams(self._engine, self._id, self._stall)
            return self._streams

    async def close(self) -> None:
        await self._cool()
        await self._drop_sessions()

    async def _cool(self) -> None:
        """End the agents that wait to be read from, also one that is only being started."""
        self._closes += 1
        warming, self._warming = self._warming, None
        if warming is not None:
            await asyncio.to_thread(warming.join, WARMING)
        if self._streams is not None:
            await asyncio.to_thread(self._streams.close)

    async def _drop_sessions(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await _close(session)


async def _close(session: AgentSession) -> None:
    with suppress(EngineUnreachable, SourceGone, EngineRefused):  # it is gone, which is what was wanted
        await session.close()


def _is_hindered(scan: Scan) -> bool:
    return _hindrances(scan) > 0


def _hindrances(scan: Scan) -> int:
    """How many names the agent's user could not list or may not read."""
    return len(scan.problems) + sum(not e.readable_by(scan.agent_uid) for e in scan.entries)


def _listed(members: TarReader) -> _Listing:
    """What the headers of an archive of `root/.` say. A later name of a hard-linked file has its first name's stat."""
    entries: dict[bytes, FileStat] = {}
    problems: list[Problem] = []
    owner = (-1, -1)
    for member in members:
        path = member.name.removeprefix(b"./").rstrip(b"/")
        if path in (b"", b"."):
            owner = (member.uid, member.gid)
            continue
        if any(part in (b"", b".", b"..") for part in path.split(b"/")):
            problems.append(Problem(path, "not a path below the root"))
            continue
        if member.type is TarType.HARDLINK:
            first = entries.get(member.linkname.removeprefix(b"./"))
            if first is None:
                problems.append(Problem(path, "a hard link whose first name is not in the archive"))
                continue
            entries[path] = FileStat(path, first.size, first.mtime_ns, uid=first.uid, gid=first.gid, mode=first.mode,
                                     exact=first.exact)  # fmt: skip
            continue
        entries[path] = FileStat(
            path,
            member.size,
            clamped(member.mtime_ns),
            uid=member.uid,
            gid=member.gid,
            mode=member.mode,
            type=_KINDS.get(member.type, FileType.OTHER),
            exact=member.mtime_exact,
        )
    return tuple(entries.values()), tuple(problems), owner
