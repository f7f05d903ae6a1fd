"""Values are what `dataclasses` would have made of them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import values


@values.dataclass(frozen=True, slots=True)
class Base:
    """Two fields."""

    number: int
    text: str = "x"


@values.dataclass(frozen=True, slots=True)
class Value(Base):
    """What values have here: defaults, factories, fields that are not compared or not shown, a check, methods."""

    many: tuple[int, ...] = ()
    made: list[int] = dataclasses.field(default_factory=list, compare=False)
    secret: str = dataclasses.field(default="s", repr=False)
    half: float = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")
        object.__setattr__(self, "half", self.number / 2)

    @property
    def twice(self) -> int:
        return 2 * self.number


@values.dataclass(frozen=True, slots=True)
class Nothing:
    """No field."""


@values.dataclass(frozen=True, slots=True, repr=False)
class Own:
    """Shows itself."""

    key: str

    def __repr__(self) -> str:
        return "Own(***)"


@dataclasses.dataclass(frozen=True, slots=True)
class StdBase:
    number: int
    text: str = "x"


@dataclasses.dataclass(frozen=True, slots=True)
class Std(StdBase):
    many: tuple[int, ...] = ()
    made: list[int] = dataclasses.field(default_factory=list, compare=False)
    secret: str = dataclasses.field(default="s", repr=False)
    half: float = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "half", self.number / 2)


NUMBERS = st.integers(min_value=0, max_value=2)
GIVEN = st.tuples(
    NUMBERS, st.sampled_from("xy"), st.tuples(NUMBERS), st.lists(NUMBERS, max_size=1), st.sampled_from("st")
)


@given(GIVEN, GIVEN)
def test_equality_hash_and_text_are_those_of_the_standard_library(one: Any, other: Any) -> None:
    assert (Value(*one) == Value(*other)) is (Std(*one) == Std(*other))
    assert (Value(*one) != Value(*other)) is (Std(*one) != Std(*other))
    assert hash(Value(*one)) == hash(Std(*one))
    assert repr(Value(*one)) == repr(Std(*one)).replace("Std(", "Value(")
    assert dataclasses.asdict(Value(*one)) == dataclasses.asdict(Std(*one))


def test_only_its_own_kind_is_equal() -> None:
    pair: Any = (1, "x")
    assert Base(1) != Value(1)
    assert Base(1) != pair
    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing(), Base(1), Base(1)}) == 2


def test_defaults_factories_and_the_check() -> None:
    one, other = Value(1), Value(number=1, text="x")
    assert one == other
    assert one.made == []
    assert one.made is not other.made
    assert one.twice == 2
    assert Value.__match_args__ == Std.__match_args__
    with pytest.raises(ValueError, match="negative"):
        Value(-1)
    with pytest.raises(TypeError, match="number"):
        Value()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="nope"):
        Value(1, nope=2)  # type: ignore[call-arg]


def test_nothing_in_it_can_be_changed() -> None:
    one = Value(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="number"):
        one.number = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="text"):
        del one.text
    with pytest.raises(dataclasses.FrozenInstanceError, match="new"):
        one.new = 2  # type: ignore[attr-defined]
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("value", [Value(1, "y", (2,), [3], "t"), Nothing(), Own("k")])
def test_copies_are_equal(value: Any) -> None:
    for made in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), dataclasses.replace(value)):
        assert made == value
        assert repr(made) == repr(value)
    assert dataclasses.replace(Value(1, "y"), number=2) == Value(2, "y")


def test_what_it_does_not_know_is_refused() -> None:
    class Keyword:
        key: int = dataclasses.field(kw_only=True)

    with pytest.raises(TypeError, match="keyword fields"):
        values.dataclass(frozen=True, slots=True)(Keyword)
