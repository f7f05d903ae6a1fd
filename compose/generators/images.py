"""The stand-ins' images on an engine: made locally, tagged `forge-media-sync-test/...`, never pulled."""

from __future__ import annotations

import platform
import sys

import docker
from docker.errors import DockerException, ImageNotFound

from generators import rootfs
from generators.packages import Missing

PREFIX = "forge-media-sync-test"
BUSYBOX = f"{PREFIX}/busybox:local"
NOSHELL = f"{PREFIX}/noshell:local"
PYTHON = f"{PREFIX}/python:local"
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def present(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine has an image of that tag."""
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def busybox(client: docker.DockerClient) -> str:
    """Tag of an image with busybox and nothing else: sh, find, sha256sum, no Python."""
    return _ensure(client, BUSYBOX, shell=True)


def noshell(client: docker.DockerClient) -> str:
    """Tag of an image with one program, `/sleep`: nothing that an agent could run in."""
    return _ensure(client, NOSHELL, shell=False)


def python(client: docker.DockerClient) -> str:
    """Tag of an image with coreutils, python3, venv and pip. Raises Missing where it cannot be made."""
    if not present(client, PYTHON):
        _same_machine(client)
        path = rootfs.python_tar()
        with rootfs.locked("import"):
            if not present(client, PYTHON):
                repository, _, label = PYTHON.rpartition(":")
                client.api.import_image_from_file(path, repository=repository, tag=label, changes=['CMD ["/bin/sh"]'])
    return PYTHON


def _ensure(client: docker.DockerClient, tag: str, *, shell: bool) -> str:
    if not present(client, tag):
        _same_machine(client)
        repository, _, label = tag.rpartition(":")
        client.api.import_image_from_data(rootfs.busybox_tar(shell=shell), repository=repository, tag=label)
    return tag


def _same_machine(client: docker.DockerClient) -> None:
    """This machine's packages do not run on an engine of another architecture."""
    there = str(client.info().get("Architecture", ""))
    if MACHINES.get(there, there) != MACHINES.get(platform.machine(), platform.machine()):
        raise Missing(
            f"the engine runs on {there}, this machine is {platform.machine()}: use an engine of its own kind"
        )


def main(argv: list[str]) -> int:
    """Make the images named (`busybox`, `noshell`, `python`) on the engine of DOCKER_HOST; prints their tags."""
    try:
        client = docker.from_env()
        for name in argv[1:]:
            print({"busybox": busybox, "noshell": noshell, "python": python}[name](client))
    except (Missing, DockerException) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
