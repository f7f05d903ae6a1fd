"""The engine is found the way the docker command finds it."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.config import (
    Settings,
    Tls,
    resolve_host,
)
from sidecar.errors import ConfigError


def docker_context(home: Path, name: str, endpoint: dict[str, Any], *, current: bool = True, tls: bool = False) -> None:
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / folder
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    if current:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))
    if tls:
        certificates = home / ".docker" / "contexts" / "tls" / folder / "docker"
        certificates.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (certificates / file).touch()


def test_engine_is_found_in_the_order_of_the_docker_command(tmp_path: Path) -> None:
    docker_context(tmp_path, "remote", {"Host": "tcp://box:2375"})
    docker_context(tmp_path, "other", {"Host": "tcp://other:2375"}, current=False)
    env = {"HOME": str(tmp_path)}
    assert resolve_host(Settings(), env).url == "tcp://box:2375"
    env["DOCKER_CONTEXT"] = "other"
    assert resolve_host(Settings(), env).url == "tcp://other:2375"
    env["DOCKER_HOST"] = "tcp://env:2375"
    assert resolve_host(Settings(), env).url == "tcp://env:2375"
    assert resolve_host(Settings(), env).origin == "DOCKER_HOST"
    found = resolve_host(Settings(host="tcp://flag:2375"), env, origin="command line")
    assert (found.url, found.origin, found.tls) == ("tcp://flag:2375", "command line", None)


def test_context_brings_its_certificates(tmp_path: Path) -> None:
    docker_context(tmp_path, "safe", {"Host": "tcp://box:2376", "SkipTLSVerify": False}, tls=True)
    found = resolve_host(Settings(), {"HOME": str(tmp_path)})
    assert found.tls is not None
    assert (found.tls.verify, Path(found.tls.ca or "").name, found.origin) == (True, "ca.pem", 'docker context "safe"')


def test_environment_brings_certificates_for_tcp_alone(tmp_path: Path) -> None:
    for file in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / file).touch()
    env = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1", "DOCKER_HOST": "tcp://box:2376"}
    expected = Tls(f"{tmp_path}/ca.pem", f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem", verify=True)
    assert resolve_host(Settings(), env).tls == expected
    assert resolve_host(Settings(host="unix:///x.sock"), env).tls is None
    (tmp_path / "key.pem").unlink()
    with pytest.raises(ConfigError, match=r"only one of cert\.pem and key\.pem"):
        resolve_host(Settings(), env)


def test_sockets_are_tried_in_order_and_the_first_is_named_where_none_is(tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    system = str(tmp_path / "system.sock")
    assert resolve_host(Settings(), env, sockets=(system,)).url == f"unix://{system}"
    for name in ("podman/podman.sock", "docker.sock", "system.sock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / name))
        assert resolve_host(Settings(), env, sockets=(system,)).url == f"unix://{tmp_path / name}"


@pytest.mark.parametrize(
    ("config", "env", "expected"),
    [
        ("{", {}, "config.json: is not JSON"),
        ('{"currentContext": "gone"}', {}, 'docker context "gone", named by'),
        ("{}", {"DOCKER_CONTEXT": "gone"}, "named by DOCKER_CONTEXT, does not exist"),
        ("{}", {"DOCKER_HOST": "nonsense"}, 'DOCKER_HOST: "nonsense" is not'),
        ("{}", {"DOCKER_HOST": "ssh://me:hunter2@box"}, 'DOCKER_HOST: "ssh://me:***@box": an engine cannot be reached'),
    ],
)
def test_what_cannot_be_followed_is_said(tmp_path: Path, config: str, env: dict[str, str], expected: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(config)
    with pytest.raises(ConfigError) as caught:
        resolve_host(Settings(), {"HOME": str(tmp_path), **env})
    assert expected in str(caught.value)
    assert caught.value.hint


def test_context_over_ssh_is_refused_by_name(tmp_path: Path) -> None:
    docker_context(tmp_path, "far", {"Host": "ssh://me@box"})
    with pytest.raises(ConfigError, match='docker context "far": "ssh://me@box": an engine cannot be reached over ssh'):
        resolve_host(Settings(), {"HOME": str(tmp_path)})


def test_context_without_docker_endpoint(tmp_path: Path) -> None:
    docker_context(tmp_path, "odd", {})
    with pytest.raises(ConfigError, match="no docker endpoint"):
        resolve_host(Settings(), {"HOME": str(tmp_path)})
