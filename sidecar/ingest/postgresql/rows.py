"""Records as rows for COPY. What PostgreSQL cannot hold is replaced; what is no record is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.ingest.base import Record, SinkRefused

_LOST = re.compile("[\x00\ud800-\udfff]")  # no text in PostgreSQL holds these
_NUL = "\\u0000"  # a NUL in JSON, or the end of an escaped backslash and four harmless digits


def rows(batch: Sequence[Record]) -> list[tuple[Any, ...]]:
    """A row for each key, the last record of a key counts: number, then the fields of Record. Raises SinkRefused."""
    last = {one.key: one for one in batch}
    return [(number, *_row(one)) for number, one in enumerate(last.values())]


def _row(one: Record) -> tuple[Any, ...]:
    return (
        _text(one.key), one.hash, _text(one.source), _text(one.path), _text(one.library_path), one.size, one.mtime_ns,
        one.stored_ns, one.state, one.kind, None if one.incomplete is None else _text(one.incomplete),
        None if one.metadata is None else _json(one), [_text(problem) for problem in one.problems],
    )  # fmt: skip


def _text(value: str) -> str:
    return _LOST.sub("\ufffd", value)


def _json(one: Record) -> str:
    try:
        text = _dumped(one.metadata)
        return _dumped(_kept(one.metadata)) if _NUL in text or not _encodable(text) else text
    except RecursionError:
        raise SinkRefused(f"{one.path}: its metadata is nested too deep") from None
    except (TypeError, ValueError) as error:
        raise SinkRefused(f"{one.path}: its metadata is no JSON ({error})") from None


def _encodable(text: str) -> bool:
    """Whether there are no surrogates in a text; over megabytes of it much quicker than looking for them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_mapping)


def _mapping(value: Any) -> Any:
    """Mappings that are no dict, and sequences that are no list."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} in it")


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_text(str(key)): _kept(part) for key, part in value.items()}
    return [_kept(part) for part in value] if isinstance(value, list | tuple) else value
