"""What compose/demo.sh does around the program: two stand-ins up, their files written, results checked, all down again.

Only containers that carry the demo's own label are touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from generators import container as inside
from generators import images, layout
from generators.packages import Missing

LABEL = "forge-media-sync.demo"
PICTURES = (".png", ".jpg", ".webp")
MEDIA = (*PICTURES, ".mp4")
ROOTS = {"comfyui": layout.COMFYUI_ROOT, "forge": layout.FORGE_ROOT}
YAML = """\
# Written by compose/demo.sh. Labels are off here, so that nothing but the demo's own containers is looked at.
host: {host}
library: {folder}/library
state: {folder}/state
docker:
  labels: false
log:
  format: text
sources:
  comfyui:
    container: media-sync-demo-comfyui
    kind: comfyui
    path: {comfyui}
  forge:
    container: media-sync-demo-forge
    kind: forge
    path: {forge}
"""


class Misbehaved(AssertionError):
    """A command did not do what it promises; the message says which and how."""


@dataclass(frozen=True)
class StandIn:
    """One generator of the demo."""

    name: str
    root: str
    image: str
    env: dict[str, str]
    files: list[layout.File]

    @property
    def container(self) -> str:
        """The container's name."""
        return f"media-sync-demo-{self.name}"


def stand_ins(client: docker.DockerClient) -> list[StandIn]:
    """ComfyUI where there is a Python, as in its real images; Forge in a container with nothing but a shell."""
    python = images.PYTHON if images.present(client, images.PYTHON) else images.busybox(client)
    return [
        StandIn("comfyui", layout.COMFYUI_ROOT, python, {"BASE_DIRECTORY": "/basedir"}, layout.comfyui(scale=2)),
        StandIn("forge", layout.FORGE_ROOT, images.busybox(client), {}, layout.forge(scale=2)),
    ]


def up(client: docker.DockerClient, folder: str) -> None:
    """Start the stand-ins afresh, let each write its files, and note what was written for the checks later."""
    down(client)
    written: list[tuple[str, str, str, float]] = []
    for one in stand_ins(client):
        made = client.containers.run(one.image, inside.HOLD, name=one.container, detach=True, network_mode="none",
                                     environment=one.env, labels={LABEL: one.name})  # fmt: skip
        inside.run(made, ["mkdir", "-p", one.root])
        layout.write(made, one.root, one.files)
        written += [(one.name, file.path, hashlib.sha256(file.data).hexdigest(), file.age)
                    for file in one.files if file.path.endswith(MEDIA) and not file.path.startswith("../")]  # fmt: skip
        size = sum(len(file.data) for file in one.files) / 1e6
        pictures = sum(file.path.endswith(PICTURES) for file in one.files)
        videos = sum(file.path.endswith(".mp4") for file in one.files)
        print(f"  {one.container:<24} {pictures} pictures, {videos} video, {size:.0f} MB in {one.root}")
    with open(os.path.join(folder, "written.json"), "w", encoding="utf-8") as handle:
        json.dump(written, handle)
    with open(os.path.join(folder, "media-sync.yaml"), "w", encoding="utf-8") as handle:
        handle.write(YAML.format(host=os.environ["DOCKER_HOST"], folder=folder, **ROOTS))


def down(client: docker.DockerClient) -> None:
    """Remove the demo's containers, whoever left them."""
    for one in client.containers.list(all=True, filters={"label": LABEL}):
        try:
            one.remove(force=True, v=True)
        except NotFound:
            continue


@dataclass(frozen=True)
class Original:
    """A media file as it was written under a root; `age` in seconds at that time."""

    source: str
    path: str
    sha256: str
    age: float


def originals(folder: str) -> list[Original]:
    """Every picture and video that was written."""
    with open(os.path.join(folder, "written.json"), encoding="utf-8") as handle:
        return [Original(*one) for one in json.load(handle)]


def check_synced(folder: str) -> None:
    """Every picture and video lies in the library, byte for byte: hashed here, not taken from the program."""
    found = set()
    for where, _, names in os.walk(os.path.join(folder, "library")):
        for name in names:
            with open(os.path.join(where, name), "rb") as handle:
                found.add(hashlib.file_digest(handle, "sha256").hexdigest())
    files = originals(folder)
    missing = [one for one in files if one.sha256 not in found]
    if missing:
        raise Misbehaved(f"the library lacks {len(missing)} of {len(files)} media files, such as {missing[0]}")
    print(f"  checked: all {len(files)} pictures and videos are in the library, byte for byte")


def check_idle(report: dict[str, Any]) -> None:
    """A sync with nothing new stored nothing and received no content."""
    stored = sum(one["stored"] for one in report["sources"])
    received = sum(one["bytes_received"] for one in report["sources"])
    if not report["ok"] or stored or received:
        raise Misbehaved(f"a sync with nothing new stored {stored} files and received {received} bytes: {report}")
    unchanged = sum(one["unchanged"] for one in report["sources"])
    print(f"  checked with --json: {unchanged} unchanged, 0 stored, 0 bytes of content received")


def missing_originals(client: docker.DockerClient, folder: str) -> list[Original]:
    """Those that are not in their container any more."""
    there: set[tuple[str, str]] = set()
    for source, root in ROOTS.items():
        seen = inside.look(client.containers.get(f"media-sync-demo-{source}"), root)
        there |= {(source, path.decode()) for path in seen}
    return [one for one in originals(folder) if (one.source, one.path) not in there]


def check_kept(client: docker.DockerClient, folder: str) -> None:
    """A dry run left every original where it was."""
    gone = missing_originals(client, folder)
    if gone:
        raise Misbehaved(f"a dry run deleted {len(gone)} originals, such as {gone[0]}")
    print("  checked: every original is still in its container")


def check_purged(client: docker.DockerClient, folder: str) -> None:
    """Old originals went, new ones stayed, and the library has them all."""
    files = originals(folder)
    gone = missing_originals(client, folder)
    young = [one for one in gone if one.age < layout.DAY]
    if young:
        raise Misbehaved(f"purge deleted {len(young)} originals younger than 24 hours, such as {young[0]}")
    if len(gone) < len(files) // 2:
        raise Misbehaved(f"purge deleted only {len(gone)} of {len(files)} originals, most of which are old")
    print(f"  checked: {len(gone)} old originals went, {len(files) - len(gone)} new or newest ones stayed")
    check_synced(folder)


def main(argv: list[str]) -> int:
    """`up|down|synced|idle|kept|purged FOLDER`; `idle` reads a sync report on standard input."""
    step, folder = argv[1], os.path.abspath(argv[2])
    try:
        if step == "synced":
            check_synced(folder)
        elif step == "idle":
            check_idle(json.load(sys.stdin))
        else:
            client = docker.from_env()
            if step == "down":
                down(client)
            else:
                {"up": up, "kept": check_kept, "purged": check_purged}[step](client, folder)
    except (Misbehaved, Missing, DockerException, inside.ExecFailed, ValueError) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
