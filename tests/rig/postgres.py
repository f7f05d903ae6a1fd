"""A PostgreSQL of its own, on a real disk with fsync on, that may be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from glob import glob
from pathlib import Path
from types import TracebackType

import psycopg

PASSWORD = "s3cret/of:the@owner"  # one that has to be encoded in an address
OWNER = "owner"


class Missing(RuntimeError):
    """There is no PostgreSQL on this machine: tests/run.sh installs it."""


def binaries() -> Path:
    """The newest version's folder. Raises Missing."""
    found = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda at: float(at.split("/")[4]))
    if found:
        return Path(found[-1])
    on_path = shutil.which("initdb")
    if on_path is None:
        raise Missing("no initdb here: run tests/run.sh, which installs the package postgresql")
    return Path(on_path).resolve().parent


class Postgres:
    """A cluster in a temporary folder, on a free port of the loopback. Used as a context manager.

    It runs as the user `postgres` where the tests are root, which it refuses to be.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ms-pg-"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        try:
            self._make()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def dsn(self, database: str = "postgres", user: str = OWNER, password: str | None = None) -> str:
        """A connection string without a password unless one is given."""
        secret = f" password='{password}'" if password else ""
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user}{secret}"

    def connect(self, database: str = "postgres", user: str = OWNER, password: str = PASSWORD) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(self.dsn(database, user, password), autocommit=True)

    def start(self) -> None:
        """Run it, and wait until it takes connections: after a crash, until all has been recovered."""
        end = time.monotonic() + 60
        while True:
            if self._process is None or self._process.poll() is not None:
                # after a kill it ends at once, as long as one of its old processes still lives
                self._process = self._run("postgres", "-D", str(self.folder / "data"))
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """kill -9, with everything that it had not written lost."""
        self._end(signal.SIGKILL)

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End it as its administrators do; connections are cut. What has ended already stays so."""
        self._end(by)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to each of its processes: SIGSTOP makes it hang, SIGCONT lets it go on."""
        assert self._process is not None
        parent = self._process.pid
        for pid in (parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())):
            os.kill(pid, number)

    def database(self, name: str, encoding: str = "UTF8") -> None:
        """Make a new database."""
        with self.connect() as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(by)
            process.wait(timeout=60)

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user is not None:
            shutil.chown(self.folder, self._user)
            shutil.chown(secret, self._user)
        made = self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", OWNER, f"--pwfile={secret}", "--encoding=UTF8",
            "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync",
        )  # fmt: skip
        assert made.wait(timeout=120) == 0, (self.folder / "log").read_text()
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nfsync = on\nautovacuum = off\n"
                       f"unix_socket_directories = '{self.folder}'\nshared_buffers = 32MB\n")  # fmt: skip

    def _run(self, program: str, *args: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([binaries() / program, *args], user=self._user, group=self._user, cwd=self.folder,
                                    extra_groups=[] if self._user else None, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})  # fmt: skip
