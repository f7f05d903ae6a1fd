"""The system's Chromium, and `serve` with its page on a port of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.rig.program import Program

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000  # ms; other things run beside


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """None is an error: tests/run.sh installs one. No longer than a module, for Playwright's loop runs as long."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium here: run tests/run.sh, which installs one"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens a page as another visitor would; a complaint of its script fails the test."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def make(**options: object) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: foreign(request.url))
        return page

    def foreign(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "blob:", "data:")):
            said.append(f"a request to {url}")

    yield make
    for context in contexts:
        context.close()
    assert said == []


def token(cli: Program) -> str:
    """What the service made for its operator."""
    return (cli.state / "token").read_text().strip()
