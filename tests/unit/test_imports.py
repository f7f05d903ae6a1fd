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


def test_what_a_sink_needs_is_imported_when_one_is_made() -> None:
    code = (
        "import sys, sidecar.cli, sidecar.service\n"
        "from sidecar.ingest.sinks import kinds\n"
        "make, before = kinds()['postgresql'](), 'psycopg' in sys.modules\n"
        "make({'dsn': 'host=127.0.0.1'})\n"
        "print(before, 'psycopg' in sys.modules, 'pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True False\n"


def test_authorities_are_not_read_for_an_engine_that_needs_none() -> None:
    """aiohttp reads all certificates of the system when it is imported, which takes longer than the rest of it."""
    code = (
        "import ssl, sidecar.transports.docker.provider\n"
        "from aiohttp.connector import _SSL_CONTEXT_VERIFIED as made\n"
        "print(made.verify_mode.name, len(made.get_ca_certs()), 'set_default_verify_paths' in vars(ssl.SSLContext))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "CERT_REQUIRED 0 False\n"
