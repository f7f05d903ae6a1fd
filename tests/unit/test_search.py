"""Search: what narrows a page of files, and that it reads beside the writer without waiting for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.manifest import ItemFilter, Manifest, NewFile, Search
from sidecar.models import FileStat, Source

ROOT = b"/output"


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest.open(tmp_path)
    for number, name in enumerate(("a", "b"), start=1):
        key = made.enter(Source(name, "comfyui", "docker", name, name, (ROOT,), "running"), 1)
        made.record(key, ROOT, [_file(name, number * 100 + n) for n in range(5)], 1)
    yield made
    made.close()


def _file(source: str, n: int) -> NewFile:
    kind, suffix = ("video", b"mp4") if n % 5 == 3 else ("image", b"png")
    path = b"2026-01-02/ComfyUI_%05d_.%s" % (n, suffix)
    return NewFile(FileStat(path, 10, n, n), n.to_bytes(32, "big"), source.encode() + b"/" + path, kind)


@pytest.fixture
def search(manifest: Manifest, tmp_path: Path) -> Iterator[Search]:
    made = Search(tmp_path)
    yield made
    made.close()


def numbers(search: Search, **wanted: object) -> list[int]:
    found = search.items(ItemFilter(**wanted), limit=100)  # type: ignore[arg-type]
    return [int.from_bytes(item.hash, "big") for item in found]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [204, 203, 202, 201, 200, 104, 103, 102, 101, 100]),
        ({"sources": ("a",)}, [104, 103, 102, 101, 100]),
        ({"sources": ("a", "nobody")}, [104, 103, 102, 101, 100]),
        ({"kinds": ("video",)}, [203, 103]),
        ({"kinds": ("video", "image"), "sources": ("b",)}, [204, 203, 202, 201, 200]),
        ({"kinds": ("audio",)}, []),
        ({"states": ("purged",)}, []),
        ({"name": "comfyui_0010"}, [104, 103, 102, 101, 100]),
        ({"name": "%"}, []),
        ({"since_ns": 103, "until_ns": 202}, [201, 200, 104, 103]),
    ],
)
def test_what_narrows(wanted: dict[str, object], expected: list[int], search: Search) -> None:
    assert numbers(search, **wanted) == expected


def test_pages_join_without_gap_or_repetition_though_files_arrive(manifest: Manifest, search: Search) -> None:
    seen, before = [], None
    while page := search.items(ItemFilter(kinds=("image",)), limit=3, before=before):
        seen += [int.from_bytes(item.hash, "big") for item in page]
        before = page[-1].file_id
        key = manifest.enter(Source("b", "comfyui", "docker", "b", "b", (ROOT,), "running"), 1)
        manifest.record(key, ROOT, [_file("b", 300 + 10 * len(seen))], 1)
    assert seen == [204, 202, 201, 200, 104, 102, 101, 100]


def test_every_place_of_a_content_is_known(manifest: Manifest, search: Search) -> None:
    key = manifest.enter(Source("a", "comfyui", "docker", "a", "a", (ROOT,), "running"), 1)
    again = NewFile(FileStat(b"again.png", 10, 1, 1), (100).to_bytes(32, "big"), b"a/again.png", "image")
    manifest.record(key, ROOT, [again], 1)
    found = search.copy((100).to_bytes(32, "big"))
    assert found is not None
    assert found.library_paths == (b"a/again.png", b"a/2026-01-02/ComfyUI_00100_.png")
    assert (found.size, found.kind) == (10, "image")
    assert search.copy(b"\0" * 32) is None


def test_reads_while_the_writer_is_in_the_middle_of_a_transaction(manifest: Manifest, search: Search) -> None:
    with manifest._transaction() as db:
        db.execute("UPDATE files SET state = 'vanished'")
        assert len(numbers(search, states=("stored",))) == 10
    assert numbers(search, states=("stored",)) == []
