"""Who competes: each is a command that brings a folder of the container to a folder of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from tests.bench.measuring import Command
from tests.rig.generator import Generator
from tests.rig.program import REPOSITORY, Program


@dataclass(frozen=True, slots=True)
class Stand:
    """The container that is copied from, and the engine's address that contestants are given."""

    made: Generator
    host: str

    @property
    def inside(self) -> str:
        """Its root directory as root on the host sees it: the merged layers, nothing in between."""
        self.made.container.reload()
        return f"/proc/{self.made.container.attrs['State']['Pid']}/root"

    def through(self, host: str) -> Stand:
        """The same container by way of another address."""
        return replace(self, host=host)


class Contestant(Protocol):
    """One way to copy. `socket`: it goes through the engine. `home` names the folder that it keeps from run to run when
    asked again, because it brings only what is new; "" for one that brings everything each time.
    """

    @property
    def name(self) -> str: ...

    @property
    def socket(self) -> bool: ...

    @property
    def home(self) -> str: ...

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        """Brings `root` of the container into `target`, an existing folder, empty at first."""


def _plain(argv: list[str], target: Path) -> Command:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "MEDIA_SYNC_"))}
    return Command(argv, target, kept)


class Drain:
    """The floor: the archive's bytes come out of the socket and are thrown away."""

    name, socket, home = "raw drain", True, ""

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        url = f"http://engine/containers/{stand.made.id}/archive?path={quote(root, safe='')}"
        return _plain(["curl", "-sS", "--fail", "--unix-socket", stand.host.removeprefix("unix://"), "-o", "/dev/null",
                       url], target)  # fmt: skip


class DockerCp:
    """`docker cp`, into the page cache."""

    name, socket, home = "docker cp", True, ""

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        return _plain(["docker", "-H", stand.host, "cp", f"{stand.made.name}:{root}/.", str(target)], target)


class ExecTar:
    """`docker exec tar | tar`, into the page cache."""

    name, socket, home = "exec tar", True, ""

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        script = 'docker -H "$1" exec "$2" tar -C "$3" -cf - . | tar -C "$4" -xf -'
        return _plain(["bash", "-o", "pipefail", "-c", script, "-", stand.host, stand.made.name, root, str(target)],
                      target)  # fmt: skip


class Rsync:
    """`rsync -a` on the files as they lie on this machine: what no sidecar in a container could do."""

    name, socket, home = "rsync -a", False, "rsync"

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        return _plain(["rsync", "-a", f"{stand.inside}{root}/", f"{target}/"], target)


class Rclone:
    """`rclone sync` on the files as they lie on this machine."""

    name, socket, home = "rclone sync", False, "rclone"

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        return _plain(["rclone", "--config", "/dev/null", "sync", f"{stand.inside}{root}", str(target)], target)


class MediaSync:
    """`media-sync sync`, a whole process from its start: hashed, checked, and on the disk when it ends."""

    name, socket, home = "media-sync", True, "media-sync"

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        return self.job(stand, root, target, "sync")

    def job(self, stand: Stand, root: str, target: Path, *args: str) -> Command:
        """Any command on one source."""
        program = Program(target, stand.host)
        return Command(program.argv([*args, "--json", "--source", _source(stand, root)]), target, _own(program))


class ServicePass:
    """A pass inside a process that stays, after one that made it warm."""

    name, socket, home = "media-sync, service", True, "media-sync"

    def command(self, stand: Stand, root: str, target: Path) -> Command:
        program = Program(target, stand.host)
        argv = [*program.argv([], bare=True)[:1], "-m", "tests.bench.passes", str(program.library), str(program.state),
                stand.host, _source(stand, root)]  # fmt: skip
        return Command(argv, target, _own(program))


def _source(stand: Stand, root: str) -> str:
    return f"bench={stand.made.name}:{root}"


def _own(program: Program) -> dict[str, str]:
    return program.environment({"PYTHONPATH": str(REPOSITORY)})


CONTESTANTS: tuple[Contestant, ...] = (Drain(), DockerCp(), ExecTar(), Rsync(), Rclone(), MediaSync())
