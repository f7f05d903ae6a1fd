"""Something between the program and the real engine that can go quiet, slow down, or hang up, when a test says so."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_PIECE = 1 << 16


def connect(host: str) -> socket.socket:
    """A connection to an engine's unix or TCP address."""
    parts = urlsplit(host)
    if parts.scheme == "unix":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.connect(parts.path)
        return link
    return socket.create_connection((parts.hostname or "", parts.port or 2375))


class EngineProxy:
    """Forwards a unix socket at `path` to the engine, until it is told otherwise. Used as a context manager.

    `rate` slows down what the engine sends, in bytes per second over all connections. `passed` counts those bytes.
    """

    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.host = path, f"unix://{path}"
        self.rate: float | None = None
        self.passed = 0
        self._engine = engine
        self._open = threading.Event()
        self._links: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._trigger: tuple[int, Callable[[], None]] | None = None

    def __enter__(self) -> EngineProxy:
        self.back()
        return self

    def __exit__(self, *_: object) -> None:
        self.gone()

    def hang(self) -> None:
        """Go quiet: connections stay, new ones are taken, and nothing moves any more."""
        self._open.clear()

    def cut(self) -> None:
        """Break every connection; new ones work."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def gone(self) -> None:
        """The engine ended: no socket, no connection."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            os.unlink(self.path)
        self.cut()
        self._open.set()

    def back(self) -> None:
        """The engine is there (again)."""
        self._open.set()
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.path))
            self._listener.listen(64)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def after(self, size: int, action: Callable[[], None]) -> None:
        """Do something once the engine has sent so many bytes more, before they arrive."""
        self._trigger = (self.passed + size, action)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
                there = connect(self._engine)
            except OSError:
                return
            with self._lock:
                self._links += [here, there]
            for source, target, counted in ((here, there, False), (there, here, True)):
                threading.Thread(target=self._forward, args=(source, target, counted), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(_PIECE):
                if counted:
                    self._count(len(data))
                self._open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one side is gone: the other must hear of it, or the engine waits with its lock held
            for link in (source, target):
                with contextlib.suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)

    def _count(self, size: int) -> None:
        with self._lock:
            self.passed += size
            fire = None
            if self._trigger is not None and self.passed >= self._trigger[0]:
                fire, self._trigger = self._trigger[1], None
        if fire is not None:
            fire()
        if self.rate:
            time.sleep(size / self.rate)
