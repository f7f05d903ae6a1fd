"""Root file systems for the stand-ins, from what the distribution's packages give. Standard library only.

`python -m generators.rootfs python` makes the larger one before anything is installed from an index, so that it can
run beside pip. Everything made is kept under `.engine/cache`.
"""

from __future__ import annotations

import fcntl
import io
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from generators import packages
from generators.packages import CACHE, Missing, mirror, release, run

PYTHON_PACKAGES = "python3,python3-venv,python3-pip"
ACCOUNTS = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n"
GROUPS = b"root:x:0:\nuser:x:1000:\n"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time makes `name`; the others wait for it."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, f".{name}.lock"), "wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def static(path: str) -> bool:
    """Whether a program needs no loader, so that it runs in an otherwise empty image."""
    try:
        with open(path, "rb") as handle:
            return b"/ld-" not in handle.read(4096)
    except OSError:
        return False


def busybox_program() -> str:
    """Path of a static busybox: the machine's own, or unpacked (not installed) from the distribution's package."""
    for path in ("/bin/busybox", os.path.join(CACHE, "busybox")):
        if static(path):
            return path
    with locked("busybox"), packages.unpacked("busybox-static") as tree:
        found = next(path for path in (f"{tree}/bin/busybox", f"{tree}/usr/bin/busybox") if static(path))
        return packages.keep(found, "busybox")


def _add(tar: tarfile.TarFile, name: str, data: bytes | None, *, mode: int, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.mode = mode
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    elif data is None:
        member.type = tarfile.DIRTYPE
    else:
        member.size = len(data)
    tar.addfile(member, io.BytesIO(data) if data is not None else None)


def busybox_tar(*, shell: bool = True) -> bytes:
    """An image's whole tree: busybox and its applets. Without `shell` there is nothing but `/sleep`."""
    with open(busybox_program(), "rb") as handle:
        program = handle.read()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if not shell:
            _add(tar, "sleep", program, mode=0o755)
            return _closed(tar, out)
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("home", 0o755), ("tmp", 0o1777)):
            _add(tar, folder, None, mode=mode)
        _add(tar, "home/user", None, mode=0o777)
        _add(tar, "bin/busybox", program, mode=0o755)
        for applet in run([busybox_program(), "--list"]).split():
            if applet != "busybox":
                _add(tar, f"bin/{applet}", None, mode=0o777, link="busybox")
        _add(tar, "etc/passwd", ACCOUNTS, mode=0o644)
        _add(tar, "etc/group", GROUPS, mode=0o644)
        return _closed(tar, out)


def _closed(tar: tarfile.TarFile, out: io.BytesIO) -> bytes:
    tar.close()
    return out.getvalue()


def python_tar() -> str:
    """Path of a tar with a minimal Debian or Ubuntu root that has python3, venv and pip; made once, in about a minute.

    Needs root and debootstrap; raises Missing otherwise.
    """
    distribution, codename = release()
    kept = os.path.join(CACHE, f"python-{distribution}-{codename}-{platform.machine()}.tar")
    with locked("python"):
        if not os.path.exists(kept):
            if os.geteuid() != 0:
                raise Missing("the image with python3 is made by debootstrap, which needs root: run once as root")
            if not shutil.which("debootstrap"):
                raise Missing("debootstrap is missing: apt-get install debootstrap")
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                _bootstrap(os.path.join(work, "root"), codename)
                run(["tar", "-C", os.path.join(work, "root"), "--numeric-owner", "--exclude=./dev/*",
                     "--exclude=./var/cache/apt/*.bin", "--exclude=./var/cache/apt/archives/*",
                     "--exclude=./var/lib/apt/lists/*", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*",
                     "--exclude=./usr/share/locale/*", "-cf", kept + ".new", "."])  # fmt: skip
            os.replace(kept + ".new", kept)
    return kept


def _bootstrap(root: str, codename: str) -> None:
    """A component beyond main is needed on Ubuntu alone, where pip lives in universe."""
    components = "main,universe" if release()[0] == "ubuntu" else "main"
    run(["debootstrap", "--variant=minbase", f"--components={components}", f"--include={PYTHON_PACKAGES}",
         codename, root, mirror(codename)])  # fmt: skip


def main(argv: list[str]) -> int:
    """`python` makes the tar with python3, `busybox` finds or fetches busybox; prints the path."""
    try:
        print({"python": python_tar, "busybox": busybox_program}[argv[1]]())
    except Missing as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
