"""Who a library belongs to (its marker), who works on it now (its lock), and whether it can be written."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import uuid
from pathlib import Path

from sidecar.errors import LibraryUnsafe
from sidecar.library.disk import rename_noreplace, why
from sidecar.library.names import TEMPORARY

OWN_FOLDER = ".media-sync"


def read_marker(root: Path) -> str | None:
    """The id in a library's marker; None when there is none that can be read."""
    try:
        value = json.loads((root / OWN_FOLDER / "library.json").read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) and value else None


def bind_marker(root: Path, expect: str | None) -> str:
    """The id of the library at `root`, which gets a marker when none is expected. Raises LibraryUnsafe."""
    found = read_marker(root)
    if expect is not None:
        if found is None:
            raise LibraryUnsafe(f"library {root}: its marker {OWN_FOLDER}/library.json is missing",
                                hint="mount the disk; to start a new library, use a new --state folder")  # fmt: skip
        if found != expect:
            raise LibraryUnsafe(f"library {root} belongs to another state folder",
                                hint="use the --state folder that goes with it")  # fmt: skip
        return found
    if found is not None:
        return found
    return _make_marker(root)


def _make_marker(root: Path) -> str:
    library_id = uuid.uuid4().hex
    own = root / OWN_FOLDER
    try:
        os.makedirs(own, exist_ok=True)
        part = own / "library.json.new"
        with open(part, "w", encoding="utf-8") as file:
            json.dump({"id": library_id, "what": "marks this folder as a media-sync library; keep it"}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, own / "library.json")
        for folder in (own, root):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    except OSError as error:
        raise not_writable(root, error) from error
    return library_id


def check_writable(root: Path, root_fd: int) -> bool:
    """Whether files can be written without a name and be named later; if not, they get a temporary name first.

    Raises LibraryUnsafe unless a file can be made in the library and be given a name that never replaces another.
    """
    name = TEMPORARY + b"probe-" + secrets.token_hex(4).encode()
    if _unnamed(root_fd, name):
        return True
    named = name + b"-named"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=root_fd))
        try:
            able = _linked(root_fd, name, named) or _renamed(root_fd, name, named)
        finally:
            for left in (name, named):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(left, dir_fd=root_fd)
    except OSError as error:
        raise not_writable(root, error) from error
    if not able:
        raise LibraryUnsafe(f"library {root}: its file system has neither hard links nor renames that never replace",
                            hint="keep the library on another one, such as ext4, XFS or Btrfs")  # fmt: skip
    return False


def _unnamed(root_fd: int, name: bytes) -> bool:
    try:
        fd = os.open(b".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
    except OSError:  # if more than this is wrong, the named file will show it
        return False
    try:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=root_fd, follow_symlinks=True)
        os.unlink(name, dir_fd=root_fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _linked(root_fd: int, name: bytes, named: bytes) -> bool:
    try:
        os.link(name, named, src_dir_fd=root_fd, dst_dir_fd=root_fd)
    except OSError:
        return False
    return True


def _renamed(root_fd: int, name: bytes, named: bytes) -> bool:
    try:
        rename_noreplace(root_fd, name, root_fd, named)
    except OSError:
        return False
    return True


def not_writable(root: Path, error: OSError) -> LibraryUnsafe:
    """The error for a library that the disk does not let us write."""
    hint = "mount it read-write, or check owner and permissions (PUID/PGID in a container)"
    return LibraryUnsafe(f"library {root} cannot be written: {why(error)}", hint=hint)
