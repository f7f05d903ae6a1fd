"""What one `docker inspect` answer says, without its nesting. Nothing here trusts the shape of what came in."""

from __future__ import annotations

import datetime
import posixpath
import re
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from sidecar.transports.docker.presets import ARGUMENT_VARIABLES, KIND_MARKS, OWN_IMAGE
from sidecar.values import dataclass

_BEGINNING = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")
_TITLES = ("org.opencontainers.image.title", "org.opencontainers.image.source")
_MOUNT_TYPES = frozenset({"volume", "bind", "tmpfs"})
_ID_IN_MOUNTS = re.compile(r"containers/([0-9a-f]{64})/")
_ID_MOUNT_POINTS = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class Container:
    """One container. `argv` is its command as given, `user` "" for the image's root.

    `mounts` are destination -> type, `origins` destination -> the folder on the host that is seen there.
    """

    id: str
    name: str
    state: str
    created: datetime.datetime
    image: str
    labels: Mapping[str, str]
    env: Mapping[str, str]
    argv: tuple[str, ...]
    workdir: str
    mounts: Mapping[str, str]
    user: str
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, inspect: Mapping[str, Any]) -> Container:
        """From the engine's JSON; what is missing is empty."""
        config = _mapping(inspect.get("Config"))
        return cls(
            id=str(inspect.get("Id") or ""),
            name=str(inspect.get("Name") or "").removeprefix("/"),
            state=str(_mapping(inspect.get("State")).get("Status") or "unknown"),
            created=_time(str(inspect.get("Created") or "")),
            image=str(config.get("Image") or ""),
            labels={str(k): str(v) for k, v in _mapping(config.get("Labels")).items()},
            env=dict(entry.partition("=")[::2] for entry in _texts(config.get("Env"))),
            argv=_argv(inspect, config),
            workdir=str(config.get("WorkingDir") or "/"),
            mounts=_mounts(inspect),
            user=str(config.get("User") or ""),
            origins=_origins(inspect),
        )

    @property
    def service(self) -> str:
        """The compose service, or ""."""
        return self.labels.get("com.docker.compose.service", "")

    @property
    def project(self) -> str:
        """The compose project, or ""."""
        return self.labels.get("com.docker.compose.project", "")

    @property
    def is_sidecar(self) -> bool:
        """Whether this project's own image runs in it."""
        return OWN_IMAGE.search(self.image) is not None

    def words(self) -> list[str]:
        """The command's words, those inside a `sh -c` text too, with the container's own variables filled in."""
        return [inner for word in self.argv for inner in ([word] if not re.search(r"\s", word) else self._split(word))]

    def argument_variables(self) -> list[list[str]]:
        """The words of each variable that holds a command line."""
        return [self._split(self.env[name]) for name in ARGUMENT_VARIABLES if self.env.get(name)]

    def absolute(self, path: str) -> str:
        """A path of the command line as the container's process sees it."""
        return posixpath.normpath(posixpath.join("/", self.workdir, path)).replace("//", "/")

    def guess_kind(self) -> str:
        """The kind that its image, command, service or title tells of; "" where none does."""
        titles = [self.labels[label] for label in _TITLES if label in self.labels]
        command = " ".join([*self.argv, *(name for name in ARGUMENT_VARIABLES if name in self.env)])
        for clue in (self.image, self.service, *titles, command):
            for kind, mark in KIND_MARKS:
                if mark.search(clue):
                    return kind
        return ""

    def mount_of(self, path: str) -> str:
        """The type of the mount that holds a (symlink-free) path: `volume`, `bind`, `tmpfs`, else `layer`."""
        holders = [place for place in self.mounts if _within(path, place)]
        return self.mounts[max(holders, key=len)] if holders else "layer"

    def place_of(self, path: str) -> str:
        """Where a (symlink-free) path really lies: two containers that see one folder answer the same."""
        holders = [place for place in self.origins if _within(path, place)]
        if not holders:
            return f"{self.id}:{path}"
        deepest = max(holders, key=len)
        return posixpath.normpath(posixpath.join(self.origins[deepest], posixpath.relpath(path, deepest)))

    def hidden(self, path: str) -> bool:
        """Whether a path lies below a tmpfs, where the archive endpoint sees nothing (moby#22020)."""
        holders = [place for place in self.mounts if _within(path, place)]
        deepest = max(holders, key=len, default="")
        return bool(deepest) and deepest != path and self.mounts[deepest] == "tmpfs"

    def _split(self, text: str) -> list[str]:
        filled = string.Template(text).safe_substitute(self.env) if "$" in text else text
        try:
            return shlex.split(filled)
        except ValueError:  # an open quote: a shell would refuse it, and the words still tell something
            return re.sub(r"[\"']", " ", filled).split()


def python_candidates(inspect: Mapping[str, Any]) -> list[str]:
    """Interpreters to try in a container: by name, then the one of its own command or environment, best first."""
    container = Container.of(inspect)
    own = [container.absolute(word) for word in container.words()
           if "/" in word and _PYTHON.fullmatch(posixpath.basename(word))]  # fmt: skip
    homes = [container.env[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if container.env.get(name)]
    return list(dict.fromkeys(["python3", "python", *own, *(f"{home.rstrip('/')}/bin/python" for home in homes)]))


def default_user(inspect: Mapping[str, Any]) -> str:
    """The user that exec takes when none is given, as written in the image or by `--user`; "" is root."""
    return Container.of(inspect).user


def own_container_id(mountinfo: str, hostname: str) -> str:
    """The ID of the container that this process runs in, or "". `mountinfo` is the text of /proc/self/mountinfo.

    The engine mounts three files into every container from a folder named by its ID; `hostname` (the ID's beginning
    unless somebody set it) serves where those mounts are missing.
    """
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4] in _ID_MOUNT_POINTS and (found := _ID_IN_MOUNTS.search(fields[3])):
            return found[1]
    return hostname if re.fullmatch(r"[0-9a-f]{12}", hostname) else ""


def _argv(inspect: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Path and Args are what runs; Entrypoint and Cmd stand in where an engine leaves those out."""
    running = [str(inspect.get("Path") or ""), *_texts(inspect.get("Args"))]
    wanted = [*_texts(config.get("Entrypoint")), *_texts(config.get("Cmd"))]
    return tuple(word for word in (running if running[0] else wanted) if word)


def _mounts(inspect: Mapping[str, Any]) -> dict[str, str]:
    """`--tmpfs` mounts are in HostConfig alone, `--mount type=tmpfs` in Mounts (seen on Engine 20.10.24)."""
    found = {posixpath.normpath(str(place)): "tmpfs"
             for place in _mapping(_mapping(inspect.get("HostConfig")).get("Tmpfs"))}  # fmt: skip
    for mount in inspect.get("Mounts") or ():
        if isinstance(mount, Mapping) and mount.get("Destination"):
            kind = str(mount.get("Type") or "")
            found[posixpath.normpath(str(mount["Destination"]))] = kind if kind in _MOUNT_TYPES else "volume"
    return found


def _origins(inspect: Mapping[str, Any]) -> dict[str, str]:
    return {
        posixpath.normpath(str(mount["Destination"])): str(mount["Source"])
        for mount in inspect.get("Mounts") or ()
        if isinstance(mount, Mapping) and mount.get("Destination") and mount.get("Source")
    }


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _time(text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return _BEGINNING
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> Sequence[str]:
    """Entrypoint and Cmd are lists; old images have a text."""
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, Sequence) else []
