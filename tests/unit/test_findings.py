"""What was found out about contents, and the words by which files are found."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.manifest import Finding, ItemFilter, Manifest, NewFile, Search, SourceKey, Unread, findings
from sidecar.manifest.opening import FILE_NAME
from sidecar.manifest.query import parse
from sidecar.manifest.schema import VERSION
from sidecar.manifest.search import read_items
from sidecar.models import NS, FileStat, PurgeOutcome, Source

ROOT = b"/output"
NOW = 10**18


def sha(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    made = Manifest.open(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key(manifest: Manifest) -> SourceKey:
    return manifest.enter(Source("gen", "comfyui", "docker", "id-1", "comfy", (ROOT,), "running"), NOW)


def store(manifest: Manifest, key: SourceKey, **files: str) -> None:
    """Record files by name (`a__png` is a.png), each with a content."""
    stats = {
        FileStat(name.removesuffix("__png").encode() + b".png", 10, NOW): content for name, content in files.items()
    }
    new = [NewFile(stat, sha(content), b"gen/" + stat.path, "image", None) for stat, content in stats.items()]
    manifest.record(key, ROOT, new, NOW)


def recipe(content: str, **said: object) -> Finding:
    return Finding(sha(content), {"metadata": said} if said else {})


def read_all(manifest: Manifest, *findings: Finding) -> None:
    """What the media steps do: look into everything, in one go."""
    unread, place = manifest.findings.unread()
    told = {one.hash: one for one in findings}
    assert place is not None
    manifest.findings.keep([told.get(one.hash, Finding(one.hash)) for one in unread], place, NOW)


def found(tmp_path: Path, query: str) -> set[str]:
    search = Search(tmp_path)
    try:
        return {item.path.decode() for item in search.items(parse(query), limit=100)}
    finally:
        search.close()


def test_files_are_found_by_what_is_in_them_and_by_their_names(
    manifest: Manifest, key: SourceKey, tmp_path: Path
) -> None:
    store(manifest, key, fox__png="1", cat__png="2", again__png="1", ComfyUI_00012___png="3")
    read_all(
        manifest,
        recipe("1", prompt="a red fox, snow", negative_prompt="dull", seed=18446744073709551615, model="flux1-dev-fp8",
               software="ComfyUI", loras=[{"name": "winter", "weight": 0.5}]),
        recipe("2", prompt="a red cat", seed=7, model="sdxl", passes=[{"model": "sdxl"}, {"model": "refiner_xl"}]),
    )  # fmt: skip
    assert found(tmp_path, "fox") == {"fox.png", "again.png"}
    assert found(tmp_path, '"red fox"') == {"fox.png", "again.png"}
    assert found(tmp_path, '"fox red"') == set()
    assert found(tmp_path, "red -cat") == {"fox.png", "again.png"}
    assert found(tmp_path, "model:flux prompt:snow") == {"fox.png", "again.png"}
    assert found(tmp_path, "model:refiner") == {"cat.png"}
    assert found(tmp_path, "lora:wint software:comfyui") == {"fox.png", "again.png"}
    assert found(tmp_path, "negative:dull") == {"fox.png", "again.png"}
    assert found(tmp_path, "seed:18446744073709551615") == {"fox.png", "again.png"}
    assert found(tmp_path, "seed:7 seed:8 red") == {"cat.png"}
    assert found(tmp_path, "00012") == {"ComfyUI_00012_.png"}
    assert found(tmp_path, "RED FO*") == {"fox.png", "again.png"}
    assert found(tmp_path, "kind:video red") == set()


def test_each_content_is_looked_into_once_and_names_that_come_later_are_found(
    manifest: Manifest, key: SourceKey, tmp_path: Path
) -> None:
    store(manifest, key, a__png="1", b__png="1")
    unread, place = manifest.findings.unread()
    assert [one.hash for one in unread] == [sha("1")]
    assert manifest.findings.unread() == (unread, place), "until it is kept"
    read_all(manifest, recipe("1", prompt="a fox"))
    assert manifest.findings.unread() == ([], None)
    store(manifest, key, c__png="1")
    unread, place = manifest.findings.unread()
    assert unread == []
    assert place is not None
    assert found(tmp_path, "fox") == {"a.png", "b.png"}
    manifest.findings.keep([], place, NOW)
    assert found(tmp_path, "fox") == {"a.png", "b.png", "c.png"}
    assert manifest.findings.unread() == ([], None)


def test_what_a_newer_program_finds_out_takes_the_place_of_the_old(
    manifest: Manifest, key: SourceKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(manifest, key, a__png="1", b__png="2")
    read_all(manifest, recipe("1", prompt="a dog"), recipe("2", prompt="a cat"))
    monkeypatch.setattr("sidecar.manifest.findings.VERSION", findings.VERSION + 1)
    store(manifest, key, c__png="1")
    unread, place = manifest.findings.unread()
    assert [one.hash for one in unread] == [sha("1")]
    assert place is not None
    manifest.findings.keep([recipe("1", prompt="a wolf")], place, NOW)
    assert (found(tmp_path, "dog"), found(tmp_path, "wolf")) == (set(), {"a.png", "c.png"})
    assert found(tmp_path, "cat") == {"b.png"}
    assert manifest.findings.unread() == ([Unread(sha("2"), b"gen/b.png", "gen", ROOT, b"b.png")], place), (
        "what is old comes last"
    )
    manifest.findings.keep([recipe("2", prompt="a lynx")], place, NOW)
    assert found(tmp_path, "lynx") == {"b.png"}
    assert manifest.findings.unread() == ([], None)


def test_what_had_problems_is_looked_into_once_more_when_it_is_stored_again(manifest: Manifest, key: SourceKey) -> None:
    store(manifest, key, a__png="1", b__png="2")
    read_all(manifest, Finding(sha("1"), problems=("cut",)), recipe("2", prompt="a cat"))
    store(manifest, key, c__png="1", d__png="2")
    unread, _ = manifest.findings.unread()
    assert [one.hash for one in unread] == [sha("1")]


def test_raw_texts_are_kept_apart(manifest: Manifest, key: SourceKey, tmp_path: Path) -> None:
    store(manifest, key, a__png="1")
    read_all(manifest, Finding(sha("1"), {"metadata": {"prompt": "a fox"}}, raws={"raw_graph": "{ü}" * 1000}))
    search = Search(tmp_path)
    (item,) = search.items(parse("fox"), limit=1)
    whole = search.finding(sha("1"))
    search.close()
    assert item.as_json()["metadata"] == {"prompt": "a fox"}
    assert whole is not None
    assert whole.raws == {"raw_graph": "{ü}" * 1000}
    lean = manifest.findings.of(sha("1"))
    assert lean is not None
    assert lean.raws == {}


def test_everything_can_be_looked_into_again(manifest: Manifest, key: SourceKey, tmp_path: Path) -> None:
    store(manifest, key, a__png="1", b__png="2")
    read_all(manifest, recipe("1", prompt="a dog"), recipe("2", prompt="a cat"))
    assert manifest.findings.forget() == 2
    assert found(tmp_path, "dog") == {"a.png"}
    read_all(manifest, recipe("1", prompt="a wolf"), recipe("2", prompt="a cat"))
    assert (found(tmp_path, "dog"), found(tmp_path, "wolf")) == (set(), {"a.png"})
    assert manifest.findings.unread() == ([], None)


def test_a_purged_original_is_still_found(manifest: Manifest, key: SourceKey, tmp_path: Path) -> None:
    store(manifest, key, a__png="1")
    read_all(manifest, recipe("1", prompt="a fox"))
    (row,) = manifest.known(key, ROOT).values()
    manifest.intend(key, "job", [(row.file_id, b"private")], (0, 0), NOW)
    manifest.conclude("job", [(row.file_id, PurgeOutcome.PURGED, "")], NOW)
    assert found(tmp_path, "fox state:purged") == {"a.png"}
    read_all(manifest)
    assert manifest.findings.unread() == ([], None), "others may forget what happened to it"


def test_it_is_as_it_was_told(manifest: Manifest, key: SourceKey) -> None:
    store(manifest, key, a__png="1", b__png="2")
    whole = Finding(sha("1"), {"type": {"format": "png"}, "metadata": {"prompt": "früh", "seed": 5}}, ("why",), True)
    read_all(manifest, whole)
    assert manifest.findings.of(sha("1")) == whole
    assert manifest.findings.of(sha("2")) == Finding(sha("2"))
    assert manifest.findings.of(sha("3")) is None


def test_the_newest_come_first_page_by_page(manifest: Manifest, key: SourceKey, tmp_path: Path) -> None:
    store(manifest, key, **{f"p{number:03}__png": str(number) for number in range(30)})
    read_all(manifest, *(recipe(str(number), prompt="even" if number % 2 == 0 else "odd") for number in range(30)))
    search = Search(tmp_path)
    first = search.items(parse("even"), limit=10)
    rest = search.items(parse("even"), limit=10, before=first[-1].file_id)
    search.close()
    assert [item.path for item in (*first, *rest)] == [b"p%03d.png" % number for number in range(28, -1, -2)]
    assert ItemFilter(match='"even"') == parse("even")


def test_what_is_asked_for_while_it_is_looked_into_is_looked_into_once_more(manifest: Manifest, key: SourceKey) -> None:
    store(manifest, key, a__png="1", b__png="2")
    read_all(manifest, recipe("1", seed=1))
    manifest.findings.forget()
    unread, place = manifest.findings.unread()
    assert place is not None
    manifest.findings.forget()
    manifest.findings.keep([recipe("1", seed=2), Finding(sha("2"))], place, NOW)
    assert len(manifest.findings.unread()[0]) == len(unread) == 2
    read_all(manifest, recipe("1", seed=3))
    assert manifest.findings.waiting() == 0
    finding = manifest.findings.of(sha("1"))
    assert finding is not None
    assert finding.recipe == {"seed": 3}


@pytest.mark.parametrize("few", [1, 3, 2000])
def test_the_index_of_words_is_asked_once_and_not_for_each_file(
    twenty: Search, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says `=` where it looks into it for single files, each of which is a whole search."""
    asked: list[tuple[str, Sequence[object]]] = []

    def read(sql: str, values: Sequence[object] = (), /) -> list[tuple[Any, ...]]:
        asked.append((sql, values))
        return twenty._read(sql, values)

    monkeypatch.setattr("sidecar.manifest.search.FEW", few)
    for query in ("fox", "fox kind:video", "fox source:gen name:1", "hen state:purged", "-cat kind:video"):
        read_items(read, parse(query), limit=3, before=15)
    plans = [str(row[3]) for sql, values in asked for row in twenty._read(f"EXPLAIN QUERY PLAN {sql}", values)]
    walks = [plan for plan in plans if plan.startswith("SCAN words")]
    assert walks
    assert not [plan for plan in walks if "=" in plan]


def test_what_an_older_program_indexed_is_found_by_its_seed_too(
    manifest: Manifest, key: SourceKey, tmp_path: Path
) -> None:
    store(manifest, key, fox__png="1", minus__png="2")
    read_all(manifest, recipe("1", prompt="a fox", seed=7), recipe("2", seed=-7))
    store(manifest, key, later__png="3")
    manifest.close()
    with sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None) as db:  # as it was before
        db.execute("DROP TABLE words")
        db.execute("CREATE VIRTUAL TABLE words USING fts5 (name, prompt, negative, model, loras, software, content='')")
        db.execute("CREATE INDEX findings_seed ON findings (seed) WHERE seed IS NOT NULL")
        db.execute(f"PRAGMA user_version = {VERSION - 1}")
    db.close()
    again = Manifest.open(tmp_path)
    assert (found(tmp_path, "seed:7"), found(tmp_path, "seed:-7")) == ({"fox.png"}, {"minus.png"})
    assert found(tmp_path, "png") == {"fox.png", "minus.png"}, "the third waits for those who look into it"
    read_all(again, recipe("3", seed=7))
    assert found(tmp_path, "seed:7 png") == {"fox.png", "later.png"}
    again.close()


SEEDS = (1, 2, -1, 2**64 - 1)
ANIMALS = ("fox", "cat", "hen")
TERMS = st.sampled_from(
    ["fox", "hen", "-cat", "seed:1", "seed:2", "seed:-1", "seed:18446744073709551615", "model:tiny", "source:gen",
     "source:other", "name:1", "kind:image", "kind:video", "after:2001-09-09T01:46:50Z", "before:2001-09-09T01:46:55Z",
     "state:stored", "state:purged", "1"]
)  # fmt: skip


@pytest.fixture(scope="module")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    """Twenty files of two sources with all that can be asked for; the last two were not looked into."""
    folder = tmp_path_factory.mktemp("twenty")
    manifest = Manifest.open(folder)
    keys = [manifest.enter(Source(name, "comfyui", "docker", name, "c", (ROOT,), "running"), NOW)
            for name in ("gen", "other")]  # fmt: skip
    for number in range(20):
        stat = FileStat(b"p%02d.png" % number, 10, NOW + number * NS)
        kind = "video" if number % 7 == 0 else "image"
        manifest.record(keys[number % 2], ROOT, [NewFile(stat, sha(str(number)), b"x/" + stat.path, kind, None)], NOW)
        if number == 17:
            unread, place = manifest.findings.unread()
            assert place is not None
            manifest.findings.keep([_told(n) for n in range(len(unread))], place, NOW)
    for number, key in ((3, keys[1]), (4, keys[0])):
        stored = manifest.known(key, ROOT)[b"p%02d.png" % number].file_id
        manifest.intend(key, "job", [(stored, b"private")], (0, 0), NOW)
        manifest.conclude("job", [(stored, PurgeOutcome.PURGED, "")], NOW)
    manifest.close()
    search = Search(folder)
    yield search
    search.close()


def _told(number: int) -> Finding:
    return recipe(str(number), prompt=f"a {ANIMALS[number % 3]}", seed=SEEDS[number % 4], model="tiny-xl")


def _meant(number: int, term: str) -> bool:
    """What each term says of a file, in plain words."""
    key, _, value = term.partition(":")
    read, animal, seed = number < 18, ANIMALS[number % 3], SEEDS[number % 4]
    return {
        "fox": read and animal == "fox", "hen": read and animal == "hen", "-cat": not (read and animal == "cat"),
        "seed": read and value == str(seed), "model": read, "1": read and seed == 1,
        "source": value == ("gen", "other")[number % 2], "name": "1" in f"p{number:02}.png",
        "kind": value == ("video" if number % 7 == 0 else "image"), "after": number >= 10, "before": number < 15,
        "state": value == ("purged" if number in (3, 4) else "stored"),
    }[key]  # fmt: skip


@given(st.lists(TERMS, max_size=4, unique_by=lambda term: term.partition(":")[0]), st.sampled_from([1, 5, 2000]),
       st.integers(1, 5))  # fmt: skip
def test_whatever_way_is_taken_the_files_are_those_that_are_meant(
    twenty: Search, terms: list[str], few: int, page: int
) -> None:
    wanted = [number for number in range(19, -1, -1) if all(_meant(number, term) for term in terms)]
    if "-cat" in terms and any(term.partition(":")[0] in ("fox", "hen", "seed", "model", "1") for term in terms):
        wanted = [number for number in wanted if number < 18]
    got: list[int] = []
    before = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecar.manifest.search.FEW", few)
        while len(got) <= 20 and (found := twenty.items(parse(" ".join(terms)), limit=page, before=before)):
            got += [int(item.path[1:3]) for item in found]
            before = found[-1].file_id
    assert got == wanted
