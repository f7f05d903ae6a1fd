"""Where a benchmark ran, and with which versions: figures mean little without."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import docker

from sidecar import __version__


def machine(folder: Path) -> dict[str, str | int]:
    """Cores, memory in bytes, kernel, and the file system that copies are written to."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "file_system": _first(["findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)]),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
    }


def versions(host: str) -> dict[str, str]:
    """Of the engine, of what runs containers for it, and of everybody who competes."""
    client = docker.DockerClient(base_url=host, version="auto")
    try:
        said = client.version()
        driver = str(client.info()["Driver"])
    finally:
        client.close()
    parts = {part["Name"].lower(): str(part["Version"]) for part in said.get("Components", [])}
    return {
        "engine": str(said["Version"]),
        "storage": driver,
        "containerd": parts.get("containerd", ""),
        "runc": parts.get("runc", ""),
        "docker cp": _first(["docker", "--version"]),
        "rsync": _first(["rsync", "--version"]),
        "rclone": _first(["rclone", "version"]),
        "curl": _first(["curl", "--version"]),
        "media-sync": f"{__version__} {_commit()}".strip(),
        "python": platform.python_version(),
    }


def _commit() -> str:
    return _first(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _first(argv: Sequence[str]) -> str:
    """The first line that a program prints; "" when it cannot say."""
    try:
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    return " ".join(said.partition("\n")[0].split())
