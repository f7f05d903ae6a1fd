"""What is imported when: a pass where nothing happened takes less time than some libraries take to be imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

FOR_BYTES = ("docker", "requests", "urllib3")  # the data plane, when the first bytes are asked for


@pytest.mark.parametrize("room", ["sidecar.cli", "sidecar.workspace", "sidecar.transports.docker.provider"])
def test_the_data_plane_is_not_imported_before_bytes_are_asked_for(room: str) -> None:
    code = f"import sys, {room}; print([name for name in {FOR_BYTES!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
