"""A person with a browser, the real service, a real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from generators import media
from playwright.sync_api import Page, expect

from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png
from tests.page.conftest import DESKTOP, PATIENCE, PHONE
from tests.page.visiting import free_port, service, sign_in
from tests.rig.program import Program
from tests.unit.ingest.telling import said
from tests.unit.media.test_workers import film, picture

DAY = 24 * 3600
EVIL = '<img src=x onerror="document.title=1">.png'

# Notes every value that the bars of the job and of its sources show from now on.
WATCH_BARS = """() => {
  window.bars = { job: [], source: [] };
  const look = () => {
    for (const bar of document.querySelectorAll("#jobs progress")) {
      const list = window.bars[bar.closest(".source-bars") ? "source" : "job"];
      if (bar.hasAttribute("value") && list.at(-1) !== bar.value) list.push(bar.value);
    }
    requestAnimationFrame(look);
  };
  look();
}"""
MOVED = "(which) => window.bars[which].filter((value) => value > 0 && value < 1).length >= 3"


def thumbs(page: Page) -> int:
    return int(page.evaluate("[...document.querySelectorAll('.thumb img')].filter(i => i.naturalWidth > 0).length"))


def wait_for_thumbs(page: Page, number: int) -> None:
    page.wait_for_function(
        "(n) => [...document.querySelectorAll('.thumb img')].filter(i => i.naturalWidth > 0).length >= n",
        arg=number, timeout=PATIENCE)  # fmt: skip


def test_a_wrong_token_is_told_and_the_right_one_shows_the_board(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page]
) -> None:
    gen = generator()
    gen.put({"a.png": media.tiny_png(1), EVIL: media.tiny_png(2)}, age=60)
    with service(cli, free_port(), f"gen={gen.name}:/output") as address:
        page = new_page()
        page.goto(address)
        page.get_by_label("Token").fill("guess")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        expect(page.locator("#board")).to_be_hidden()
        sign_in(page, address, cli)
        expect(page.locator("#verdict-word")).to_contain_text("✓ Yes", timeout=PATIENCE)
        wait_for_thumbs(page, 2)
        # names come from containers: they are text here, whatever they look like
        expect(page.locator(".cell-name", has_text="<img src=x")).to_have_count(1)
        assert page.title() == "media-sync"
        page.reload()
        expect(page.locator("#link")).to_have_text("live")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Token")).to_be_visible()


def test_a_new_picture_and_a_running_transfer_show_themselves(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page]
) -> None:
    gen = generator()
    gen.put({"first.png": media.tiny_png(1)}, age=60)
    with service(cli, free_port(), f"gen={gen.name}:/output") as address:
        page = new_page()
        sign_in(page, address, cli)
        wait_for_thumbs(page, 1)
        gen.put({"second.png": media.tiny_png(2)}, age=60)
        wait_for_thumbs(page, 2)
        expect(page.locator(".cell-name").first).to_have_text("second.png")
        page.evaluate(WATCH_BARS)
        heavy = heavy_png(12 << 20)
        gen.put({f"big{number}.png": heavy[:-12] + bytes(0) + heavy[-12:] for number in range(24)}, age=60)
        for which in ("job", "source"):
            page.wait_for_function(MOVED, arg=which, timeout=PATIENCE)
            values = page.evaluate("(which) => window.bars[which]", which)
            moving = [value for value in values if 0 < value < 1]
            assert sorted(set(moving)) == list(dict.fromkeys(moving)), moving


def test_what_was_made_is_found_by_its_words_and_shown_with_its_recipe(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page], tmp_path: Path
) -> None:
    gen = generator()
    gen.put({"fox.png": picture(tmp_path / "fox.png", (900, 600)).read_bytes(), "dull.png": media.tiny_png(3),
             "film.mp4": film(tmp_path / "film.mp4").read_bytes()}, age=700)  # fmt: skip
    with service(cli, free_port(), f"gen={gen.name}:/output") as address:
        page = new_page()
        sign_in(page, address, cli)
        cells = page.locator(".cell")
        expect(cells).to_have_count(3, timeout=PATIENCE)
        page.get_by_label("Find").fill("seed:")
        expect(page.locator("#gallery-note")).to_contain_text("seed: has no value", timeout=PATIENCE)
        page.get_by_label("Find").fill('"red fox" seed:5')
        expect(cells).to_have_count(1, timeout=PATIENCE)
        page.reload()  # until there was a thumbnail, the original stood in for it
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE)
        page.get_by_label("Find").fill('"red fox" seed:5')
        expect(cells).to_have_count(1, timeout=PATIENCE)
        wait_for_thumbs(page, 1)
        assert page.evaluate("document.querySelector('.thumb img').naturalWidth") == 512
        cells.first.get_by_role("button").click()
        facts = page.locator("#viewer-facts")
        for said in ("a red fox", "dull", "Euler a"):
            expect(facts).to_contain_text(said)
        page.keyboard.press("Escape")
        page.get_by_label("Find").fill("kind:video")
        expect(cells).to_have_count(1, timeout=PATIENCE)
        wait_for_thumbs(page, 1)


def test_sinks_are_shown_and_told_again(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page], tmp_path: Path
) -> None:
    gen = generator()
    gen.put({f"{n}.png": media.tiny_png(n) for n in range(3)}, age=700)
    folder = tmp_path / "receiver"
    env = {"MEDIA_SYNC_INGEST__SINKS__GALLERY__TYPE": "jsonlines",
           "MEDIA_SYNC_INGEST__SINKS__GALLERY__PATH": str(folder / "out.jsonl")}  # fmt: skip
    with service(cli, free_port(), f"gen={gen.name}:/output", **env) as address:
        page = new_page(bypass_csp=True)
        sign_in(page, address, cli)
        row = page.locator("#sinks tbody tr")
        expect(row).to_contain_text("cannot be told", timeout=PATIENCE)
        expect(page.locator("#troubles")).to_contain_text("sink gallery: ", timeout=PATIENCE)
        expect(page.locator("#verdict-reasons")).to_contain_text("sink gallery")
        judge(page)
        folder.mkdir()
        page.get_by_role("button", name="Again: gallery").click()
        expect(row).to_contain_text("told as it comes", timeout=PATIENCE)
        eventually(lambda: len(said(folder / "out.jsonl")) == 3, "the records")
        page.get_by_role("button", name="Everything: gallery").click()
        eventually(lambda: len(said(folder / "out.jsonl")) == 6, "all of them again")
        expect(page.get_by_role("button", name="Everything: gallery")).to_be_enabled(timeout=PATIENCE)


def test_a_file_that_does_not_come_is_a_warning_and_a_source_that_does_not_answer_is_none_to_call_safe(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page]
) -> None:
    gen = generator(user="1000:1000", owner=(1000, 1000), tmpfs=["/output"], root="/output/mine")
    for name in ("fine.png", "closed.png"):
        gen.write(name, media.tiny_png(len(name)), age=60)
    gen.exec("chown", "0:0", gen.path("closed.png"))
    gen.exec("chmod", "600", gen.path("closed.png"))
    with service(cli, free_port(), f"gen={gen.name}:/output/mine") as address:
        page = new_page()
        sign_in(page, address, cli)
        expect(page.locator("#verdict-word")).to_contain_text("! Yes, but look", timeout=PATIENCE)
        expect(page.locator("#verdict-reasons")).to_contain_text("gen: 1 file could not be stored")
        expect(page.locator("#troubles")).to_contain_text("closed.png")
        wait_for_thumbs(page, 1)
        gen.exec("mv", "/output/mine", "/output/elsewhere")
        expect(page.locator("#verdict-word")).to_contain_text("✗ Look here", timeout=PATIENCE)
        expect(page.locator("#verdict-reasons")).to_contain_text("gen: the root cannot be read: missing")
        gen.exec("chmod", "644", "/output/elsewhere/closed.png")
        gen.exec("mv", "/output/elsewhere", "/output/mine")
        expect(page.locator("#verdict-word")).to_contain_text("✓ Yes", timeout=PATIENCE)
        wait_for_thumbs(page, 2)


def test_a_purge_is_previewed_asked_twice_and_done(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page]
) -> None:
    gen = generator()
    gen.put({f"old{n}.png": media.tiny_png(n) for n in range(3)}, age=2 * DAY)
    gen.put({"young.png": media.tiny_png(9)}, age=60)
    env = {"MEDIA_SYNC_PURGE__ENABLED": "true", "MEDIA_SYNC_PURGE__MIN_STORED": "0s",
           "MEDIA_SYNC_PURGE__OLDER_THAN": "1d", "MEDIA_SYNC_SCHEDULE__SYNC": "@every 1s",
           "MEDIA_SYNC_SCHEDULE__PURGE": "0 4 1 1 *"}  # fmt: skip
    with service(cli, free_port(), f"gen={gen.name}:/output", **env) as address:
        page = new_page()
        sign_in(page, address, cli)
        wait_for_thumbs(page, 4)
        page.get_by_role("button", name="Show what would be purged").click()
        offer = page.get_by_role("button", name="Delete 3 originals")
        expect(offer).to_be_visible(timeout=PATIENCE)
        page.get_by_text("Which files").click()
        expect(page.locator(".files .path", has_text="old0.png")).to_be_visible()
        page.get_by_text("Why the others stay").click()
        expect(page.locator("#plan .plan > details").first.locator("li").first).to_be_visible()
        offer.click()
        page.get_by_role("button", name="Keep them").click()
        assert len(gen.files()) == 4
        offer.click()
        page.locator("#confirm-yes").click()
        expect(page.locator("#plan")).to_contain_text("3 originals deleted", timeout=PATIENCE)
        assert gen.files() == {b"young.png"}


def test_the_page_finds_the_service_again_after_it_was_restarted(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page]
) -> None:
    gen = generator()
    gen.put({"before.png": media.tiny_png(1)}, age=60)
    port, page = free_port(), new_page()
    with service(cli, port, f"gen={gen.name}:/output") as address:
        sign_in(page, address, cli)
        wait_for_thumbs(page, 1)
    expect(page.locator("#link")).to_have_class("link bad", timeout=PATIENCE)
    gen.put({"after.png": media.tiny_png(2)}, age=60)
    with service(cli, port, f"gen={gen.name}:/output"):
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE)
        wait_for_thumbs(page, 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(
    cli: Program, generator: MakeGenerator, new_page: Callable[..., Page], scheme: str
) -> None:
    gen = generator()
    gen.put({f"old{n}.png": media.tiny_png(n) for n in range(3)}, age=2 * DAY)
    with service(cli, free_port(), f"gen={gen.name}:/output", f"lost={gen.name}-gone:/output") as address:
        for size in (DESKTOP, PHONE):
            page = new_page(viewport=size, color_scheme=scheme, bypass_csp=True)  # axe is a script of the test's own
            page.goto(address)
            judge(page)
            sign_in(page, address, cli)
            wait_for_thumbs(page, 3)
            page.get_by_role("button", name="Show what would be purged").click()
            expect(page.locator("#plan article").first).to_be_visible(timeout=PATIENCE)
            judge(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
            # with the keyboard alone: to a picture, into it, and out again
            page.locator(".thumb").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator("#viewer")).to_be_visible()
            judge(page)
            page.keyboard.press("Escape")
            expect(page.locator("#viewer")).to_be_hidden()


def judge(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [f"{one['id']}: {one['help']} {[n['html'][:120] for n in one['nodes']]}"
               for one in found if one["impact"] in ("serious", "critical")]  # fmt: skip
    assert serious == []
