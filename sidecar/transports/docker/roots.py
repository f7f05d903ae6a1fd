"""Where a container keeps its output: what it was told, else what is known of its image, each looked at first."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from sidecar.config import Wrong, root_path
from sidecar.errors import RootMissing
from sidecar.transports.docker.inspected import Container
from sidecar.transports.docker.presets import (
    DATA_ROOTS,
    PRESETS,
    SAVED_SIBLING,
    SAVING_KINDS,
    WORKSPACE_ROOTS,
)
from sidecar.values import dataclass


class PathInfo(Protocol):
    """What HEAD archive tells of a path, without following it. `link_target` is "" unless it is a symlink."""

    @property
    def is_dir(self) -> bool: ...

    @property
    def link_target(self) -> str: ...


Probe = Callable[[str, bytes], Awaitable[PathInfo | None]]
"""(container ID, absolute path) -> what is there, None for nothing."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Output folders that are there, the mount type of each, and the kind that they gave away ("" if none).

    `places` say where each really lies, the same for every container that sees it.
    """

    paths: tuple[bytes, ...]
    mounts: tuple[str, ...]
    kind: str = ""
    warnings: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Guess:
    """Folders of which all that exist are roots. A `sure` guess is the container's own word: no other comes after."""

    paths: tuple[str, ...]
    told_by: str = ""
    sure: bool = False
    kind: str = ""


async def find_roots(container: Container, kind: str, explicit: Sequence[str], probe: Probe) -> Roots:
    """The roots of a container. `explicit` ones must all be there; without any they are detected.

    Raises RootMissing, which says which folder is missing or that none was found.
    """
    look = _Look(container, probe)
    if explicit:
        for path in explicit:
            if not await look.is_folder(path, told=True):
                what = "is not a directory" if await probe(container.id, path.encode()) else "does not exist"
                raise RootMissing(f"root {path} {what}", hint="correct the path, or start the generator once")
        return await look.roots(explicit, "")
    for guess in _guesses(container, kind):
        there = [path for path in guess.paths if await look.is_folder(path, told=bool(guess.told_by))]
        if there:
            found_kind = kind or guess.kind
            sibling = posixpath.join(posixpath.dirname(there[0]), SAVED_SIBLING)
            if found_kind in SAVING_KINDS and await look.is_folder(sibling, told=False):
                there.append(sibling)
            return await look.roots(there, found_kind)
        if guess.sure:
            raise RootMissing(f"root {guess.paths[0]} (from {guess.told_by}) does not exist",
                              hint="start the generator once, or name the output folder")  # fmt: skip
    raise RootMissing("no output folder found", hint="name the output folder")


class _Look:
    """Looks into one container by its probe, at each path once."""

    def __init__(self, container: Container, probe: Probe) -> None:
        self._container = container
        self._probe = probe
        self._seen: dict[str, PathInfo | None] = {}

    async def _info(self, path: str) -> PathInfo | None:
        if path not in self._seen:
            self._seen[path] = await self._probe(self._container.id, path.encode())
        return self._seen[path]

    async def is_folder(self, path: str, *, told: bool) -> bool:
        """Whether a folder, or a symlink to one, is there. Below a tmpfs nobody can see: what was told is believed."""
        info = await self._info(path)
        if info is not None and info.link_target:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), info.link_target))
            info = await self._info(path)
        if info is None:
            return told and self._container.hidden(path)
        return info.is_dir

    async def real(self, path: str) -> str:
        """The path without symlinks, as far as they can be seen; the engine answers targets fully resolved."""
        done = "/"
        for part in path.strip("/").split("/"):
            done = posixpath.join(done, part)
            info = await self._info(done)
            if info is not None and info.link_target:
                done = posixpath.normpath(posixpath.join(posixpath.dirname(done), info.link_target))
        return done

    async def roots(self, paths: Sequence[str], kind: str) -> Roots:
        """The paths with their mounts; what is the same folder as another, or lies inside it, is left out."""
        kept: dict[str, str] = {}
        warnings = []
        for path in sorted(paths, key=len):
            real = await self.real(path)
            outer = next((p for p, r in kept.items() if real == r or real.startswith(r.rstrip("/") + "/")), None)
            if outer is None:
                kept[path] = real
            else:
                warnings.append(f"container {self._container.name}: root {path} lies in root {outer} — pulled once")
        ordered = [path for path in paths if path in kept]
        mounts = tuple(self._container.mount_of(kept[path]) for path in ordered)
        places = tuple(self._container.place_of(kept[path]) for path in ordered)
        return Roots(tuple(path.encode() for path in ordered), mounts, kind, tuple(warnings), places)


def _guesses(container: Container, kind: str) -> Iterator[_Guess]:
    for guess in (*_told(container, kind), *_known(container, kind)):
        paths = tuple(path for path in guess.paths if _may_be_root(path))
        if paths:
            yield _Guess(paths, guess.told_by, guess.sure, guess.kind)


def _may_be_root(path: str) -> bool:
    try:
        return root_path(path) == path and path.isprintable()
    except Wrong:
        return False


def _told(container: Container, kind: str) -> Iterator[_Guess]:
    """What the command line says, then what the environment says, then where the program itself lies."""
    yield from _flags(container, container.words(), "its command line", sure=True)
    for words in container.argument_variables():
        yield from _flags(container, words, "its environment", sure=False)
    if base := container.env.get("BASE_DIRECTORY"):
        yield _Guess((container.absolute(f"{base}/output"),), "BASE_DIRECTORY")
    if workspace := container.env.get("WORKSPACE"):
        for below in WORKSPACE_ROOTS.get(kind, ()):
            yield _Guess((container.absolute(f"{workspace}/{below}"),), "WORKSPACE")
    for word in container.words():
        folder, script = posixpath.split(container.absolute(word))
        if script == "main.py" and kind == "comfyui":
            yield _Guess((container.absolute(f"{folder}/output"),))
        elif script in ("launch.py", "webui.py", "webui.sh") and kind in SAVING_KINDS:
            yield _Guess(tuple(container.absolute(f"{folder}/{name}") for name in DATA_ROOTS))


def _flags(container: Container, words: Sequence[str], where: str, *, sure: bool) -> Iterator[_Guess]:
    for flag, below in (("--output-directory", ("",)), ("--base-directory", ("output",)), ("--data-dir", DATA_ROOTS)):
        value = _flag_value(words, flag)
        if value and "$" not in value:
            paths = tuple(container.absolute(posixpath.join(value, name)) for name in below)
            yield _Guess(paths, f"{flag} in {where}", sure)


def _flag_value(words: Sequence[str], flag: str) -> str:
    """The flag's last value, as argparse takes it."""
    found = ""
    for i, word in enumerate(words):
        if word == flag and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(flag + "="):
            found = word.removeprefix(flag + "=")
    return found


def _known(container: Container, kind: str) -> Iterator[_Guess]:
    """The presets of the image, then those of the kind; of every kind where it is not known, save general names."""
    rows = [row for row in PRESETS if row.image and re.search(row.image, container.image, re.IGNORECASE)]
    rows += [row for row in PRESETS if not row.image and kind in ("", row.kind) and not (row.general and not kind)]
    for row in rows:
        if kind in ("", "custom", row.kind):
            for path in row.roots:
                yield _Guess((path,), kind=row.kind)
