"""What the tests of the page share: a service to visit, and the way in."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Page, expect

from tests.engine.commands import ALONE, eventually
from tests.page.conftest import PATIENCE, token
from tests.rig.program import Program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def service(cli: Program, port: int, *sources: str, **env: str) -> Iterator[str]:
    """`serve` with its page; gives its address, and ends it as `docker stop` would."""
    args = [part for source in sources for part in ("--source", source)]
    process = cli.start("serve", "--every", "1s", *args,
                        env={**ALONE, "MEDIA_SYNC_API__ENABLED": "true", "MEDIA_SYNC_API__LISTEN": f"127.0.0.1:{port}",
                             **env})  # fmt: skip
    try:
        eventually(lambda: _answers(port) or process.poll() is not None, "the page")
        assert process.poll() is None, process.communicate()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=20)
        process.kill()
        process.communicate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sign_in(page: Page, address: str, cli: Program) -> None:
    page.goto(address)
    page.get_by_label("Token").fill(token(cli))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE)
