"""Installs the example of somebody else's sink for real: built by pip into a folder, without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree

EXAMPLE = Path(__file__).parents[2] / "rig" / "sink_example"


def install(folder: Path) -> Path:
    """The folder to put on PYTHONPATH, with the package and its metadata in it."""
    source, target = folder / "source", folder / "site"
    copytree(EXAMPLE, source)  # what a build leaves behind is left there
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
               "--disable-pip-version-check", "--target", str(target), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
