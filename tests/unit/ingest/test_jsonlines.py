"""The file of records: the contract, and what may have happened to the file meanwhile."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.ingest.base import MediaIngest, SinkDown
from sidecar.ingest.jsonlines import JsonLines, sink
from sidecar.ingest.testing import Known, SinkContract, record
from tests.unit.ingest import telling


class TestJsonLines(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> MediaIngest:
        return sink({"path": str(tmp_path / "records.jsonl")})

    @pytest.fixture
    def known(self, tmp_path: Path) -> Known:
        async def read() -> dict[str, object]:
            return dict(telling.known(tmp_path / "records.jsonl"))

        return read  # type: ignore[return-value]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_a_line_that_was_cut_short_is_taken_away(file: Path) -> None:
    one = JsonLines(file)
    asyncio.run(one.ingest([record(1)]))
    whole = file.read_bytes()
    for cut in (1, 9, 40, len(whole) - 1):
        file.write_bytes(whole + whole[:cut])
        asyncio.run(JsonLines(file).ingest([record(2)]))
        assert [r for _, r in telling.lines(file)] == [record(1), record(2)], cut
    file.write_bytes(whole[:5])
    asyncio.run(one.ingest([record(1)]))
    assert file.read_bytes() == whole


def test_a_long_line_that_was_cut_short_is_taken_away(file: Path) -> None:
    long = record(2, metadata={"prompt": "x" * 300_000})
    one = JsonLines(file)
    asyncio.run(one.ingest([record(1), long]))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    asyncio.run(one.ingest([long]))
    assert file.read_bytes() == whole


def test_what_is_no_file_of_records_is_left_as_it_is(file: Path) -> None:
    file.write_bytes(b"\x89PNG\r\n\x1a\n picture")
    with pytest.raises(SinkDown, match="holds something else"):
        asyncio.run(JsonLines(file).open())
    with pytest.raises(SinkDown, match="holds something else"):
        asyncio.run(JsonLines(file).ingest([record(1)]))
    assert file.read_bytes() == b"\x89PNG\r\n\x1a\n picture"


def test_a_file_that_was_moved_away_is_begun_anew(file: Path, tmp_path: Path) -> None:
    one = JsonLines(file)
    asyncio.run(one.open())
    asyncio.run(one.ingest([record(1)]))
    file.rename(tmp_path / "old")
    asyncio.run(one.ingest([record(2)]))
    assert [r for _, r in telling.lines(file)] == [record(2)]
    assert [r for _, r in telling.lines(tmp_path / "old")] == [record(1)]


def test_a_folder_that_is_not_there_is_a_sink_that_is_down(tmp_path: Path) -> None:
    one = JsonLines(tmp_path / "none" / "records.jsonl")
    with pytest.raises(SinkDown, match="no such file or directory"):
        asyncio.run(one.open())
    (tmp_path / "none").mkdir()
    asyncio.run(one.open())


def test_what_is_no_regular_file_takes_nothing_in_silence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(SinkDown, match=r"is no regular file|is a directory"):
            asyncio.run(JsonLines(path).open())


def test_two_writers_do_not_mix_their_lines(file: Path) -> None:
    with file.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SinkDown, match="in use by another process"):
            asyncio.run(JsonLines(file).ingest([record(1)]))
    asyncio.run(JsonLines(file).ingest([record(1)]))
    assert [r for _, r in telling.lines(file)] == [record(1)]


def test_a_full_disk_leaves_no_half_a_batch(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the write is cut short and then refused."""
    import resource
    import signal

    file = tmp_path / "records.jsonl"
    one = JsonLines(file)
    asyncio.run(one.ingest([record(1)]))
    before = file.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1500, hard))
    try:
        with pytest.raises(SinkDown, match="file too large"):
            asyncio.run(one.ingest([record(n) for n in range(100)]))
        assert file.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "path is missing"),
        ({"path": ""}, "path is missing"),
        ({"path": "records.jsonl"}, "is not a file's full path"),
        ({"path": "/state/"}, "is not a file's full path"),
        ({"path": "/a", "pth": "/b"}, "pth is no option"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        sink(options)
    assert caught.value.hint
