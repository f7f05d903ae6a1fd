"""The project's image, built without a network: wheels from the host's own index, a base made from Debian packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import docker
from generators import rootfs
from generators.packages import CACHE

from tests.rig.program import REPOSITORY

TAG = "forge-media-sync-test/media-sync:local"
CONTEXT = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", "sidecar")


def wheels() -> Path:
    """A folder with a wheel of everything that the project needs, for the pyproject as it is now."""
    project = (REPOSITORY / "pyproject.toml").read_bytes() + sys.version.encode()
    folder = Path(CACHE, f"wheels-{hashlib.sha256(project).hexdigest()[:12]}")
    with rootfs.locked("wheels"):
        if not folder.exists():
            for old in Path(CACHE).glob("wheels-*"):
                shutil.rmtree(old)
            part = Path(CACHE, "wheels.new")
            shutil.rmtree(part, ignore_errors=True)
            argv = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--dest",
                str(part),
                str(REPOSITORY),
                "hatchling",
            ]
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            part.rename(folder)
    return folder


def build(client: docker.DockerClient, base: str, folder: Path) -> str:
    """Build the image from this checkout, in a copy of what the Dockerfile needs; answers its tag."""
    for name in CONTEXT:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copytree(wheels(), folder / "wheels", copy_function=os.link if same_disk(folder) else shutil.copy)
    client.images.build(path=str(folder), tag=TAG, buildargs={"PYTHON_IMAGE": base}, network_mode="none", rm=True,
                        forcerm=True)  # fmt: skip
    return TAG


def same_disk(folder: Path) -> bool:
    """Whether files can be hard links to the cache."""
    return folder.stat().st_dev == Path(CACHE).stat().st_dev
