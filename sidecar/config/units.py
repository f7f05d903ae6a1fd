"""How settings are written: lengths of time, sizes, switches, lists. The same for YAML, environment, flags and labels.

Every parser takes whatever a layer holds (text, or a value that Python code passed in) and raises Wrong, whose two
halves become the line that a person reads.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from sidecar.models import NS
from sidecar.values import dataclass

MINUTE = 60 * NS
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LONGEST_NS = 2**63 - 1  # what SQLite and every other 64-bit reader of these values can hold

_TIME_UNITS = {"w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": NS, "ms": NS // 1000, "us": 1000, "ns": 1}
_TIME_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|us|ns|w|d|h|m|s)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TIME_HINT = "write it like 24h, 10m, 2s, 250ms, 7d or 1h30m"

_DECIMAL = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BINARY = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
# A bare letter is binary because `docker run --memory 64m` has taught these users so.
_SIZE_UNITS = _DECIMAL | _BINARY | {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
_SIZE_HINT = "write it like 64MiB or 2GB"

_SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Wrong(ValueError):
    """A value that cannot be meant: `str()` says what is wrong, `hint` what to write instead."""

    def __init__(self, wrong: str, hint: str = "") -> None:
        super().__init__(wrong)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of a whole, 0 to 100."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}%"


def quoted(value: object, limit: int = 80) -> str:
    """A value as it appears in a one-line message: in quotes, without control characters, cut when long."""
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= limit else text[:limit] + "…"
    printable = "".join(c if c.isprintable() or c in "\n\r\t" else "\ufffd" for c in cut)
    return json.dumps(printable, ensure_ascii=False)


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the nearest known word, or "" where none is near."""
    import difflib  # for mistakes only

    by_plain = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), by_plain, n=1, cutoff=0.6)
    return f"did you mean {by_plain[found[0]]}?" if found else ""


def parse_duration(value: object) -> int:
    """A length of time in ns. `24h`, `1h30m`, `7d`, `250ms`, largest unit first; a plain number is seconds."""
    text = str(value).strip().lower()
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not text:
        raise Wrong(f"{quoted(value)} is not a length of time", _TIME_HINT)
    if _NUMBER.fullmatch(text):
        total = Decimal(text) * NS
    else:
        total, at, smallest = Decimal(0), 0, LONGEST_NS
        while at < len(text):
            part = _TIME_PART.match(text, at)
            if part is None or _TIME_UNITS[part[2]] >= smallest:
                raise Wrong(f"{quoted(value)} is not a length of time", _TIME_HINT)
            smallest = _TIME_UNITS[part[2]]
            total += Decimal(part[1]) * smallest
            at = part.end()
    if total > LONGEST_NS:
        raise Wrong(f"{quoted(value)} is longer than 292 years", _TIME_HINT)
    return int(total)


def format_duration(ns: int) -> str:
    """The shortest text that parse_duration reads back as `ns`. One day stays `24h`, because people write it so."""
    if ns == 0:
        return "0s"
    if ns > DAY and ns % DAY == 0:
        return f"{ns // DAY}d"
    text = ""
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count, ns = divmod(ns, _TIME_UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def parse_size(value: object) -> int:
    """A size in bytes. `64MiB` is binary, `2GB` decimal, a bare `64m` binary; a plain number is bytes."""
    part = _SIZE.fullmatch(str(value).strip().lower())
    if isinstance(value, bool) or part is None or part[2] not in _SIZE_UNITS | {"": 1}:
        raise Wrong(f"{quoted(value)} is not a size", _SIZE_HINT)
    size = Decimal(part[1]) * _SIZE_UNITS.get(part[2], 1)
    if size != int(size) or size > LONGEST_NS:
        raise Wrong(f"{quoted(value)} is not a whole number of bytes", _SIZE_HINT)
    return int(size)


def format_size(size: int) -> str:
    """The largest unit that divides `size` evenly, so that parse_size reads back exactly `size`."""
    for names in (("TiB", "GiB", "MiB", "KiB"), ("TB", "GB", "MB", "kB")):
        for name in names:
            unit = _SIZE_UNITS[name.lower()]
            if size and size % unit == 0:
                return f"{size // unit}{name}"
    return str(size)


def parse_switch(value: object) -> bool:
    """true or false, and the other words that people use for them."""
    found = value if isinstance(value, bool) else _SWITCH.get(str(value).strip().lower())
    if found is None:
        raise Wrong(f"{quoted(value)} is neither true nor false", "write true or false")
    return found


def parse_list(value: object) -> tuple[str, ...]:
    """Several texts: a list, or one text split at `;` and line ends. Empty parts are dropped."""
    parts = re.split(r"[;\n]", value) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise Wrong(f"{quoted(value)} is not a list of texts", "write a list, or one text with ; between the parts")
    if any("\0" in part for part in parts):
        raise Wrong(f"{quoted(value)} holds a NUL character", "remove it")
    return tuple(part.strip() for part in parts if part.strip())


def parse_text(value: object) -> str:
    """One line of text that is not empty."""
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise Wrong(f"{quoted(value)} is not a text", "write one text")
    if not str(value).isprintable():
        raise Wrong(f"{quoted(value)} holds a control character", "write one line of text")
    return str(value).strip()


def parse_limit(value: object) -> int | Percent:
    """A count (`500`) or a share (`50%`)."""
    text = str(value).strip()
    if text.isascii() and text.isdigit():
        return int(text)
    with contextlib.suppress(InvalidOperation):
        if text.endswith("%") and 0 <= (share := Decimal(text[:-1].strip())) <= 100:
            return Percent(float(share))
    raise Wrong(f"{quoted(value)} is neither a count nor a percentage", "write it like 500 or 50%")


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """A parser of whole numbers from `lowest` to `highest`, both included."""

    def parse(value: object) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
            raise Wrong(
                f"{quoted(value)} is not a whole number from {lowest} to {highest}", f"write it like {max(lowest, 1)}"
            )
        return int(text)

    return parse


def choice(*names: str) -> Callable[[object], str]:
    """A parser of one of `names`, in any case."""

    def parse(value: object) -> str:
        text = str(value).strip().lower()
        if text not in names:
            known = f"write one of {', '.join(names)}"
            raise Wrong(f"{quoted(value)} is not known here", f"{near(text, names)} {known}".strip())
        return text

    return parse


def choices(*names: str) -> Callable[[object], tuple[str, ...]]:
    """A parser of several of `names`; commas separate too, because none of the names holds one."""
    one = choice(*names)

    def parse(value: object) -> tuple[str, ...]:
        parts = parse_list(value.replace(",", ";") if isinstance(value, str) else value)
        return tuple(dict.fromkeys(one(part) for part in parts))

    return parse


def optional(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """The same parser, where `none` takes a value away that a lower layer gave."""
    return lambda value: None if value is None or str(value).strip().lower() == "none" else parse(value)


def show(value: object) -> str:
    """A stored value as the text that would be parsed back to it; durations and sizes have their own."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ";".join(str(part) for part in value)
    return str(value)
