"""The PostgreSQL sink on a real server: the contract first, then large batches, who else writes, and looking."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from sidecar.ingest.base import MediaIngest, SinkRefused
from sidecar.ingest.testing import RECIPE, Known, SinkContract, by_key, record
from tests.ingest.conftest import MakeSink, told
from tests.rig.program import REPOSITORY

LONG = random.Random(1).randbytes(8000).hex()  # nothing that could be compressed until an index holds it


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, make_sink: MakeSink) -> MediaIngest:
        return make_sink()


@pytest.fixture
async def opened(make_sink: MakeSink) -> MediaIngest:
    sink = make_sink()
    await sink.open()
    return sink


def lines(db: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return db.execute(query).fetchall()


# -- batches --------------------------------------------------------------------------------------------------------


async def test_twenty_thousand_in_one_batch(opened: MediaIngest, known: Known) -> None:
    batch = [record(n) for n in range(20_000)]
    await opened.ingest(batch)
    assert await known() == by_key(batch)


async def test_what_is_known_is_not_written_again(opened: MediaIngest, db: psycopg.Connection) -> None:
    """Neither the rows nor when they changed: a backfill over all of it leaves no dead rows behind."""
    where = (
        "SELECT c.ctid, f.ctid, f.changed FROM media_sync.files f JOIN media_sync.contents c USING (hash) ORDER BY key"
    )
    batch = [record(n) for n in range(10)]
    await opened.ingest(batch)
    before = lines(db, where)
    await opened.ingest(batch)
    await opened.retract(batch)
    assert lines(db, where) == before
    await opened.ingest([replace(batch[0], state="vanished")])
    assert [a == b for a, b in zip(before, lines(db, where), strict=True)] == [False] + [True] * 9


async def test_a_retracted_record_loses_nothing_that_is_not_told_again(opened: MediaIngest, known: Known) -> None:
    """It is told of an original that is gone, by somebody who may not know any more what the copy holds."""
    await opened.ingest([record(1, incomplete="no IEND", problems=("cut off",))])
    await opened.retract([record(1, state="purged", metadata=None, library_path="", kind="other")])
    assert await known() == by_key([record(1, incomplete="no IEND", problems=("cut off",), state="purged")])


async def test_a_content_has_one_row(opened: MediaIngest, db: psycopg.Connection) -> None:
    first = record(1)
    await opened.ingest([replace(first, key=f"k{n}", path=f"{n}.png") for n in range(3)])
    await opened.ingest([replace(first, key="k9", metadata={"prompt": "known now"})])
    assert lines(db, "SELECT metadata FROM media_sync.contents") == [({"prompt": "known now"},)]
    assert lines(db, "SELECT count(*) FROM media_sync.files WHERE hash = (SELECT hash FROM media_sync.contents)") == [
        (4,)
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"hash": "no hash"}, {"state": "eaten"}, {"size": -1}, {"size": 1 << 63}, {"mtime_ns": 1 << 63},
        {"metadata": {"a": float("nan")}}, {"metadata": {"a": object()}}, {"kind": "a\0b"},
        {"metadata": {"seed": 10**140_000}}, {"source": LONG},
    ],
    ids=["hash", "state", "size", "large", "mtime", "nan", "object", "kind", "number", "index"],
)  # fmt: skip
async def test_what_is_no_record_is_refused_with_its_batch(opened: MediaIngest, known: Known, fields: Any) -> None:
    with pytest.raises(SinkRefused) as caught:
        await opened.ingest([record(1), record(2, **fields), record(3)])
    assert "\n" not in caught.value.line()
    assert await known() == {}
    await opened.ingest([record(1), record(3)])
    assert await known() == by_key([record(1), record(3)])


async def test_what_is_nested_deeper_than_anybody_reads_is_refused(opened: MediaIngest, known: Known) -> None:
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SinkRefused, match="nested too deep"):
        await opened.ingest([record(1, metadata={"deep": deep})])
    assert await known() == {}


async def test_a_prompt_of_words_that_fill_an_index_is_kept(opened: MediaIngest, known: Known) -> None:
    """A tsvector is 1 MB at most: four bytes a letter, no word twice."""
    letters = [chr(0x20000 + n) for n in range(300)]
    prompt = " ".join(a + b + c for a in letters for b in letters for c in letters[:3])
    odd = record(1, metadata={"prompt": prompt, "model": prompt[:5000], "loras": [{"name": prompt}]})
    await opened.ingest([odd])
    assert await known() == by_key([odd])


# -- who else writes ------------------------------------------------------------------------------------------------


async def test_two_that_write_the_same_do_not_lock_each_other_out(make_sink: MakeSink, known: Known) -> None:
    """`ingest backfill` of one installation, and another that shares its schema."""
    batch = [record(n) for n in range(3000)]
    sinks = [make_sink() for _ in range(3)]
    for sink in sinks:
        await sink.open()
    for turn in range(4):
        now = [replace(one, metadata={"turn": turn}) for one in batch]
        cut = now[1500:] + now[:1500]
        await asyncio.gather(sinks[0].ingest(now), sinks[1].ingest(now[::-1]), sinks[2].retract(cut))
    assert await known() == by_key([replace(one, metadata={"turn": 3}) for one in batch])


async def test_sinks_in_two_schemas_know_nothing_of_each_other(make_sink: MakeSink, db: psycopg.Connection) -> None:
    for number, schema in enumerate(("media_sync", "other")):
        sink = make_sink(schema=schema)
        await sink.open()
        await sink.ingest([record(number)])
    assert told(db) == by_key([record(0)])
    assert told(db, "other") == by_key([record(1)])


# -- looking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("metadata @> '{\"steps\": 31}'", "contents_metadata"),
        ('metadata @> \'{"loras": [{"name": "lora 77"}]}\'', "contents_metadata"),
        ("words @@ websearch_to_tsquery('simple', 'picture-77')", "contents_words"),
        ("seed = 18446744073709540077", "contents_seed"),
        ("model = 'model 3'", "contents_model"),
        ("mtime >= to_timestamp(1700050000)", "files_mtime"),
        ("source = 'comfy' AND mtime > to_timestamp(1700040000)", "files_source"),
        ("library_path = 'comfy/out/00077.png'", "files_library_path"),
        ("hash = repeat('0', 64)", "contents_pkey"),
        ("key = 'comfy/out/00077.png@77'", "files_pkey"),
    ],
)
async def test_what_is_looked_for_has_an_index(many: psycopg.Connection, where: str, index: str) -> None:
    assert lines(many, f"SELECT count(*) FROM media_sync.media WHERE {where}") != [(0,)] or "repeat" in where
    plan = "\n".join(row[0] for row in lines(many, f"EXPLAIN SELECT * FROM media_sync.media WHERE {where}"))
    assert index in plan, plan


@pytest.fixture
async def many(opened: MediaIngest, db: psycopg.Connection) -> psycopg.Connection:
    """5,000 pictures, and what the server's own housekeeping would know of them."""
    await opened.ingest([
        record(n, source=f"s{n % 5}" if n % 500 else "comfy", mtime_ns=(1_700_000_000 + n * 10) * 10**9, metadata={
            "prompt": f"picture-{n} of <lora:ink:0.7> a cat", "seed": 18446744073709540000 + n, "steps": 20 + n % 60,
            "model": f"model {n % 100}", "loras": [{"name": f"lora {n}", "weight": 1}], "negative_prompt": "dog",
        })
        for n in range(5001)
    ])  # fmt: skip
    db.execute("VACUUM ANALYZE")
    return db


async def test_the_view_shows_what_people_look_for(opened: MediaIngest, db: psycopg.Connection) -> None:
    await opened.ingest([record(1), record(2, metadata=None), record(3, metadata={"seed": "x", "width": "wide"})])
    names = ("prompt", "negative_prompt", "seed", "model", "steps", "width", "software")
    first, second, third = lines(db, f"SELECT {', '.join(names)}, mtime, size FROM media_sync.media ORDER BY size")
    assert first[:7] == tuple(RECIPE[name] for name in names)
    assert first[7].timestamp() == pytest.approx(record(1).mtime_ns / 1e9, abs=1e-5)
    assert second[:7] == (None,) * 7
    assert (third[2], third[5]) == (None, "wide")


@pytest.mark.parametrize("words", ["ink", "lighthouse -cat", '"at dusk"', "dream", "v2"])
async def test_words_of_prompt_model_and_loras_are_found(
    opened: MediaIngest, db: psycopg.Connection, words: str
) -> None:
    recipe = {"prompt": "(lighthouse:1.2), at_dusk <lora:ink_v2:0.7>", "model": "dream", "negative_prompt": "cat"}
    await opened.ingest([record(1, metadata=recipe), record(2, metadata={"prompt": "a cat"})])
    found = db.execute("SELECT path FROM media_sync.media WHERE words @@ websearch_to_tsquery('simple', %s)", (words,))
    assert found.fetchall() == [(record(1).path,)]


async def test_the_queries_of_the_readme_find_what_they_say(many: psycopg.Connection, opened: MediaIngest) -> None:
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("\n## Into PostgreSQL")[1].split("\n## ")[0]
    queries = [query for block in re.findall(r"```sql\n(.*?)```", section, re.DOTALL) for query in block.split(";\n")]
    new = {"mtime_ns": time.time_ns()}
    lora = {"loras": [{"name": "ink", "weight": 0.7}, {"name": "other", "weight": 1}]}
    await opened.ingest([
        record(9001, metadata=RECIPE | {"prompt": "a lighthouse, blurry"}, **new), record(9002, **new),
        record(9003, metadata=RECIPE | lora, state="purged"), record(9004, metadata=None),
    ])  # fmt: skip
    found = [lines(many, query) for query in queries if query.strip()]
    assert [row[0] for row in found[0]] == [record(n).library_path for n in (9002, 9003)]
    assert sorted(found[1]) == [(record(n).library_path, "0.7") for n in (9001, 9002, 9003)]
    assert [row[:2] for row in found[2]] == [(RECIPE["model"], 2)]
