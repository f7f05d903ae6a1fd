"""The benchmark on the engine at DOCKER_HOST. `tests/bench/run.sh` starts one of its own and calls this."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
from generators import images

from tests.bench import machine, report
from tests.bench.content import TOP, Sizes
from tests.bench.contestants import Stand
from tests.bench.measuring import Failed
from tests.bench.options import options
from tests.bench.workloads import Bench
from tests.rig.generator import Generator, Spec
from tests.rig.program import REPOSITORY


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run what was asked for; the whole result as JSON has it."""
    host = os.environ["DOCKER_HOST"]
    client = docker.from_env(timeout=600)
    image = images.python(client) if given.image == "python" else images.busybox(client)
    client.close()
    made = Generator(f"media-sync-bench-{os.getpid()}", Spec(image=image, root=TOP))
    try:
        bench = Bench(Stand(made, host), folder, Sizes().scaled(given.scale), given.times)
        done = {name: report.as_json(work()) for name, work in bench.workloads().items() if name in given.only}
    finally:
        made.close()
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "options": {key: getattr(given, key) for key in ("times", "scale", "image", "only")},
        "machine": machine.machine(folder),
        "versions": machine.versions(host),
        "workloads": done,
        "verdicts": report.verdicts(done),
    }


def main() -> int:
    """Measure, write, print."""
    given = options()
    work = REPOSITORY / ".engine" / "bench" / "work"
    work.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            result = measure(given, Path(folder))
    except Failed as problem:
        print(f"not measured: {problem}", file=sys.stderr)
        return 1
    stamp = result["at"].replace(":", "").replace("-", "")
    path: Path = given.json or REPOSITORY / "bench-results" / f"{stamp}-{result['versions']['engine']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(report.text(result))
    print(f"\nAll runs: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
