"""Start as root in a container, work as the user that PUID and PGID name: the habit of other media containers.

Nothing happens unless the process is root and PUID is set, which the image does. Then the two folders that are written
to are given to that user if nobody else owns them, the group of the engine's socket is taken along, and everything else
that root could do is given up for good.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from sidecar.errors import ConfigError

SOCKET = "/var/run/docker.sock"
LARGEST = 2**32 - 2  # -1 means "leave as it is" to the kernel


def settle(env: Mapping[str, str], folders: Iterable[str], socket: str = SOCKET) -> None:
    """Apply UMASK, and PUID and PGID when root, before any other thread runs and any file is opened.

    `folders` are library and state; `socket` is the path of the engine's socket (it may be absent). Raises ConfigError
    for values that are no numbers, for all of them at once.
    """
    uid, gid, umask = _numbers(env)
    if umask is not None:
        os.umask(umask)
    if uid is None or os.geteuid() != 0:
        return
    group = uid if gid is None else gid
    for folder in folders:
        _hand_over(folder, uid, group)
    if uid == 0:
        return
    os.setgroups(_socket_groups(socket))
    os.setgid(group)
    os.setuid(uid)


def _numbers(env: Mapping[str, str]) -> tuple[int | None, int | None, int | None]:
    problems: list[str] = []

    def number(key: str, base: int, most: int, like: str) -> int | None:
        text = env.get(key, "").strip()
        if not text:
            return None
        try:
            value = int(text, base)
        except ValueError:
            value = -1
        if 0 <= value <= most:
            return value
        problems.append(f"{key}={text!r} is not {like}")
        return None

    found = (
        number("PUID", 10, LARGEST, "a user's number, like 1000"),
        number("PGID", 10, LARGEST, "a group's number, like 1000"),
        number("UMASK", 8, 0o777, "an octal mask, like 022"),
    )
    if problems:
        raise ConfigError("; ".join(problems), hint="correct it in the container's environment",
                          problems=tuple(problems))  # fmt: skip
    return found


def _hand_over(folder: str, uid: int, gid: int) -> None:
    """Give a folder that root owns, as the engine makes them for new mounts, to the user; never what is in it.

    What cannot be changed (read-only, a network share) is left: whoever writes there will say what is wrong.
    """
    try:
        found = os.stat(folder)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and uid != 0:
            os.chown(folder, uid, gid)
    except OSError:
        return


def _socket_groups(socket: str) -> list[int]:
    """The group through which the socket may be used; it is what root on the host is for this container anyway."""
    try:
        found = os.stat(socket)
    except OSError:
        return []
    usable = stat.S_ISSOCK(found.st_mode) and found.st_mode & stat.S_IWGRP and not found.st_mode & stat.S_IWOTH
    return [found.st_gid] if usable else []
