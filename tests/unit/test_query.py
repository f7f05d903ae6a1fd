"""What people type to find files."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ConfigError
from sidecar.manifest.query import parse
from sidecar.manifest.search import ItemFilter
from sidecar.models import NS


def ns(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ItemFilter()),
        ("fox", ItemFilter(match='"fox"')),
        ("red  fox", ItemFilter(match='"red" AND "fox"')),
        ('"red fox"', ItemFilter(match='"red fox"')),
        ('"red fox', ItemFilter(match='"red fox"')),
        ("fo*", ItemFilter(match='"fo"*')),
        ("fox -cat -dog", ItemFilter(match='("fox") NOT ("cat" OR "dog")')),
        ("model:flux lora:x", ItemFilter(match='model : "flux"* AND loras : "x"')),
        ('prompt:"red fox"', ItemFilter(match='prompt : "red fox"*')),
        ("... - !", ItemFilter()),
        ("seed:1234", ItemFilter(match='(seed : "1234")')),
        ("seed:18446744073709551615 seed:-1", ItemFilter(match='(seed : "18446744073709551615" OR seed : "minus1")')),
        ("seed:7 -fox", ItemFilter(match='((seed : "7")) NOT ("fox")')),
        ("kind:video -fox -cat", ItemFilter(kinds=("video",), unmatch='"fox" OR "cat"')),
        ("kind:video,audio source:a source:b", ItemFilter(kinds=("video", "audio"), sources=("a", "b"))),
        ("state:purged name:ComfyUI_", ItemFilter(states=("purged",), name="ComfyUI_")),
        ("after:2026-11-01 before:2026-11-02T06:00", ItemFilter(since_ns=ns(2026, 11, 1), until_ns=ns(2026, 11, 2, 6))),
        ("before:2026-11-02T06:00+02:00", ItemFilter(until_ns=ns(2026, 11, 2, 4))),
        ('"nosuch:thing"', ItemFilter(match='"nosuch:thing"')),
    ],
)
def test_what_is_meant(text: str, wanted: ItemFilter) -> None:
    assert parse(text, UTC) == wanted


def test_a_day_is_that_of_the_place() -> None:
    assert parse("after:2026-07-01", ZoneInfo("Europe/Berlin")).since_ns == ns(2026, 6, 30, 22)
    assert parse("after:2026-07-01").since_ns is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuch:thing", "nosuch: is not known"),
        ("http://x", "http: is not known"),
        ("kind:film", "kind:film is not known"),
        ("state:gone", "state:gone is not known"),
        ("seed:many", "seed:many is no number"),
        ("after:yesterday", "after:yesterday is no day"),
        ("before:9999-99-99", "is no day"),
        ('name:""', "name: has no value"),
        ("-kind:video", "-kind: is not possible"),
    ],
)
def test_what_has_no_meaning_is_said_so(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse(text)
    assert caught.value.hint or "number" in said


@given(st.text(max_size=40))
def test_whatever_is_typed_sqlite_understands_what_comes_of_it(text: str) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5 (name, prompt, negative, model, loras, software, seed)")
    try:
        found = parse(text)
    except ConfigError:
        return
    for match in filter(None, (found.match, found.unmatch)):
        db.execute("SELECT rowid FROM words WHERE words MATCH ?", (match,)).fetchall()


@pytest.mark.parametrize("query", ["seed:", "fox model:", 'prompt:""', "name: fox"])
def test_a_key_without_a_value_is_told(query: str) -> None:
    with pytest.raises(ConfigError, match="has no value"):
        parse(query)


@pytest.mark.parametrize("day", ["9999-01-01", "0001-01-02"])
def test_a_day_beyond_what_a_manifest_can_hold_is_its_end(day: str) -> None:
    since = parse(f"after:{day}").since_ns
    assert since is not None
    assert -(1 << 63) <= since < 1 << 63
