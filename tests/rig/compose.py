"""Docker Compose v2: the machine's own, else unpacked from a package of its distribution or of a newer Debian."""

from __future__ import annotations

import os
import shutil
import subprocess

from generators import packages, rootfs

NEWER = "trixie"  # bookworm's docker-compose is the first version, in Python
PLACES = ("usr/libexec/docker/cli-plugins/docker-compose", "usr/lib/docker/cli-plugins/docker-compose")


def command() -> list[str]:
    """What to put before `up`, `down` and the like. Raises packages.Missing where none can be had."""
    for argv in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(argv[0]) and second(argv):
            return argv
    with rootfs.locked("compose"):
        kept = os.path.join(packages.CACHE, "docker-compose")
        return [kept if second([kept]) else fetch()]


def second(argv: list[str]) -> bool:
    """Whether a command is Compose of version 2 or later."""
    try:
        done = subprocess.run([*argv, "version", "--short"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    major = done.stdout.strip().removeprefix("v").partition(".")[0]
    return done.returncode == 0 and major.isdigit() and int(major) >= 2


def fetch() -> str:
    """Path of the one program that the package is about, kept in the cache."""
    package, options = "docker-compose-v2", []
    if not packages.candidate(package):
        package = "docker-compose"
        if packages.candidate(package).partition(".")[0] in ("", "1"):
            options = packages.private_apt(NEWER)
    with packages.unpacked(package, options) as tree:
        for place in PLACES:
            if os.path.exists(os.path.join(tree, place)):
                return packages.keep(os.path.join(tree, place), "docker-compose")
    raise packages.Missing(f"the package {package} holds no docker-compose where it is expected")
