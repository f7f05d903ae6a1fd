"""The command line of `tests/bench/run.sh`. Standard library only: it is looked at before anything is installed.

`python -m tests.bench.options ARGUMENTS` prints the image that is needed, or says what is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

LETTERS = ("A", "B", "freeze", "C", "D", "E", "F", "G")
SMALL = 0.005


def options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for: times, only (letters), scale, image, json. Ends the process when it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.sh",
        description="Measures media-sync beside docker cp, docker exec tar, rsync and rclone.",
        epilog="--engine-bin DIR: run the dockerd and containerd that were unpacked in DIR",
    )
    parser.add_argument("--times", type=int, default=5, metavar="N", help="rounds of each workload (5)")
    parser.add_argument("--only", default=",".join(LETTERS), metavar="A,C,freeze", help=f"some of {','.join(LETTERS)}")
    parser.add_argument("--scale", type=float, default=1.0, metavar="SHARE", help="fewer files: 0.1 for a tenth")
    parser.add_argument("--small", action="store_true", help="one quick round of very little, to see that it works")
    parser.add_argument("--image", choices=("python", "busybox"), help="what the container has (python)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the result goes (bench-results/…)")
    given = parser.parse_args(argv)
    given.only = [name.strip() for name in given.only.split(",")]
    if unknown := [name for name in given.only if name not in LETTERS]:
        parser.error(f"--only {','.join(unknown)}: there are {', '.join(LETTERS)}")
    if given.times < 1 or not 0 < given.scale <= 1:
        parser.error("--times is 1 or more, --scale more than 0 and at most 1")
    if given.small:
        given.times, given.scale = 1, SMALL
    given.image = given.image or ("busybox" if given.small else "python")
    if given.json is not None:
        given.json = given.json.absolute()
    return given


if __name__ == "__main__":
    print(options().image)
