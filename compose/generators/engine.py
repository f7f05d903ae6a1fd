"""Which engine is there: DOCKER_HOST, the current docker context, the default socket. Standard library only.

`python -m generators.engine` prints its address. Exit codes: 0 found, 1 none there, 2 one was named, or is there, but
does not serve us (a line on stderr says why).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import sys
from urllib.parse import urlsplit

DEFAULT = "unix:///var/run/docker.sock"


class NotServing(RuntimeError):
    """An engine was named or is there, and does not answer us."""


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ping(host: str) -> None:
    """Raises NotServing when nothing answers at `host`. ssh and TLS addresses are taken on trust."""
    parts = urlsplit(host)
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _Unix(parts.path)
    elif parts.scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY"):
        connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=5)
    else:
        return
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
    except PermissionError as problem:
        raise NotServing(f"{host}: permission denied; run as root or join the docker group") from problem
    except (OSError, http.client.HTTPException) as problem:
        raise NotServing(f"no Docker Engine answers at {host} ({_why(problem)})") from problem
    finally:
        connection.close()
    if answer.status != 200:
        raise NotServing(f"{host} answers with HTTP {answer.status}")


def _why(problem: Exception) -> str:
    return (getattr(problem, "strerror", None) or str(problem) or type(problem).__name__).lower()


def context() -> tuple[str, str]:
    """Name and address of the current docker context; ("default", "") where none is set."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    name = os.environ.get("DOCKER_CONTEXT", "")
    try:
        if not name:
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as handle:
                name = json.load(handle).get("currentContext", "")
        if name in ("", "default"):
            return "default", ""
        meta = os.path.join(folder, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest(), "meta.json")
        with open(meta, encoding="utf-8") as handle:
            return name, str(json.load(handle)["Endpoints"]["docker"]["Host"])
    except FileNotFoundError:
        return "default", ""
    except (OSError, ValueError, KeyError) as problem:
        raise NotServing(f"the docker context {name or folder!r} cannot be read: {problem}") from problem


def find() -> str:
    """Address of the engine that a docker command would use; "" when none was named and none is there.

    Raises NotServing when one was named, or has a socket, and does not answer us. A dead default socket, where
    nobody listens, counts as none.
    """
    if named := os.environ.get("DOCKER_HOST", ""):
        ping(named)
        return named
    name, host = context()
    if host:
        try:
            ping(host)
        except NotServing as problem:
            raise NotServing(f"docker context {name}: {problem}") from problem
        return host
    try:
        ping(DEFAULT)
    except NotServing as problem:
        if isinstance(problem.__cause__, (FileNotFoundError, ConnectionRefusedError)):
            return ""
        raise
    return DEFAULT


def main() -> int:
    """Print the address found."""
    try:
        host = find()
    except NotServing as problem:
        print(problem, file=sys.stderr)
        return 2
    if host:
        print(host)
    return 0 if host else 1


if __name__ == "__main__":
    sys.exit(main())
