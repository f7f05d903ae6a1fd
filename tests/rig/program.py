"""The program as its users run it: `python -m sidecar` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
INHERITED = (
    "PATH",
    "PYTHONPATH",
    "LANG",
    "TZ",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
    "COVERAGE_FILE",
    "DOCKER_HOST",
)


@dataclass(frozen=True, slots=True)
class Result:
    """How one command ended and what it said: results on `out`, logs on `err`."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)

    def ok(self) -> Result:
        """Itself, when the command ended with 0; an assertion that shows what it said otherwise."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}\n{self.out}"
        return self


@dataclass
class Program:
    """Runs commands with a library and a state folder of their own, in an environment with no other settings.

    `--library`, `--state` and `--host` are added to every call unless `bare`.
    """

    folder: Path
    host: str
    env: dict[str, str] = field(default_factory=dict)

    @property
    def library(self) -> Path:
        """The library's folder; made by the program."""
        return self.folder / "library"

    @property
    def state(self) -> Path:
        """The state folder; made by the program."""
        return self.folder / "state"

    def argv(self, args: Sequence[str], *, bare: bool = False) -> list[str]:
        """The full command line."""
        common = [] if bare else ["--library", str(self.library), "--state", str(self.state), "--host", self.host]
        return [sys.executable, "-m", "sidecar", *args, *common]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process sees: no settings of the person who runs the tests."""
        kept = {key: os.environ[key] for key in INHERITED if key in os.environ}
        # tests run beside each other: whoever needs `serve` to answer HTTP gives it a port of its own
        quiet = {"MEDIA_SYNC_API__ENABLED": "false"}
        return {**kept, **quiet, "HOME": str(self.folder), "DOCKER_HOST": self.host, **self.env, **(extra or {})}

    def __call__(self, *args: str, bare: bool = False, env: Mapping[str, str] | None = None, timeout: float = 120,
                 stdin: str | None = None, preexec: Any = None) -> Result:  # fmt: skip
        """Run one command to its end."""
        done = subprocess.run(self.argv(args, bare=bare), cwd=self.folder, env=self.environment(env), text=True,
                              input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True,
                              timeout=timeout, check=False, errors="surrogateescape", preexec_fn=preexec)  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, bare: bool = False, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start one command and go on; the caller waits for it or kills it."""
        return subprocess.Popen(self.argv(args, bare=bare), cwd=self.folder, env=self.environment(env), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                errors="surrogateescape")  # fmt: skip
