"""200,000 files: the page has few elements, and is there at once wherever one scrolls to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from sidecar.manifest import NewFile
from sidecar.models import FileStat, Source
from tests.api.running import CONTROL, Api
from tests.page.conftest import PATIENCE

FILES = 200_000
ELEMENTS = 120  # cells at a time, of two screens and what lies near


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("many")) as running:
        key = running.manifest.enter(Source("gen", "comfyui", "docker", "g", "g", (b"/o",), "running"), 1)
        running.manifest.record(key, b"/o", [
            NewFile(FileStat(b"%06d.txt" % number, number, 1_700_000_000_000_000_000, number),
                    hashlib.sha256(b"%d" % number).digest(), b"gen/%06d.txt" % number, "text")
            for number in range(FILES)
        ], 1)  # fmt: skip
        yield running


def test_of_many_files_only_those_near_the_window_have_elements(api: Api, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(f"http://127.0.0.1:{api.port}/")
    page.get_by_label("Token").fill(CONTROL)
    page.get_by_role("button", name="Sign in").click()
    cells = page.locator(".cell")
    expect(cells.first).to_contain_text("199999.txt", timeout=PATIENCE)
    seen = set()
    for _ in range(12):  # to the end of what is there, again and again
        page.evaluate("document.getElementById('gallery').scrollTop = 1e9")
        page.wait_for_timeout(150)
        assert cells.count() <= ELEMENTS
        seen.add(cells.last.inner_text())
    assert len(seen) > 5, seen
    page.get_by_label("Name").fill("000017.t")
    expect(cells).to_have_count(1, timeout=PATIENCE)
    expect(cells.first).to_contain_text("000017.txt")
    page.get_by_label("Name").fill("no such name")
    expect(page.locator("#gallery-note")).to_have_text("Nothing matches.", timeout=PATIENCE)
