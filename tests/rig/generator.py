"""A generator's stand-in: a real container with an output folder, and hands to do to it what generators do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # read when testcontainers is imported; its image is on a registry

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from generators import container as inside
from generators import images
from generators.container import NS, Done, Entry, Seen
from testcontainers.core.container import DockerContainer

LABEL = "forge-media-sync.test"
OWNER = f"{socket.gethostname()}:{os.getpid()}"
Name = str | bytes


def raw(path: Name) -> bytes:
    """A name as the bytes that the container has."""
    return path.encode() if isinstance(path, str) else path


@dataclass(frozen=True, slots=True)
class Spec:
    """How a stand-in is made, so that it can be made again under the same name.

    `root` is the output folder, made as `owner` (uid, gid). `volumes` maps a volume's name or a host folder to a path
    inside, `tmpfs` names mount points. `user` is the container's own user.
    """

    image: str
    root: str = "/output"
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = tuple(inside.HOLD)
    user: str = "0"
    owner: tuple[int, int] = (0, 0)
    options: Mapping[str, Any] = field(default_factory=dict)


class Generator:
    """One stand-in. Paths are bytes relative to its root; text is taken as UTF-8."""

    def __init__(self, name: str, spec: Spec) -> None:
        self.name, self.spec = name, spec
        self._made = self._start()

    def _start(self) -> DockerContainer:
        spec = self.spec
        made = DockerContainer(spec.image, env=dict(spec.env), name=self.name).with_command(list(spec.command))
        for source, target in spec.volumes.items():
            made.with_volume_mapping(source, target, "rw")
        for target in spec.tmpfs:
            made.with_tmpfs_mount(target)
        made.with_kwargs(network="none", user=spec.user, labels={**spec.labels, LABEL: OWNER}, **spec.options)
        try:
            made.start()
            self._make_root(made.get_wrapped_container())
        except BaseException:
            made.stop()
            raise
        return made

    def _make_root(self, container: Container) -> None:
        uid, gid = self.spec.owner
        if self.spec.image == images.NOSHELL:
            folder = Entry(self.spec.root.strip("/").encode() + b"/", uid=uid, gid=gid)
            inside.put(container, "/", [folder])
            return
        inside.run(container, ["mkdir", "-p", self.spec.root])
        if (uid, gid) != (0, 0):
            inside.run(container, ["chown", f"{uid}:{gid}", self.spec.root])

    @property
    def container(self) -> Container:
        """The container as the docker SDK knows it."""
        return self._made.get_wrapped_container()

    @property
    def id(self) -> str:
        """The container's ID: its generation."""
        return str(self.container.id)

    @property
    def root(self) -> str:
        """The output folder, absolute in the container."""
        return self.spec.root

    def put(
        self,
        files: Mapping[str, bytes] | Mapping[bytes, bytes] | Iterable[Entry],
        *,
        age: float = 0.0,
        mtime_ns: int = -1,
    ) -> None:
        """Write files in one request, owned by the root's owner; fine for thousands.

        `age` in seconds before now, or `mtime_ns` in ns since the epoch (exact to the nanosecond); entries bring
        their own. A file that was there is replaced (new inode). Not for tmpfs: see `write`.
        """
        uid, gid = self.spec.owner
        if isinstance(files, Mapping):
            stamp = mtime_ns if mtime_ns >= 0 else time.time_ns() - int(age * NS)
            files = [Entry(raw(path), data, mtime_ns=stamp, uid=uid, gid=gid) for path, data in files.items()]
        inside.put(self.container, self.root, files)

    def write(self, path: Name, data: bytes, *, age: float = 0.0, temporary: bool = False) -> None:
        """Write one file from inside, in place as ComfyUI does, or as `<name>.tmp` renamed as Forge does.

        An existing file keeps its inode when written in place. Names are text here; reaches tmpfs mounts.
        """
        target = self.path(path)
        first = target + ".tmp" if temporary else target
        script = 'mkdir -p "${1%/*}" && head -c "$2" > "$1" && { [ "$1" = "$3" ] || mv -f -- "$1" "$3"; }'
        self.exec("sh", "-c", script, "-", first, str(len(data)), target, stdin=data)
        if age:
            self.age(age, [path])

    def append(self, path: Name, data: bytes) -> None:
        """Add to the end of a file in place, as a generator that is still writing does."""
        inside.append(self.container, self.path(path), data)

    @contextmanager
    def growing(self, path: Name, pieces: Iterable[bytes], *, every: float) -> Iterator[threading.Event]:
        """While inside the context, one piece is appended every `every` seconds; the event says that all are there."""
        done, stop = threading.Event(), threading.Event()

        def feed() -> None:
            for piece in pieces:
                self.append(path, piece)
                if stop.wait(every):
                    return
            done.set()

        feeder = threading.Thread(target=feed, name=f"growing {path!r}")
        feeder.start()
        try:
            yield done
        finally:
            stop.set()
            feeder.join()

    def big(self, path: Name, size: int, *, head: bytes = b"", tail: bytes = b"") -> None:
        """A file of `size` bytes made inside the container: `head`, zeros, `tail`. Nothing large crosses the wire."""
        between = size - len(head) - len(tail)
        script = 'head -c "$2" > "$1" && head -c "$3" /dev/zero >> "$1"'
        self.exec("sh", "-c", script, "-", self.path(path), str(len(head)), str(between), stdin=head or b"\n")
        if tail:
            self.append(path, tail)

    def remove(self, *paths: Name) -> None:
        """Delete names under the root, whatever bytes they hold; a folder goes with all that is in it."""
        inside.remove(self.container, self.root, [raw(path) for path in paths])

    def age(self, seconds: float, paths: Iterable[Name] | None = None) -> None:
        """Set mtimes to `seconds` before now (whole seconds); of every regular file when none is named."""
        inside.age(self.container, self.root, seconds, None if paths is None else [raw(path) for path in paths])

    def stats(self, folder: str | None = None) -> dict[bytes, Seen]:
        """Everything under the root (itself as b"."), ctime included: equal before and after means nothing changed."""
        return inside.look(self.container, folder or self.root)

    def files(self) -> set[bytes]:
        """Names of the regular files under the root."""
        return {path for path, seen in self.stats().items() if seen.is_file}

    def read(self, path: Name) -> bytes:
        """The content of one file, by name as bytes."""
        name = raw(path)
        script = 'cd "$1" && head -c "$2" | xargs -0 cat --'
        return self.exec("sh", "-c", script, "-", self.root, str(len(name) + 3), stdin=b"./" + name + b"\0").out

    def exec(self, *argv: str, stdin: bytes = b"", user: str = "0", check: bool = True) -> Done:
        """Run a program inside; raises ExecFailed unless it ends with 0 or `check` is off."""
        return inside.run(self.container, argv, stdin=stdin, user=user, check=check)

    def path(self, path: Name) -> str:
        """A name under the root as an absolute path inside the container."""
        return f"{self.root}/{path if isinstance(path, str) else path.decode()}"

    def stop(self) -> None:
        """Stop the container as an operator would."""
        self.container.stop()

    def start(self) -> None:
        """Start it again; same generation, same files."""
        self.container.start()

    def pause(self) -> None:
        """Freeze it."""
        self.container.pause()

    def unpause(self) -> None:
        """Go on."""
        self.container.unpause()

    def recreate(self, **changes: Any) -> None:
        """A new container under the same name: a new generation. Volumes stay, the writable layer does not."""
        self.close(volumes=False)
        self.spec = replace(self.spec, **changes)
        self._made = self._start()

    def close(self, *, volumes: bool = True) -> None:
        """Remove the container whatever its state; it may be gone already."""
        with suppress(NotFound):
            self.container.remove(force=True, v=volumes)
        self._made.get_docker_client().client.close()


def sweep(client: docker.DockerClient) -> None:
    """Remove stand-ins that a killed test run of this machine left behind; those of a live one stay."""
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        host, _, pid = container.labels[LABEL].rpartition(":")
        if host == socket.gethostname() and not alive(int(pid)):
            with suppress(NotFound):
                container.remove(force=True, v=True)


def alive(pid: int) -> bool:
    """Whether a process of that number exists."""
    return os.path.exists(f"/proc/{pid}")
