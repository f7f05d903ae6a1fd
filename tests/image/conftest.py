"""The image, built once, and hands to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import docker
import pytest
from docker.models.containers import Container

from tests.rig import image as building
from tests.rig.generator import LABEL, OWNER


class RunImage(Protocol):
    """The `sidecar` fixture: starts the image with library, state and socket mounted, and answers the container."""

    def __call__(self, *command: str, library: bool = True, **options: Any) -> Container: ...


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, python_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tag of the image, built from this checkout on a base made from Debian packages."""
    return building.build(engine, python_image, tmp_path_factory.mktemp("context"))


@pytest.fixture
def socket_path(engine_host: str) -> str:
    """The engine's socket on this machine; these tests mount it."""
    parts = urlsplit(engine_host)
    assert parts.scheme == "unix", f"the image's tests need an engine on a unix socket, not {engine_host}"
    return parts.path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Library and state on this machine, owned by root as an engine makes them for new mounts."""
    library, state = tmp_path / "library", tmp_path / "state"
    library.mkdir()
    state.mkdir()
    return library, state


@pytest.fixture
def sidecar(
    engine: docker.DockerClient, image: str, socket_path: str, folders: tuple[Path, Path]
) -> Iterator[RunImage]:
    """A function that starts the image; what still runs at the end is removed."""
    made: list[Container] = []

    def start(*command: str, library: bool = True, **options: Any) -> Container:
        volumes = [f"{socket_path}:/var/run/docker.sock", f"{folders[1]}:/state"]
        if library:
            volumes.append(f"{folders[0]}:/library")
        environment = {"MEDIA_SYNC_DOCKER__LABELS": "false", **options.pop("environment", {})}
        one = engine.containers.run(image, list(command), detach=True, network_mode="none", volumes=volumes,
                                    labels={LABEL: OWNER}, environment=environment, **options)  # fmt: skip
        made.append(one)
        return one

    yield start
    for one in made:
        one.remove(force=True, v=True)


@pytest.fixture
def finished() -> Callable[[Container], tuple[int, str, str]]:
    """A function that waits for a container's end: exit code, standard output, standard error."""

    def wait(container: Container) -> tuple[int, str, str]:
        code = int(container.wait(timeout=120)["StatusCode"])
        return code, container.logs(stderr=False).decode(), container.logs(stdout=False).decode()

    return wait
