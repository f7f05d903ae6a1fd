"""`docker inspect` answers and folders to look into, for the tests of discovery."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.config import load
from sidecar.models import NS, LeftOut, Source
from sidecar.transports.base import Discovery
from sidecar.transports.docker.discovery import discover

HOUR = 3600 * NS
ENABLED = {"media-sync.enable": "true"}

# `docker inspect` of a container with a volume and both kinds of tmpfs, from Engine 20.10.24, cut to what is read
# and what surrounds it.
RECORDED: dict[str, Any] = {
    "Id": "a36c7425498e3ad277859a6609df8659ac4c61fc8e7fbf7250f63d98bfa7519e",
    "Created": "2026-11-22T15:44:48.977183037Z",
    "Path": "sleep",
    "Args": ["1000"],
    "State": {"Status": "running", "Running": True, "Paused": False, "Restarting": False, "Dead": False, "Pid": 20861,
              "StartedAt": "2026-11-22T15:44:49.134013588Z", "FinishedAt": "0001-01-01T00:00:00Z"},
    "Image": "sha256:0b7fd2e0e38e21b3a7bef3dabdff503e055979301a81cda38d2f6e0347cfc1be",
    "Name": "/generator",
    "HostConfig": {"Binds": ["models:/data/ComfyUI/output"], "NetworkMode": "none", "Tmpfs": {"/app/tmpfsout": ""},
                   "Mounts": [{"Type": "tmpfs", "Target": "/app/t2"}]},
    "Mounts": [
        {"Type": "volume", "Name": "models", "Source": "/var/lib/docker/volumes/models/_data",
         "Destination": "/data/ComfyUI/output", "Driver": "local", "Mode": "z", "RW": True, "Propagation": ""},
        {"Type": "tmpfs", "Source": "", "Destination": "/app/t2", "Mode": "", "RW": True, "Propagation": ""},
    ],
    "Config": {"Hostname": "a36c7425498e", "User": "", "Env": ["CLI_ARGS=--output-directory /data/ComfyUI/output"],
               "Cmd": ["sleep", "1000"], "Image": "yanwk/comfyui-boot:cu124", "Volumes": None, "WorkingDir": "",
               "Entrypoint": None, "Labels": {"media-sync.enable": "true"}},
}  # fmt: skip
BARE: dict[str, Any] = {"Mounts": [], "HostConfig": {"Tmpfs": None}}


def inspect(name: str = "generator", *, id: str = "", state: str = "running", image: str = "box",  # noqa: A002
            labels: dict[str, str] | None = None, env: tuple[str, ...] = (), argv: tuple[str, ...] = ("run",),
            created: str = "2026-11-22T15:44:48Z", **over: Any) -> dict[str, Any]:  # fmt: skip
    """A recorded answer with the given parts changed."""
    answer = copy.deepcopy(RECORDED) | copy.deepcopy(BARE)
    answer |= {"Name": f"/{name}", "Id": id or name.encode().hex().ljust(64, "0")[:64], "Created": created,
               "Path": argv[0], "Args": list(argv[1:]), "State": {"Status": state}}  # fmt: skip
    answer["Config"] |= {"Image": image, "Labels": labels, "Env": list(env), "Cmd": list(argv)}
    answer["Config"] |= {key: over.pop(key) for key in list(over) if key in answer["Config"]}
    return answer | over


@dataclass(frozen=True)
class Info:
    is_dir: bool = True
    link_target: str = ""


class Tree:
    """What HEAD archive answers for a fixed set of folders, as seen on Engine 20.10.24: parents are followed, the last
    part is not, and a link's target comes fully resolved."""

    def __init__(self, *folders: str, links: Mapping[str, str] | None = None, files: tuple[str, ...] = ()) -> None:
        self.links = dict(links or {})
        self.files = set(files)
        self.folders = {"/"}
        for path in (*folders, *files):
            parts = path.split("/")
            self.folders |= {"/".join(parts[:i]) for i in range(2, len(parts) + (path in folders))}

    def _resolved(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(link + "/"):
                return self._resolved(target + path[len(link) :])
        return path

    async def __call__(self, container: str, path: bytes) -> Info | None:
        text = path.decode()
        if text in self.links:
            return Info(False, self._resolved(text))
        real = self._resolved(text)
        if real in self.folders:
            return Info()
        return Info(False) if real in self.files else None


NOWHERE = Path("/nowhere")


async def found(*inspects: dict[str, Any], tree: Tree | None = None, yaml: str = "", own: str = "",
                tmp: Path = NOWHERE, **more: Any) -> Discovery:  # fmt: skip
    if yaml:
        (tmp / "c.yaml").write_text(yaml)
    loaded = load(env={}, cwd=tmp, config=tmp / "c.yaml" if yaml else None, system_file=tmp / "none", **more)
    return await discover(loaded.settings, inspects, tree or Tree("/out"), own=own)


async def one(*inspects: dict[str, Any], **named: Any) -> Source:
    answer = await found(*inspects, **named)
    assert [source.name for source in answer.sources] != [], answer.left_out
    (source,) = answer.sources
    return source


async def left(*inspects: dict[str, Any], **named: Any) -> LeftOut:
    answer = await found(*inspects, **named)
    (only,) = answer.left_out
    assert answer.sources == ()
    return only
