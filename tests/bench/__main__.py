"""The benchmark on the engine at DOCKER_HOST. `tests/bench/run.sh` starts one of its own and calls this."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
from generators import images

from tests.bench import machine, report
from tests.bench.bounds import verdicts
from tests.bench.content import TOP, Sizes
from tests.bench.contestants import Stand
from tests.bench.measuring import Failed
from tests.bench.options import options
from tests.bench.workloads import Bench
from tests.rig.generator import Generator, Spec
from tests.rig.program import REPOSITORY


def measured(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """The whole result, as JSON has it, after each workload anew. What failed is in it under `failed`."""
    host = os.environ["DOCKER_HOST"]
    client = docker.from_env(timeout=600)
    image = images.python(client) if given.image == "python" else images.busybox(client)
    client.close()
    result: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "options": {key: getattr(given, key) for key in ("times", "scale", "image", "only")},
        "machine": machine.machine(folder),
        "versions": machine.versions(host),
        "workloads": {},
        "failed": {},
    }
    made = Generator(f"media-sync-bench-{os.getpid()}", Spec(image=image, root=TOP))
    try:
        bench = Bench(Stand(made, host), folder, Sizes().scaled(given.scale), given.times)
        for letter, work in bench.workloads().items():
            if letter not in given.only:
                continue
            try:
                result["workloads"][letter] = report.as_json(work())
            except Failed as problem:
                print(f"· {letter} failed: {problem}", file=sys.stderr)
                result["failed"][letter] = str(problem)
            yield result | {"verdicts": verdicts(result["workloads"])}
    finally:
        made.close()


def main() -> int:
    """Measure, write, print. A run that is cut short leaves the workloads that were done."""
    given = options()
    work = REPOSITORY / ".engine" / "bench" / "work"
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for result in measured(given, Path(folder)):
            stamp = result["at"].replace(":", "").replace("-", "")
            path: Path = given.json or REPOSITORY / "bench-results" / f"{stamp}-{result['versions']['engine']}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(report.text(result))
    print(f"\nAll runs: {path}")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
