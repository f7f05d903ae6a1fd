"""A watching agent as a process, on this machine's own file system."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from sidecar.models import Alive, FileStat, Overflow, Problem, Seen, Sight, Standing
from sidecar.transports.docker import watchwire, wire
from tests.unit.agent.harness import NOBODY

PATIENCE = 30.0  # seconds; whatever is waited for comes in a fraction of one
ROUNDS = 0.05  # of a looking agent that was made quick


def interpreter() -> str:
    """The system's Python, as a container has it."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def blind(code: bytes) -> bytes:
    """An agent that finds no inotify and looks again quickly."""
    return swap(swap(code, b"            import ctypes\n            libc = ctypes.CDLL(None, use_errno=True)\n"
                           b"            start", b"            raise ImportError\n            start"),
                b"max(1.0, 20 * (time.monotonic() - began))", b"%r" % ROUNDS)  # fmt: skip


def swap(code: bytes, have: bytes, want: bytes) -> bytes:
    """The agent's source with one place changed."""
    assert code.count(have) == 1, have
    return code.replace(have, want)


class Watcher:
    """One agent that watches a folder; what it tells is gathered by a thread."""

    def __init__(
        self, root: bytes, *, source: Callable[[bytes], bytes] = lambda code: code, nobody: bool = False
    ) -> None:
        start = wire.start_watcher(interpreter())
        code = source(start.preamble.partition(b"\n")[2])
        pipe = subprocess.PIPE
        as_nobody = nobody and os.geteuid() == 0
        self.process = subprocess.Popen(start.argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/",
                                        user=NOBODY if as_nobody else None)  # fmt: skip
        self.sights: list[Sight] = []
        self.eyes = watchwire.Sights()
        self.error: Exception | None = None
        self._token = wire.new_token()
        self._parser = watchwire.watch_parser(self._token)
        self._news = threading.Condition()
        self._ended = False
        self._say(b"%d\n" % len(code) + code + watchwire.watch_request(self._token, root))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Watcher:
        self.wait_for(lambda: any(isinstance(sight, Standing) for sight in self.sights))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:  # fmt: skip
        self.leave()
        self._reader.join(PATIENCE)
        assert self.process.wait(PATIENCE) == 0
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        assert said == b""

    def leave(self) -> None:
        """Close its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            with self._news:
                try:
                    self.sights += self.eyes.take(self._parser.feed(data))
                except Exception as error:
                    self.error = error
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, met: Callable[[], object]) -> None:
        """Until it holds for what was told so far."""
        with self._news:
            assert self._news.wait_for(lambda: bool(met()) or self._ended, PATIENCE), self.sights
            assert met(), (self.sights, self.error)

    def ends(self) -> None:
        """Until the agent closes its answer by itself."""
        with self._news:
            assert self._news.wait_for(lambda: self._parser.finished, PATIENCE), self.sights

    def sees(self, *paths: bytes) -> None:
        """Until all of them were told."""
        self.wait_for(lambda: set(paths) <= self.told().keys())

    def told(self) -> dict[bytes, FileStat]:
        """The last word on each path."""
        return {sight.stat.path: sight.stat for sight in self.sights if isinstance(sight, Seen)}

    def forget(self) -> None:
        """From here on only what is new."""
        with self._news:
            self.sights.clear()

    @property
    def standing(self) -> list[Standing]:
        return [sight for sight in self.sights if isinstance(sight, Standing)]

    @property
    def overflows(self) -> int:
        return sum(isinstance(sight, Overflow) for sight in self.sights)

    @property
    def beats(self) -> list[int]:
        return [sight.now_ns for sight in self.sights if isinstance(sight, Alive)]

    @property
    def problems(self) -> list[Problem]:
        return [sight for sight in self.sights if isinstance(sight, Problem)]
