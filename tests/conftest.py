"""Fixtures on real parts: an engine, images made locally, generators in containers, the program as a process."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import docker
import pytest
from docker.errors import NotFound
from generators import engine as finder
from generators import images

from tests.rig.generator import LABEL, OWNER, Generator, Spec, sweep
from tests.rig.program import REPOSITORY, Program

PRIVATE = REPOSITORY / ".engine" / "host"  # written by compose/engine.sh while its own engine runs


class MakeGenerator(Protocol):
    """The `generator` fixture: makes one stand-in; keywords are those of Spec, and `image` is busybox if not given."""

    def __call__(self, *, name: str | None = None, **spec: Any) -> Generator: ...


@pytest.fixture(scope="session")
def engine_host() -> str:
    """Address of the engine. None is an error: these tests are not skipped."""
    host = finder.find()
    if not host and PRIVATE.exists():
        host = PRIVATE.read_text().strip()
        finder.ping(host)
    if not host:
        raise finder.NotServing("no Docker Engine here: run tests/run.sh, which finds or starts one")
    os.environ["DOCKER_HOST"] = host  # testcontainers looks here
    return host


@pytest.fixture(scope="session")
def engine(engine_host: str) -> Iterator[docker.DockerClient]:
    """The docker SDK's client on the engine, after leftovers of killed runs were removed."""
    client = docker.DockerClient(base_url=engine_host, version="auto", timeout=60)
    sweep(client)
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox_image(engine: docker.DockerClient) -> str:
    """An image with busybox's sh and tools, without Python."""
    return images.busybox(engine)


@pytest.fixture(scope="session")
def noshell_image(engine: docker.DockerClient) -> str:
    """An image with nothing but `/sleep`; containers need `command=("/sleep", "infinity")`."""
    return images.noshell(engine)


@pytest.fixture(scope="session")
def python_image(engine: docker.DockerClient) -> str:
    """A Debian or Ubuntu image with coreutils and python3."""
    return images.python(engine)


@pytest.fixture
def generator(engine: docker.DockerClient, busybox_image: str) -> Iterator[MakeGenerator]:
    """A function that starts stand-ins; they are removed with their anonymous volumes when the test ends."""
    made: list[Generator] = []
    number = itertools.count(1)
    stem = f"ms-test-{uuid.uuid4().hex[:8]}"

    def make(*, name: str | None = None, **spec: Any) -> Generator:
        spec.setdefault("image", busybox_image)
        one = Generator(name or f"{stem}-{next(number)}", Spec(**spec))
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def volume(engine: docker.DockerClient) -> Iterator[Callable[[], str]]:
    """A function that makes named volumes; they are removed when the test ends. Ask for it before `generator`."""
    made: list[str] = []

    def make() -> str:
        name = f"ms-test-{uuid.uuid4().hex[:8]}"
        engine.volumes.create(name, labels={LABEL: OWNER})
        made.append(name)
        return name

    yield make
    for name in made:
        try:
            engine.volumes.get(name).remove(force=True)
        except NotFound:
            continue


@pytest.fixture
def cli(engine_host: str, tmp_path: Path) -> Program:
    """The program, run as `python -m sidecar`, with a library and state under the test's own folder."""
    return Program(tmp_path, engine_host)
