"""The contract that every sink passes, as tests. The only module that needs pytest and pytest-asyncio, which the extra
`testing` brings.

    from sidecar.ingest.testing import Known, SinkContract

    class TestMySink(SinkContract):
        @pytest.fixture
        def sink(self, tmp_path) -> MediaIngest: ...  # a new one, not opened, whose receiver knows nothing

        @pytest.fixture
        def known(self, tmp_path) -> Known: ...  # reads from the receiver, not through the sink

What is not in the protocol's own words: numbers are whole ones of any length or finite ones (NaN never occurs). A NUL
or a lone surrogate, which some databases cannot hold, reads back as it was told or as U+FFFD; it is no reason to refuse
a record. Of one key twice in a batch the last counts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from sidecar.ingest.base import MediaIngest, Record

Known = Callable[[], Awaitable[Mapping[str, Record]]]
"""Reads what the receiver knows now, by key."""

RECIPE = {
    "software": "ComfyUI", "prompt": "a lighthouse at dusk", "negative_prompt": "blurry", "seed": 18446744073709551615,
    "steps": 20, "cfg": 6.5, "width": 1024, "height": 768, "model": "dream", "loras": [{"name": "ink", "weight": 0.7}],
}  # fmt: skip
MOST_SAID = 20  # differences
_LOSSY = re.compile("[\x00\ud800-\udfff]")


def record(number: int, **fields: Any) -> Record:
    """A record that differs from those of other numbers in key, hash, path and size; `fields` replace its own."""
    own: dict[str, Any] = {
        "key": f"comfy/out/{number:05}.png@{number}", "hash": sha256(b"%d" % number).hexdigest(), "source": "comfy",
        "path": f"out/{number:05}.png", "library_path": f"comfy/out/{number:05}.png", "size": 1000 + number,
        "mtime_ns": 1_700_000_000_123_456_789 + number, "stored_ns": 1_700_000_060_000_000_001 + number,
        "state": "stored", "kind": "image", "metadata": RECIPE,
    }  # fmt: skip
    return Record(**(own | fields))


def by_key(records: Sequence[Record]) -> dict[str, Record]:
    """What a receiver knows that was told these alone, in this order."""
    return {one.key: one for one in records}


def same(found: Mapping[str, Record], wanted: Mapping[str, Record]) -> None:
    """Raises AssertionError that names the records which are missing or too many, and the fields that differ."""
    wrong = [f"{key!r} is not known" for key in wanted.keys() - found.keys()]
    wrong += [f"{key!r} is known, and should not be" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        pairs = ((one.name, getattr(found[key], one.name), getattr(wanted[key], one.name)) for one in fields(Record))
        wrong += [f"{key!r}: {name} is {is_!r:.200}, not {told!r:.200}" for name, is_, told in pairs if is_ != told]
    if wrong:
        raise AssertionError("\n".join(sorted(wrong)[:MOST_SAID]))


class SinkContract:
    """To be derived from by a class whose name begins with Test; its own, its module or a conftest has the fixtures."""

    pytestmark = pytest.mark.asyncio

    @pytest_asyncio.fixture
    async def opened(self, sink: MediaIngest) -> AsyncIterator[MediaIngest]:
        """The sink, open; closed when the test ends, whatever happened to it."""
        await sink.open()
        yield sink
        await sink.close()

    async def test_records_read_back_as_they_were_told(self, opened: MediaIngest, known: Known) -> None:
        """All fields, the optional ones filled or not."""
        told = [
            record(1),
            record(2, metadata=None),
            record(3, metadata={}, incomplete="no IEND", problems=("PNG tEXt: cut off", "too deep")),
            record(4, kind="video", state="purged", size=1 << 41, mtime_ns=-1, stored_ns=(1 << 63) - 1),
            record(5, mtime_ns=-(1 << 63), size=0, kind="other", metadata=None),
        ]
        await opened.ingest(told)
        same(await known(), by_key(told))

    async def test_nothing_told_is_nothing_known(self, opened: MediaIngest, known: Known) -> None:
        """Empty batches are taken."""
        await opened.ingest([])
        await opened.retract([])
        same(await known(), {})

    async def test_a_batch_told_twice_is_known_once(self, opened: MediaIngest, known: Known) -> None:
        """As it comes after a crash, and with others among it as it comes after that."""
        told = [record(n) for n in range(5)]
        await opened.ingest(told)
        await opened.ingest(told)
        await opened.ingest([*told, record(5)])
        same(await known(), by_key([*told, record(5)]))

    async def test_what_is_told_replaces_what_was_known(self, opened: MediaIngest, known: Known) -> None:
        """Every field that can change does, and what is said no more is known no more."""
        await opened.ingest([record(1, incomplete="no IEND", problems=("cut off",)), record(2)])
        now = record(1, library_path="comfy/1~12345678.png", state="vanished", metadata={"seed": 5}, kind="video")
        await opened.ingest([now])
        same(await known(), by_key([now, record(2)]))
        await opened.ingest([replace(now, metadata=None)])
        assert (await known())[now.key] == replace(now, metadata=None)

    async def test_the_last_of_one_key_in_a_batch_counts(self, opened: MediaIngest, known: Known) -> None:
        """Told, ended, and told again between two deliveries."""
        await opened.ingest([record(1), record(2), record(1, state="purged"), record(1, state="replaced")])
        same(await known(), by_key([record(1, state="replaced"), record(2)]))

    async def test_one_content_in_two_places_is_two_records(self, opened: MediaIngest, known: Known) -> None:
        """A hash is not a key: the same picture may lie in several folders, and one of them may be purged."""
        first = record(1)
        second = replace(first, key="forge/a.png@9", source="forge", path="a.png", library_path="forge/a.png")
        await opened.ingest([first, second])
        await opened.retract([replace(first, state="purged")])
        same(await known(), by_key([replace(first, state="purged"), second]))

    async def test_one_place_with_other_content_is_two_records(self, opened: MediaIngest, known: Known) -> None:
        """Generators use names again after a purge."""
        first = record(1, state="purged")
        second = replace(record(2), path=first.path, library_path="comfy/out/00001~12345678.png")
        await opened.ingest([first])
        await opened.ingest([second])
        same(await known(), by_key([first, second]))

    @pytest.mark.parametrize("state", ["purged", "vanished", "replaced"])
    async def test_a_retracted_record_is_marked_and_kept(self, opened: MediaIngest, known: Known, state: str) -> None:
        """All that was known of it stays: its copy is still in the library."""
        await opened.ingest([record(1), record(2)])
        await opened.retract([record(1, state=state)])
        same(await known(), by_key([record(1, state=state), record(2)]))

    async def test_retracting_twice_is_retracting_once(self, opened: MediaIngest, known: Known) -> None:
        """As it comes after a crash."""
        await opened.ingest([record(1)])
        await opened.retract([record(1, state="purged")])
        await opened.retract([record(1, state="purged")])
        same(await known(), by_key([record(1, state="purged")]))

    async def test_an_unknown_record_is_retracted_by_keeping_it(self, opened: MediaIngest, known: Known) -> None:
        """The receiver may be younger than the library."""
        await opened.retract([record(1, state="purged"), record(2, state="vanished")])
        same(await known(), by_key([record(1, state="purged"), record(2, state="vanished")]))

    async def test_calls_take_effect_in_their_order(self, opened: MediaIngest, known: Known) -> None:
        """What was retracted may be there again: a file that vanished came back."""
        await opened.ingest([record(1), record(2)])
        await opened.retract([record(1, state="vanished"), record(2, state="purged")])
        await opened.ingest([record(1)])
        same(await known(), by_key([record(1), record(2, state="purged")]))

    async def test_large_batches_are_taken_whole(self, opened: MediaIngest, known: Known) -> None:
        """1,000 records at a time, new ones and known ones."""
        told = [record(n) for n in range(1000)]
        await opened.ingest(told)
        same(await known(), by_key(told))
        later = [record(n, metadata={"seed": n}) for n in range(500, 1500)]
        await opened.ingest(later)
        await opened.retract([replace(one, state="purged") for one in later])
        same(await known(), by_key([*told[:500], *(replace(one, state="purged") for one in later)]))

    @pytest.mark.parametrize(
        "name",
        [
            "caf%E9.png", "100%25%0A.png", "%date:yyyy-MM-dd%/a.png", "a b/'it''s \"so\"'.png", "x'); DROP TABLE a; --",
            "\\x41\\n\\N\\.", "a\tb\nc\rd", "{a,b}", "$1 %s %(a)s :name ?", "图/é/e\u0301/🖼.png", "\u202egnp.exe",
            "NULL", "", "=1+1", "<script>alert(1)</script>", "x" * 4096, "\\u0000",
        ],
        ids=range(17),
    )  # fmt: skip
    async def test_odd_names_stay_as_they_are(self, opened: MediaIngest, known: Known, name: str) -> None:
        """In every field that holds text, in metadata as a key and as a value."""
        odd = record(1, path=name, library_path=f"comfy/{name}", source=f"comfy{name[:50]}", incomplete=name,
                     problems=(name, "second"), metadata={"prompt": name, name: [name, {"other": name}]})  # fmt: skip
        await opened.ingest([odd, record(2)])
        same(await known(), by_key([odd, record(2)]))
        await opened.retract([replace(odd, state="purged")])
        same(await known(), by_key([replace(odd, state="purged"), record(2)]))

    @pytest.mark.parametrize("bad", ["a\x00b", "\udfff", "a\x00b \ud800 z"], ids=["NUL", "surrogate", "both"])
    async def test_what_cannot_be_stored_is_replaced_and_not_refused(
        self, opened: MediaIngest, known: Known, bad: str
    ) -> None:
        """NUL and lone surrogates, in values and keys of metadata and in what reading it said."""
        odd = record(1, metadata={"prompt": bad, "other": {bad: [bad]}}, problems=(bad,), incomplete=bad)
        await opened.ingest([odd, record(2)])
        found = await known()
        assert found[odd.key] in (odd, without_lossy(odd))
        assert found[record(2).key] == record(2)

    async def test_numbers_stay_what_they_are(self, opened: MediaIngest, known: Known) -> None:
        """Seeds have 64 bits without a sign; other whole numbers may be longer still."""
        numbers = {"seed": (1 << 64) - 1, "more": [1 << 63, -(1 << 63), -(1 << 64) + 1, 10**40, 0, 0.1, 1e-300, -2.5e9],
                   "yes": True, "no": False, "none": None, "one": 1, "float": 1.5}  # fmt: skip
        odd = record(1, metadata=numbers)
        await opened.ingest([odd])
        found = (await known())[odd.key]
        assert found == odd
        assert found.metadata is not None
        assert found.metadata["yes"] is True
        assert isinstance(found.metadata["seed"], int)

    async def test_a_recipe_of_another_shape_is_kept(self, opened: MediaIngest, known: Known) -> None:
        """Nobody vouches for the types in metadata: a sink that has columns for some of it takes what does not fit."""
        shapes: list[dict[str, Any]] = [
            {"seed": "12", "prompt": 5, "loras": "ink", "passes": {}, "model": ["a"], "width": -1.5, "steps": "many"},
            {"seed": 1.5, "prompt": None, "negative_prompt": {"a": 1}, "software": [], "height": 10**30, "loras": [1]},
            {"seed": True, "prompt": ["a"], "model": {}, "cfg": "", "loras": [{"name": 3, "weight": "x"}]},
            {"seed": -1, "prompt": "", "model": "", "loras": None, "sampler": 0},
        ]
        told = [record(n, metadata=shape) for n, shape in enumerate(shapes)]
        await opened.ingest(told)
        same(await known(), by_key(told))

    async def test_large_and_deep_metadata_is_kept(self, opened: MediaIngest, known: Known) -> None:
        """Graphs are megabytes now and then, and a hundred levels deep."""
        deep: Any = "end"
        for _ in range(100):
            deep = {"a": [deep]}
        words = " ".join(f"word{n}" for n in range(200_000))
        odd = record(1, metadata={"prompt": words, "model": "m" * 5000, "deep": deep, "raw_graph": "x" * 2_000_000,
                                  "many": [{"n": n} for n in range(10_000)]})  # fmt: skip
        await opened.ingest([odd, record(2)])
        same(await known(), by_key([odd, record(2)]))

    async def test_it_is_opened_twice(self, sink: MediaIngest, known: Known) -> None:
        """Without a close in between, as after SinkDown."""
        await sink.open()
        await sink.ingest([record(1)])
        await sink.open()
        await sink.ingest([record(2)])
        await sink.close()
        same(await known(), by_key([record(1), record(2)]))

    async def test_it_is_closed_at_any_time(self, sink: MediaIngest, known: Known) -> None:
        """Before it was opened, twice, and with nothing lost that was told."""
        await sink.close()
        await sink.open()
        await sink.ingest([record(1)])
        await sink.close()
        await sink.close()
        same(await known(), by_key([record(1)]))

    async def test_it_is_opened_after_it_was_closed(self, sink: MediaIngest, known: Known) -> None:
        """And knows what it knew."""
        await sink.open()
        await sink.ingest([record(1), record(2)])
        await sink.close()
        await sink.open()
        await sink.retract([record(1, state="purged")])
        await sink.ingest([record(3)])
        await sink.close()
        same(await known(), by_key([record(1, state="purged"), record(2), record(3)]))


def without_lossy(one: Record) -> Record:
    """The record with U+FFFD for what cannot be stored everywhere."""
    return replace(
        one, metadata=_clean(one.metadata), problems=tuple(map(_clean, one.problems)), incomplete=_clean(one.incomplete)
    )


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _LOSSY.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(part) for key, part in value.items()}
    return [_clean(part) for part in value] if isinstance(value, list) else value
