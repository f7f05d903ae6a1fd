"""Which mount a folder of ours lies on, and whether what is written there outlives this process's container."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sidecar.errors import LibraryUnsafe
from sidecar.values import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")
_CONTAINER_SIGNS = ("/.dockerenv", "/run/.containerenv")  # what Docker and Podman put into every container
_LAYERED = frozenset(("overlay", "aufs", "fuse.fuse-overlayfs"))  # a virtual machine may carry a sign and a real disk


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount point and its file system's type; both "" where they cannot be told."""

    point: str
    kind: str


def mount_of(path: str, mountinfo: str = "/proc/self/mountinfo") -> Mount:
    """The mount that holds `path`, which need not exist yet."""
    real = os.path.realpath(path)
    best = Mount("", "")
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                head, _, tail = line.partition(" - ")
                point = _OCTAL.sub(lambda m: chr(int(m[1], 8)), head.split(" ")[4])
                inside = real == point or real.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best.point):  # of two mounts on one point the later one is seen
                    best = Mount(point, tail.split(" ")[0])
    except OSError:
        return Mount("", "")
    return best


def in_container(signs: tuple[str, ...] = _CONTAINER_SIGNS) -> bool:
    """Whether this process runs in a container."""
    return any(os.path.exists(sign) for sign in signs)


def goes_with_container(path: str) -> bool:
    """Whether what is written to `path` is lost when this container is removed."""
    mount = mount_of(path)
    return mount.point == "/" and mount.kind in _LAYERED and in_container()


def require_mounted(library: Path) -> None:
    """Raise LibraryUnsafe for a library that would be lost with the container: no copy there proves anything."""
    if goes_with_container(str(library)):
        raise LibraryUnsafe(f"library {library} is not mounted: it would be lost with this container",
                            hint=f"add -v /your/folder:{library}, or a volume")  # fmt: skip
