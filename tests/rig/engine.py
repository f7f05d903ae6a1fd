"""A Docker Engine of a test's own, for what nobody may do to one that others use: stop it, kill it, start it again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import docker

PROGRAMS = ("dockerd", "containerd")
_LAYERS = 5  # mounts that may lie over one another
_MOUNT_POINT = 4  # the field of /proc/self/mountinfo


def why_not() -> str:
    """Why no engine can be started here; "" when one can."""
    if os.geteuid() != 0:
        return "only root can start a Docker Engine"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{' and '.join(missing)} is not installed" if missing else ""


class OwnEngine:
    """dockerd and the containerd under it, with a folder of their own. Used as a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ms-engine-", dir="/tmp"))  # short: sockets' paths end at 107 bytes
        self.host = f"unix://{self.folder}/docker.sock"
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> OwnEngine:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start what is not running, and wait until the engine answers."""
        run = self.folder
        if self._containerd is None:
            (run / "containerd.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
            self._containerd = self._launch(
                "containerd", "--config", f"{run}/containerd.toml", "--address", f"{run}/c.sock",
                "--root", f"{run}/data/containerd", "--state", f"{run}/containerd", "--log-level", "warn",
            )  # fmt: skip
        (run / "daemon.json").write_text("{}")
        (run / "docker.pid").unlink(missing_ok=True)  # of one that was killed
        self._dockerd = self._launch(
            "dockerd", "--config-file", f"{run}/daemon.json", "--bridge=none", "--iptables=false", "--ip6tables=false",
            "--containerd", f"{run}/c.sock", "--data-root", f"{run}/data/docker", "--exec-root", f"{run}/exec",
            "-H", self.host, "-p", f"{run}/docker.pid",
        )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """SIGTERM, as a package's update does it. Containers are stopped."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up, not even the socket."""
        self._end(signal.SIGKILL)

    def client(self) -> docker.DockerClient:
        """The docker SDK's client on it, which the caller closes."""
        return docker.DockerClient(base_url=self.host, version="auto", timeout=60)

    def close(self) -> None:
        """End both, unmount what they left, and remove the folder; idempotent."""
        for process in (self._dockerd, self._containerd):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._dockerd = self._containerd = None
        # a killed engine leaves its containers' file systems, and exec/netns/default; the next one mounts over them
        for _ in range(_LAYERS):
            for at in self._mounts():
                subprocess.run(["umount", "--lazy", at], check=False, stderr=subprocess.DEVNULL)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _launch(self, *argv: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{argv[0]}.log", "ab") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _wait(self) -> None:
        end = time.monotonic() + 120
        while True:
            try:
                client = self.client()
                client.ping()
                client.close()
                return
            except (docker.errors.DockerException, OSError):
                assert self._dockerd is not None
                log = self.folder / "dockerd.log"
                assert self._dockerd.poll() is None, f"dockerd ended: {log.read_text()[-2000:]}"
                assert time.monotonic() < end, f"dockerd does not answer: {log.read_text()[-2000:]}"
                time.sleep(0.1)

    def _end(self, number: signal.Signals) -> None:
        assert self._dockerd is not None
        self._dockerd.send_signal(number)
        self._dockerd.wait(60)
        self._dockerd = None

    def _mounts(self) -> list[str]:
        """What is mounted below the folder, deepest first."""
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            points = [line.split()[_MOUNT_POINT] for line in lines]
        return sorted((at for at in points if at.startswith(f"{self.folder}/")), reverse=True)
