"""Labels narrow what the operator allows, and never widen it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import parse_duration
from sidecar.models import Rules
from sidecar.transports.docker.labels import Wish, narrow, read_labels
from tests.unit.inspects import ENABLED, found, inspect


@pytest.mark.parametrize(
    ("operator", "label", "effective", "warns"),
    [("24h", "48h", "48h", False), ("1h", "60m", "1h", False), ("24h", "1h", "24h", True), ("7d", "0s", "7d", True)],
)  # fmt: skip
async def test_label_only_lengthens_the_age(
    operator: str, label: str, effective: str, warns: bool, tmp_path: Path
) -> None:
    labels = ENABLED | {"media-sync.path": "/out", "media-sync.older-than": label}
    answer = await found(inspect(labels=labels), tmp=tmp_path, yaml=f"purge: {{older_than: {operator}}}")
    assert answer.sources[0].rules.older_than_ns == parse_duration(effective)
    assert bool(answer.warnings) is warns
    if warns:
        assert "generator" in answer.warnings[0]
        assert f"media-sync.older-than={label} is not followed" in answer.warnings[0]


@pytest.mark.parametrize(
    ("operator", "label", "effective"),
    [("true", "true", True), ("true", "false", False), ("false", "true", False), ("false", "false", False)],
)
async def test_label_only_switches_purge_off(operator: str, label: str, effective: bool, tmp_path: Path) -> None:
    yaml = f"sources: {{x: {{container: generator, path: /out, purge: {operator}}}}}"
    answer = await found(inspect(labels={"media-sync.purge": label}), tmp=tmp_path, yaml=yaml)
    assert answer.sources[0].rules.purge is effective
    assert bool(answer.warnings) is (label == "true" and operator == "false")


def test_label_patterns_only_take_away() -> None:
    operator = Rules(exclude=("a",), preserve=("b",))
    narrowed, warnings = narrow(operator, Wish(include=("*.png",), exclude=("c",), preserve=("d", "b")), "g")
    assert narrowed == Rules(("*.png",), ("a", "c"), ("b", "d"))
    assert warnings == ()
    operator = Rules(include=("*.png", "*.jpg"))
    assert narrow(operator, Wish(include=("*.jpg",)), "g")[0].include == ("*.jpg",)
    kept, warnings = narrow(operator, Wish(include=("**",)), "g")
    assert kept == operator
    assert "the operator pulls only *.png; *.jpg" in warnings[0]


_globs = st.tuples() | st.lists(st.sampled_from(["*.png", "*.jpg", "a/**", "**"]), max_size=3).map(tuple)


@given(st.builds(Rules, _globs, _globs, _globs, st.integers(0, 10), st.booleans()),
       st.builds(Wish, include=_globs, exclude=_globs, preserve=_globs, older_than=st.none() | st.integers(0, 10),
                 purge=st.none() | st.booleans()))  # fmt: skip
def test_no_labels_ever_widen(operator: Rules, wish: Wish) -> None:
    narrowed, _ = narrow(operator, wish, "g")
    assert narrowed.older_than_ns >= operator.older_than_ns
    assert narrowed.purge <= operator.purge
    assert set(narrowed.exclude) >= set(operator.exclude)
    assert set(narrowed.preserve) >= set(operator.preserve)
    assert not operator.include or (narrowed.include and set(narrowed.include) <= set(operator.include))


_labels = st.sampled_from(["enable", "older-than", "path", "name", "x", "Purge"]).map("media-sync.".__add__)


@given(st.dictionaries(_labels, st.text(max_size=20)))
def test_labels_of_any_content_are_read_without_an_error(labels: dict[str, str]) -> None:
    wish = read_labels("c", labels)
    for line in (*wish.warnings, *(part for problem in wish.problems for part in problem)):
        assert "\n" not in line
