"""Frozen values that are quick to make. Import `dataclass` from here.

`dataclasses.dataclass(frozen=True, slots=True)` writes and compiles six functions for each class, and a command imports
about a hundred such classes: on Python 3.11 that took half of the time in which it imported what is its own. What comes
from here does the same, and compiles `__init__` alone: the other five are shared by all values. Other forms are passed
on to the standard library.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

_UNSET = object()  # in place of what a default factory makes


def _refuse(self: object, name: str, *_value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change field {name!r} of a {type(self).__name__}")


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    key = self.__key__
    return key(self) == key(other)


def _hash(self: Any) -> int:
    return hash(self.__key__(self))


def _shown(self: Any) -> str:
    parts = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(parts)})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for f, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, f.name, value)


_SHARED = {"__setattr__": _refuse, "__delattr__": _refuse, "__eq__": _equal, "__hash__": _hash, "__getstate__": _state,
           "__setstate__": _restore}  # fmt: skip


def _init(cls: type, fields: tuple[dataclasses.Field[Any], ...]) -> Any:
    """The function that a dataclass of these fields has as `__init__`."""
    known: dict[str, Any] = {"_put_": object.__setattr__, "_unset_": _UNSET}
    given, body = ["self"], []
    for f in fields:
        if f.kw_only:
            raise TypeError(f"{cls.__qualname__}.{f.name}: keyword fields are not known here; use dataclasses for it")
        if not f.init:
            continue  # for __post_init__
        value, default = f.name, f"_default_{f.name}_"
        if f.default_factory is not dataclasses.MISSING:
            known[default] = f.default_factory
            value = f"{default}() if {f.name} is _unset_ else {f.name}"
            given.append(f"{f.name}=_unset_")
        elif f.default is not dataclasses.MISSING:
            known[default] = f.default
            given.append(f"{f.name}={default}")
        else:
            given.append(f.name)
        body.append(f" _put_(self, {f.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(given)}):\n" + "\n".join(body or [" pass"]), known)  # noqa: S102 (as dataclasses does)
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    return made


def _value(cls: type, *, shown: bool) -> Any:
    """A frozen dataclass with slots. What the class itself defines stays."""
    for name, function in (_SHARED | {"__repr__": _shown} if shown else _SHARED).items():
        if name not in vars(cls):
            setattr(cls, name, function)
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    compared = [f.name for f in fields if f.compare]
    made.__key__ = attrgetter(*compared) if compared else staticmethod(_nothing)
    made.__init__ = _init(made, fields)
    return made


def _nothing(_value: object) -> tuple[()]:
    return ()


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, slots: bool = False, repr: bool = True) -> Any:  # noqa: A002 (its name there)
        """`dataclasses.dataclass`, of which it knows what is used here."""
        if not (frozen and slots):
            return dataclasses.dataclass(frozen=frozen, slots=slots, repr=repr)
        return lambda cls: _value(cls, shown=repr)


__all__ = ["dataclass"]
