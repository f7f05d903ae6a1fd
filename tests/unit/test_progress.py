"""Progress: counting, rate, ETA, who is told how often, and the line in a log without a terminal."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator

import pytest
from loguru import logger

from sidecar import logs
from sidecar.cli.bars import Bar, Lines, view
from sidecar.progress import ProgressManager, Snapshot


class Clock:
    """Seconds, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A view that remembers."""

    def __init__(self) -> None:
        self.updates: list[Snapshot] = []
        self.closed: list[Snapshot] = []

    def update(self, now: Snapshot) -> None:
        self.updates.append(now)

    def close(self, now: Snapshot) -> None:
        self.closed.append(now)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.setup("info", "json", stream)
    yield stream
    logger.remove()


def test_counts_rate_and_eta() -> None:
    clock = Clock()
    progress = ProgressManager("sync", (), clock)
    clock.now += 50  # looking for work
    progress.expect(4, 1000)
    assert progress.snapshot().eta is None
    file = progress.begin("comfy", b"2026-01-31/a.png", 250)
    clock.now += 2
    file.advance(250)
    file.done()
    now = progress.snapshot()
    assert (now.bytes_done, now.bytes_total, now.files_done, now.files_total) == (250, 1000, 1, 4)
    assert (now.source, now.folder, now.file) == ("comfy", "2026-01-31", "a.png")
    assert now.rate == 125
    assert now.eta == pytest.approx(6, rel=0.05)
    progress.expect(1, 250)
    assert progress.snapshot().eta == pytest.approx(8, rel=0.05)
    progress.advance(size=3000, files=9)  # files that grew are no reason for a negative time
    assert progress.snapshot().eta == 0


def test_levels_of_files_folders_and_sources() -> None:
    clock = Clock()
    progress = ProgressManager("sync", (), clock)
    progress.expect(3, 900, "a", {b"x": (2, 500), b"y": (1, 400)})
    progress.expect(1, 100, "b", {b"": (1, 100)})
    first = progress.begin("a", b"x/1.png", 300)
    second = progress.begin("a", b"y/2.png", 400)
    other = progress.begin("b", b"3.png", 100)
    first.advance(250)
    second.advance(100)
    other.advance(100)
    other.done()
    now = progress.snapshot()
    a, b = now.sources
    assert (now.source, now.file, now.bytes_done, now.files_done) == ("b", "3.png", 450, 1)
    assert (a.folder, a.file, a.file_bytes_done, a.file_bytes_total) == ("y", "2.png", 100, 400)
    assert (a.folder_files_done, a.folder_files_total, a.folder_bytes_done, a.folder_bytes_total) == (0, 1, 100, 400)
    assert (a.files_done, a.files_total, a.bytes_done, a.bytes_total) == (0, 3, 350, 900)
    assert (b.file, b.file_bytes_done, b.files_done, b.files_total) == ("3.png", 100, 1, 1)
    second.drop()  # the stream broke: it will be read again
    (a, _) = progress.snapshot().sources
    assert (a.file, a.bytes_done, a.folder_bytes_done) == ("1.png", 250, 250)
    first.advance(50)
    first.done()
    (a, _) = progress.snapshot().sources
    assert (a.folder, a.folder_files_done, a.folder_bytes_done) == ("x", 1, 300)
    assert (a.file, a.file_bytes_done, a.file_bytes_total) == ("1.png", 300, 300), (
        "the last one, until there is another"
    )


def test_readers_of_several_sources_at_once_count_right() -> None:
    progress = ProgressManager("sync", (Told(),))

    def read(source: str, reader: int) -> None:
        for number in range(200):
            file = progress.begin(source, b"f%d/%d.png" % (reader, number), 30)
            for _ in range(3):
                file.advance(10)
            if number % 10 == 9:
                file.drop()
            else:
                file.done()

    for source in "abc":
        progress.expect(400, 12_000, source, {b"f0": (200, 6000), b"f1": (200, 6000)})
    threads = [threading.Thread(target=read, args=(source, reader)) for source in "abc" for reader in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = progress.snapshot()
    assert (now.files_done, now.bytes_done) == (1080, 32_400)
    assert [(s.name, s.files_done, s.bytes_done) for s in now.sources] == [(n, 360, 10_800) for n in "abc"]
    assert all(s.folder_files_done == 180 for s in now.sources)


def test_a_view_may_come_later_and_leave_early() -> None:
    clock, told = Clock(), Told()
    progress = ProgressManager("sync", (), clock)
    leave = progress.watch(told)
    progress.expect(1, 10)
    assert len(told.updates) == 1
    leave()
    leave()
    clock.now += 1
    progress.advance(size=10)
    progress.close()
    assert (len(told.updates), told.closed) == (1, [])


def test_views_are_told_ten_times_a_second_at_most() -> None:
    clock, told = Clock(), Told()
    progress = ProgressManager("sync", (told,), clock)
    progress.expect(1, 1000)
    for _ in range(100):
        clock.now += 0.01
        progress.advance(size=10)
    assert 9 <= len(told.updates) <= 11
    progress.close()
    progress.close()
    assert [last.bytes_done for last in told.closed] == [1000]
    clock.now += 1
    progress.advance(size=1)
    assert told.updates[-1].bytes_done <= 1000, "what late threads count is not shown any more"


def test_many_threads_count_right() -> None:
    told = Told()
    progress = ProgressManager("sync", (told,))
    progress.expect(8, 8000)

    def work() -> None:
        for _ in range(1000):
            progress.advance(size=1)
        progress.advance(files=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.close()
    assert (told.closed[0].bytes_done, told.closed[0].files_done) == (8000, 8)


def test_a_line_every_five_seconds_without_a_terminal(log: io.StringIO) -> None:
    clock = Clock()
    progress = ProgressManager("sync", (Lines(clock),), clock)
    progress.job = "j1"
    progress.expect(26, 26_000_000)
    progress.begin("comfy", b"2026/a\x1b.png")
    for _ in range(26):  # half a second each: 13 s
        clock.now += 0.5
        progress.advance(size=1_000_000, files=1)
    progress.close()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["message"] for line in lines] == [
        "sync: 38 % of 26.0 MB, 10/26 files, 2.0 MB/s, 8 s left",
        "sync: 77 % of 26.0 MB, 20/26 files, 2.0 MB/s, 3 s left",
    ]
    assert all((line["job"], line["source"]) == ("j1", "comfy") for line in lines)
    assert all(line["file"] == "2026/a%1B.png" for line in lines)
    assert log.getvalue().replace("\n", "").isprintable()


def test_a_line_about_several_sources_names_none(log: io.StringIO) -> None:
    clock = Clock()
    progress = ProgressManager("run", (Lines(clock),), clock)
    for source in ("comfy", "forge"):
        progress.expect(2, 1000, source)
        progress.begin(source, b"a.png", 500)
    clock.now += 6
    progress.advance(size=500, files=1, source="comfy")
    progress.finish("comfy")
    clock.now += 6
    progress.advance(size=500, files=1, source="forge")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["source"] for line in lines] == [None, "forge"]


def test_a_long_job_has_few_lines(log: io.StringIO) -> None:
    clock = Clock()
    lines = Lines(clock)
    for _ in range(2 * 3600 * 10):  # two hours, told ten times a second
        clock.now += 0.1
        lines.update(Snapshot("sync", "comfy", "", "a.png", 1, 2, 1, 2, 1.0, 1.0))
    assert 120 <= len(log.getvalue().splitlines()) <= 140


def test_a_quick_job_has_no_progress_line(log: io.StringIO) -> None:
    clock = Clock()
    progress = ProgressManager("sync", (Lines(clock),), clock)
    progress.expect(1, 10)
    clock.now += 4.9
    progress.advance(size=10, files=1)
    progress.close()
    assert log.getvalue() == ""


def test_the_bar_shows_bytes_rate_eta_and_file() -> None:
    stream = io.StringIO()
    bar = Bar(stream)
    bar.update(Snapshot("sync"))
    assert stream.getvalue() == "", "nothing is expected yet"
    bar.update(Snapshot("sync", "comfy", "2026", "b\x1b[1m.png", 400_000, 1_000_000, 1, 3, 2e6, 83.0))
    shown = stream.getvalue().rpartition("\r")[2]
    assert "40%" in shown
    assert "400k/1.00M" in shown
    assert "[01:23, 2.00MB/s" in shown, "the same time and rate as everywhere else"
    assert "1/3 comfy 2026/b" in shown
    assert "\x1b" not in shown
    bar.close(Snapshot("sync", "comfy", "2026", "c.png", 1_000_000, 1_000_000, 3, 3))
    last = [part for part in stream.getvalue().split("\r") if part.strip()][-1]
    assert "100%" in last
    assert last.rstrip().endswith("3/3 files]")
    bar.close(Snapshot("sync"))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("name", ["a.png", "ComfyUI_00001_.png", "long" * 40 + "7.png"])
def test_the_bar_makes_way_for_the_name(width: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    bar = Bar(stream)
    try:
        bar.update(Snapshot("sync", "comfyui", "2026-01-31", name, 12_340_000_000, 98_700_000_000, 1234, 20_000))
        shown = re.sub(r"(\x1b\[A)+$", "", stream.getvalue().rpartition("\r")[2]).rstrip()
    finally:
        bar.close(Snapshot("sync"))
    assert re.search(r" 13% ?[^%]* 12\.3G/98\.7G \[[^]]*, .*B/s, 1234/20000", shown), shown
    assert shown.endswith(name[-7:] + "]" if width >= 80 else "]"), shown
    assert len(shown) <= width


def test_lines_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(view("auto"), Lines)
    assert isinstance(view("text"), Lines)
