"""compose/compose.yaml under Docker Compose v2: the sidecar finds its neighbours by their labels."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from generators import container as inside
from generators import layout
from generators.media import tiny_png

from sidecar.config import load
from sidecar.ingest.postgresql.writer import PostgresSink
from sidecar.ingest.sinks import make_sinks
from tests.image.test_image import json_lines, stored, until
from tests.rig import compose
from tests.rig.generator import LABEL, OWNER
from tests.rig.program import REPOSITORY

pytestmark = pytest.mark.alone

PASSWORD_FILE = "MEDIA_SYNC_INGEST__SINKS__POSTGRESQL__PASSWORD_FILE"
FORGE_ROOT = "/workspace/stable-diffusion-webui-forge/outputs"
HOLD = json.dumps([*inside.HOLD[:2], inside.HOLD[2].replace("$", "$$")])
OVERRIDE = """
services:
  media-sync:
    labels: {mark}
    ports: !reset null
    network_mode: none
    environment:
      MEDIA_SYNC_SCHEDULE__EVERY: 1s
{generators}"""
STAND_IN = """
  {name}:
    labels: {mark}
    command: {hold}
    deploy: !reset null
    ports: !reset null
    network_mode: none
"""


class Project:
    """One Compose project with files of its own."""

    def __init__(self, folder: Path, env: dict[str, str], name: str) -> None:
        override = folder / "override.yaml"
        generators = "".join(STAND_IN.replace("{name}", name) for name in ("comfyui", "forge"))
        text = OVERRIDE.replace("{generators}", generators).replace("{hold}", HOLD)
        override.write_text(text.replace("{mark}", json.dumps({LABEL: OWNER})), encoding="utf-8")
        self._start = [*compose.command(), "-p", name, "-f", str(REPOSITORY / "compose" / "compose.yaml"), "-f",
                       str(override)]  # fmt: skip
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}

    def __call__(self, *args: str) -> str:
        """Run a Compose command to its end; its standard output."""
        done = subprocess.run([*self._start, *args], env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"compose {args} ended with {done.returncode}: {done.stderr[-1500:]}"
        return done.stdout


@pytest.fixture
def project(
    image: str, busybox_image: str, python_image: str, engine_host: str, socket_path: str, folders: tuple[Path, Path],
    tmp_path: Path,
) -> Iterator[Project]:  # fmt: skip
    """The project's compose file with stand-ins for the two generators; taken down with its volumes."""
    env = {"DOCKER_HOST": engine_host, "DOCKER_SOCKET": socket_path, "LIBRARY": str(folders[0]),
           "SIDECAR_IMAGE": image, "COMFYUI_IMAGE": python_image, "FORGE_IMAGE": busybox_image}  # fmt: skip
    made = Project(tmp_path, env, f"ms-test-{uuid.uuid4().hex[:8]}")
    yield made
    made("down", "--volumes", "--timeout", "2")


def test_the_sidecar_pulls_from_its_neighbours_and_stops_at_once(
    project: Project, engine: docker.DockerClient, folders: tuple[Path, Path]
) -> None:
    project("up", "--detach", "--no-build", "--pull", "never")
    for service, root in (("comfyui", layout.COMFYUI_ROOT), ("forge", FORGE_ROOT)):
        one = engine.containers.get(project("ps", "--quiet", service).strip())
        inside.run(one, ["mkdir", "-p", root])
        files = [layout.File(f"{service}_{n:05d}_.png", tiny_png(n), 60, temporary=False) for n in range(5)]
        layout.write(one, root, files)
    until(lambda: len(stored(folders[0])) >= 10, "both neighbours' files")
    assert {path.stat().st_uid for path in stored(folders[0])} == {1000}
    sidecar = engine.containers.get(project("ps", "--quiet", "media-sync").strip())
    lines = json_lines(sidecar.logs().decode())
    assert {"comfyui", "forge"} <= {str(line.get("source")) for line in lines}
    began = time.monotonic()
    sidecar.stop(timeout=10)
    assert time.monotonic() - began < 2


def test_the_proxy_variants_are_valid_and_leave_the_socket_out() -> None:
    proxied = str(REPOSITORY / "compose" / "socket-proxy.yaml")
    for profile, service in (("purge", "media-sync"), ("pull-only", "media-sync-pull-only")):
        done = subprocess.run([*compose.command(), "-f", proxied, "--profile", profile, "config", "--format", "json"],
                              capture_output=True, text=True, check=True)  # fmt: skip
        services = json.loads(done.stdout)["services"]
        assert {"comfyui", "forge", service} < set(services)
        assert {volume["target"] for volume in services[service]["volumes"]} == {"/library", "/state"}
        proxy = services[services[service]["environment"]["MEDIA_SYNC_HOST"].split("/")[2].split(":")[0]]
        assert proxy["environment"]["POST"] == ("1" if profile == "purge" else "0")
        assert proxy["environment"]["EXEC"] == proxy["environment"]["POST"]
        assert proxy["environment"]["EVENTS"] == "1"
        assert "ports" not in proxy
        (port,) = services[service]["ports"]
        assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8787", 8787)
        assert services[service]["environment"]["MEDIA_SYNC_API__LISTEN"] == "0.0.0.0:8787"


@pytest.mark.parametrize("base", [("compose.yaml",), ("socket-proxy.yaml", "--profile", "purge")], ids=["own", "proxy"])
def test_the_overlay_with_postgres_is_valid_and_holds_no_password(base: tuple[str, ...], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    folder = REPOSITORY / "compose"
    files = ["-f", str(folder / base[0]), "-f", str(folder / "postgres.yaml"), *base[1:]]
    done = subprocess.run([*compose.command(), *files, "config", "--format", "json"], capture_output=True, text=True,
                          check=True, env={**os.environ, "POSTGRES_PASSWORD_FILE": str(secret)})  # fmt: skip
    assert "hunter2" not in done.stdout
    merged = json.loads(done.stdout)
    sidecar, server = merged["services"]["media-sync"], merged["services"]["postgres"]
    assert set(sidecar["networks"]) & set(server["networks"]) == {"postgres"}
    assert merged["networks"]["postgres"].get("internal", False) is False, "the page's port is published through it"
    assert merged["secrets"]["postgres-password"]["file"] == str(secret)
    for service in (sidecar, server):
        assert [one["source"] for one in service["secrets"]] == ["postgres-password"]
    assert "ports" not in server
    assert server["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    loaded = load(env=sidecar["environment"] | {PASSWORD_FILE: str(secret)}, cwd=tmp_path, system_file=tmp_path / "no")
    (made,) = make_sinks(loaded.settings.ingest).values()
    assert isinstance(made, PostgresSink)
