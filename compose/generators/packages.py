"""The distribution's packages, unpacked without being installed: no root, no trace on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

CACHE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".engine", "cache")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Missing(RuntimeError):
    """Something that this machine lacks; the message is the one line a person needs."""


def run(argv: Sequence[str], *, cwd: str | None = None) -> str:
    """Standard output of a program; raises Missing with the end of what it said when it fails."""
    try:
        done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise Missing(f"{argv[0]} is missing on this machine") from problem
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(f"{argv[0]} failed ({done.returncode}): {' / '.join(said[-3:])}")
    return done.stdout


def release() -> tuple[str, str]:
    """Distribution and codename, such as ("debian", "bookworm"). Raises Missing where apt is not the way."""
    values: dict[str, str] = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as handle:
            for line in handle:
                key, _, value = line.strip().partition("=")
                values[key] = value.strip('"')
    except OSError:
        values = {}
    if values.get("ID") not in ("debian", "ubuntu") or "VERSION_CODENAME" not in values:
        raise Missing(f"a Debian or Ubuntu machine is needed here, this is {values.get('PRETTY_NAME', sys.platform)}")
    return values["ID"], values["VERSION_CODENAME"]


def mirror(codename: str) -> str:
    """The address that the machine's own apt gets `codename` from."""
    form = "$(CREATED_BY) $(CODENAME) $(SUITE) $(RELEASE) $(COMPONENT) $(REPO_URI)"
    for line in run(["apt-get", "indextargets", "--format", form]).splitlines():
        kind, *names, component, address = line.split()
        if kind == "Packages" and component == "main" and codename in names:
            return address
    raise Missing(f"apt knows no mirror for {codename}: see /etc/apt/sources.list")


def private_apt(suite: str) -> list[str]:
    """apt options for another release of Debian than the machine's, with lists of their own under `.engine/apt`.

    Same mirror, same keys, same proxies; the machine's own apt learns nothing of it. Updates the lists.
    """
    base = os.path.join(os.path.dirname(CACHE), "apt", suite)
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(base, folder), exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    with open(os.path.join(base, "sources.list"), "w", encoding="utf-8") as handle:
        handle.write(f"deb {signed}{mirror(release()[1])} {suite} main\n")
    options = [f"Dir::Etc::SourceList={base}/sources.list", "Dir::Etc::SourceParts=/dev/null",
               "Dir::Etc::PreferencesParts=/dev/null", f"Dir::State::Lists={base}/lists",
               f"Dir::Cache={base}/cache"]  # fmt: skip
    flags = [flag for option in options for flag in ("-o", option)]
    run(["apt-get", *flags, *SANDBOX, "-qq", "update"])
    return flags


SANDBOX = ("-o", "APT::Sandbox::User=root")  # a private folder is not readable for apt's own user


@contextmanager
def unpacked(package: str, options: Sequence[str] = ()) -> Iterator[str]:
    """A folder with a package's files, gone afterwards. Raises Missing when there is no apt or no such package."""
    if not shutil.which("apt-get"):
        raise Missing(f"{package} is missing, and there is no apt here to fetch it with")
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        run(["apt-get", *options, *SANDBOX, "-qq", "download", package], cwd=work)
        (archive,) = (name for name in os.listdir(work) if name.endswith(".deb"))
        run(["dpkg", "-x", archive, "tree"], cwd=work)
        yield os.path.join(work, "tree")


def candidate(package: str) -> str:
    """The version that the machine's own apt would install; "" when it knows none."""
    if not shutil.which("apt-cache"):
        return ""
    for line in run(["apt-cache", "policy", package]).splitlines():
        key, _, version = line.strip().partition(": ")
        if key == "Candidate" and version != "(none)":
            return version
    return ""


def keep(found: str, name: str) -> str:
    """Copy a file into the cache under a name, whole or not at all; answers its path there."""
    kept = os.path.join(CACHE, name)
    shutil.copy(found, kept + ".new")
    os.replace(kept + ".new", kept)
    return kept
