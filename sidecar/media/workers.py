"""The processes that read files for the service: begun when there is something to read, let go when there is not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sidecar
from sidecar.media.piece import Bounds
from sidecar.media.worker import LENGTHS, READY, arguments

FILES = 1000  # that one process reads: what libraries leak goes with it
_MOST = 32 << 20  # bytes of one answer; texts of a file are bounded far below
_STARTS = 60.0  # seconds that a process may take until it is ready
_PATIENCE = 4  # times its CPU time a file may take by the clock, on a machine that has other things to do


@dataclass(frozen=True)
class Examined:
    """What was found out about one file: values by step, problems in a line each, a WebP or nothing."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    thumbnail: bytes = field(default=b"", repr=False)


def _surroundings() -> dict[str, str]:
    """The environment of a process that reads what anybody may have made: no secret of this one is in it."""
    paths = [str(Path(sidecar.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    some = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return some | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


class Workers:
    """At most `count` processes. Close it when done; until then those that nobody needs wait."""

    def __init__(self, count: int, bounds: Bounds) -> None:
        self._bounds = bounds
        self._turns = asyncio.Semaphore(count)
        self._idle: list[_Worker] = []
        self._at: set[_Worker] = set()

    async def examine(self, path: bytes, steps: Sequence[str]) -> Examined:
        """Run these steps over one file. A file that a process is lost over has that as its problem.

        Raises OSError where no process can be started.
        """
        async with self._turns:
            worker = self._idle.pop() if self._idle else await _Worker.start(self._bounds)
            self._at.add(worker)
            try:
                examined = await worker.examine(path, steps)
            except BaseException:
                await worker.kill()
                raise
            finally:
                self._at.discard(worker)
            if worker.spent:
                await worker.kill()
            else:
                self._idle.append(worker)
            return examined

    async def rest(self) -> None:
        """Let those go that wait; the next file starts another one."""
        idle, self._idle = self._idle, []
        for worker in idle:
            await worker.kill()

    async def close(self) -> None:
        """End all of them; idempotent."""
        for worker in (*self._at, *self._idle):
            await worker.kill()
        self._idle.clear()


class _Worker:
    def __init__(self, process: asyncio.subprocess.Process, bounds: Bounds) -> None:
        self._process = process
        self._bounds = bounds
        self._files = 0
        self._lost = False

    @classmethod
    async def start(cls, bounds: Bounds) -> _Worker:
        """Raises OSError, also when it ends before it is ready: that says nothing of any file."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*arguments(bounds), stdin=pipe, stdout=pipe, env=_surroundings(),
                                                       cwd="/", stderr=asyncio.subprocess.DEVNULL, limit=1 << 20
                                                       )  # fmt: skip
        worker = cls(process, bounds)
        try:
            async with asyncio.timeout(_STARTS):
                ready = await process.stdout.read(len(READY)) if process.stdout is not None else b""
        except BaseException:
            await worker.kill()
            raise
        if ready != READY:
            await worker.kill()
            raise OSError(f"the process that reads files does not start (exit code {process.returncode}): "
                          "is media.max_memory enough, and is each installed media_sync.steps package in order?"
                          )  # fmt: skip
        return worker

    @property
    def spent(self) -> bool:
        return self._lost or self._files >= FILES

    async def examine(self, path: bytes, steps: Sequence[str]) -> Examined:
        self._files += 1
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise RuntimeError("a worker without pipes")
        try:
            async with asyncio.timeout(self._bounds.seconds * _PATIENCE):
                with suppress(ConnectionError):  # it is gone: the answer's end says so
                    asked.write(json.dumps({"path": path.hex(), "steps": list(steps)}).encode() + b"\n")
                    await asked.drain()
                told, small = LENGTHS.unpack(await answers.readexactly(LENGTHS.size))
                if told + small > _MOST:
                    return await self._lose("the answer about it is too large")
                found = json.loads(await answers.readexactly(told))
                return Examined(found["values"], tuple(found["problems"]), await answers.readexactly(small))
        except TimeoutError:
            return await self._lose(f"reading it took over {self._bounds.seconds * _PATIENCE} s")
        except asyncio.IncompleteReadError:
            return await self._lose(self._why(await self._process.wait()))
        except (ValueError, KeyError, TypeError):
            return await self._lose("the answer about it makes no sense")

    def _why(self, code: int) -> str:
        if code == -signal.SIGXCPU:
            return f"reading it took over {self._bounds.seconds} s of CPU time"
        return f"the process that read it ended ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"

    async def _lose(self, why: str) -> Examined:
        self._lost = True
        await self.kill()
        return Examined(problems=(why,))

    async def kill(self) -> None:
        """End it, whatever it is doing; idempotent."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
