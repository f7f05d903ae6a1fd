"""Which engine to talk to, found the way the docker command finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sidecar.config.layers import Unreadable, read_text
from sidecar.config.model import Settings, engine_url
from sidecar.config.units import Wrong, quoted
from sidecar.errors import ConfigError
from sidecar.values import dataclass

DEFAULT_SOCKET = "/var/run/docker.sock"
SYSTEM_SOCKETS = (DEFAULT_SOCKET, "/run/podman/podman.sock")  # podman's comes after the rootless ones
_HINT = "correct it, or give the engine's address with --host"


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of the PEM files for an engine; None where a part is not used. `verify`: check the engine's certificate."""

    ca: str | None
    cert: str | None
    key: str | None
    verify: bool


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """An engine's address, its TLS material, and where both came from, in words."""

    url: str
    tls: Tls | None
    origin: str


def resolve_host(
    settings: Settings,
    env: Mapping[str, str],
    *,
    origin: str = "setting host",
    sockets: Sequence[str] = SYSTEM_SOCKETS,
) -> ResolvedHost:
    """The engine: settings.host, else DOCKER_HOST, DOCKER_CONTEXT, the docker command's current context, a socket.

    `origin` says where settings.host came from (Loaded.origin("host")). `sockets` are the system's own: the first is
    tried before those of a rootless engine, the others after; where none exists the first is answered, so that the
    error of connecting names it. Reads the docker command's own files. Raises ConfigError when what they name is not
    usable.
    """
    config_dir = _config_dir(env)
    if settings.host is not None:
        return ResolvedHost(settings.host, _tls_from_env(settings.host, env, config_dir), origin)
    if url := env.get("DOCKER_HOST", ""):
        return ResolvedHost(_checked(url, "DOCKER_HOST"), _tls_from_env(url, env, config_dir), "DOCKER_HOST")
    if name := env.get("DOCKER_CONTEXT", ""):
        place = "DOCKER_CONTEXT"
    else:
        name, place = _current_context(config_dir), str(config_dir / "config.json") if config_dir else ""
    if name and name != "default" and config_dir:
        return _context(name, place, config_dir)
    return _socket(env, sockets)


def _config_dir(env: Mapping[str, str]) -> Path | None:
    if env.get("DOCKER_CONFIG"):
        return Path(env["DOCKER_CONFIG"])
    return Path(env["HOME"]) / ".docker" if env.get("HOME") else None


def _checked(url: str, where: str) -> str:
    try:
        return engine_url(url)
    except Wrong as error:
        raise ConfigError(f"{where}: {error}", hint=error.hint) from None


def _tls_from_env(url: str, env: Mapping[str, str], config_dir: Path | None) -> Tls | None:
    """DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, which the docker command honours with --host too."""
    verify, folder = bool(env.get("DOCKER_TLS_VERIFY")), env.get("DOCKER_CERT_PATH", "")
    if url.startswith(("unix:", "http:")) or not (verify or folder):
        return None
    return _tls_in(Path(folder) if folder else config_dir, verify=verify, where="DOCKER_CERT_PATH")


def _tls_in(folder: Path | None, *, verify: bool, where: str) -> Tls:
    ca, cert, key = (_existing(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    tls = Tls(ca, cert, key, verify)
    if (tls.cert is None) != (tls.key is None):
        raise ConfigError(f"{where}: {folder} holds only one of cert.pem and key.pem", hint="put both there")
    if verify and tls.ca is None and tls.cert is None:
        raise ConfigError(f"{where}: {folder} holds no ca.pem, cert.pem or key.pem", hint="name the folder with them")
    return tls


def _existing(folder: Path | None, name: str) -> str | None:
    return str(folder / name) if folder and (folder / name).exists() else None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(read_text(path))
    except Unreadable as error:
        raise ConfigError(f"{path}: {error}", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON", hint=_HINT) from error
    return found if isinstance(found, dict) else {}


def _current_context(config_dir: Path | None) -> str:
    if config_dir is None or not (config_dir / "config.json").exists():
        return ""
    return str(_json(config_dir / "config.json").get("currentContext") or "")


def _context(name: str, place: str, config_dir: Path) -> ResolvedHost:
    """The docker command keeps each context in a folder named by the SHA-256 of its name."""
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = config_dir / "contexts" / "meta" / folder / "meta.json"
    origin = f"docker context {quoted(name)}"
    if not meta.exists():
        raise ConfigError(f"{origin}, named by {place}, does not exist",
                          hint="choose another with `docker context use`, or give --host")  # fmt: skip
    endpoints = _json(meta).get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    url = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(docker, dict) or not isinstance(url, str) or not url:
        raise ConfigError(f"{origin} has no docker endpoint ({meta})", hint=_HINT)
    certificates = config_dir / "contexts" / "tls" / folder / "docker"
    verify = not docker.get("SkipTLSVerify")
    tls = _tls_in(certificates, verify=verify, where=origin) if certificates.is_dir() else None
    return ResolvedHost(_checked(url, origin), tls, origin)


def _socket(env: Mapping[str, str], sockets: Sequence[str]) -> ResolvedHost:
    runtime = env.get("XDG_RUNTIME_DIR", "")
    rootless = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
    candidates = [*sockets[:1], *rootless, *sockets[1:]]
    found = next((path for path in candidates if Path(path).is_socket()), None)
    return ResolvedHost(
        f"unix://{found or candidates[0]}", None, "default socket" if found else "default socket, not there"
    )
