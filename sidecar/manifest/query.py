"""What people type to find files: `seed:1234 model:flux "red fox" -cat after:2026-11-01 kind:video`.

Words and quoted phrases all have to be in a file's name, prompts, model, LoRAs or seed; one with `-` before it must not
be, one with `*` behind it may go on. A key narrows: `source:` `kind:` `state:` (several values: any of them), `name:`
(part of the path), `after:` and `before:` (a day, or a moment; the first included and the second not), `seed:`, and
`prompt:` `negative:` `model:` `lora:` `software:` (words that begin so, in that place alone; of one or two letters the
word itself).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from sidecar.errors import ConfigError
from sidecar.manifest.search import ItemFilter
from sidecar.models import NS, clamped

_TERM = re.compile(r'(?P<no>-?)(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]*))', re.IGNORECASE)
SHORT = 3  # letters: of fewer, so many words begin with them that only the word itself is meant
_SEED = re.compile(r"-?[0-9]{1,30}")
_LISTS = {"source": "sources", "kind": "kinds", "state": "states"}
_COLUMNS = {"prompt": "prompt", "negative": "negative", "model": "model", "lora": "loras", "software": "software"}
_KINDS = ("image", "video", "audio", "mesh", "text", "other")
_STATES = ("stored", "vanished", "replaced", "purged")
_KEYS = (*_LISTS, "name", "after", "before", "seed", *_COLUMNS)


def parse(text: str, zone: tzinfo | None = None) -> ItemFilter:
    """What is meant; `zone` is that of the days, None for this machine's. Raises ConfigError for what means nothing."""
    found, wanted, unwanted, seeds = ItemFilter(), list[str](), list[str](), list[str]()
    for term in _TERM.finditer(text.replace("\0", " ")):
        key = (term["key"] or "").lower()
        value = term["phrase"] if term["phrase"] is not None else term["word"]
        if key and not value:
            raise ConfigError(f"query: {key}: has no value", hint=f'write {key}:VALUE, or {key}:"TWO WORDS"')
        if key in _COLUMNS or not key:
            expression = _expression(value, key, phrase=term["phrase"] is not None)
            if expression:
                (unwanted if term["no"] else wanted).append(expression)
        elif term["no"]:
            raise ConfigError(f"query: -{key}: is not possible", hint="only words and phrases can be left out")
        elif key == "seed":
            seeds.append(_seed(value))
        else:
            found = _narrowed(found, key, value, zone)
    if seeds:
        wanted.append(f"({' OR '.join(seeds)})")
    every, none = " AND ".join(wanted), " OR ".join(unwanted)
    if not every:
        return replace(found, unmatch=none)
    return replace(found, match=f"({every}) NOT ({none})" if none else every)


def _seed(value: str) -> str:
    """A term of FTS5 for a seed. Raises ConfigError."""
    if not _SEED.fullmatch(value):
        raise ConfigError(f"query: seed:{value} is no number", hint="write it as the file has it: seed:1234")
    return f'seed : "{int(value)}"'.replace("-", "minus")


def _expression(value: str, key: str, *, phrase: bool) -> str:
    """A term of FTS5; "" for one without a letter or digit. Quoted, nothing in it is an operator."""
    if not any(character.isalnum() for character in value):
        return ""
    goes_on = (not phrase and value.endswith("*")) or (bool(key) and len(value) >= SHORT)
    quoted = '"' + value.rstrip("*").replace('"', '""') + '"' + ("*" if goes_on else "")
    return f"{_COLUMNS[key]} : {quoted}" if key else quoted


def _narrowed(found: ItemFilter, key: str, value: str, zone: tzinfo | None) -> ItemFilter:
    if key in _LISTS:
        values = tuple(part for part in value.split(",") if part)
        known = {"kind": _KINDS, "state": _STATES}.get(key)
        wrong = [part for part in values if known is not None and part not in known]
        if wrong:
            raise ConfigError(f"query: {key}:{wrong[0]} is not known", hint=f"one of {', '.join(known or ())}")
        more: dict[str, Any] = {_LISTS[key]: (*getattr(found, _LISTS[key]), *values)}
        return replace(found, **more)
    if key == "name":
        return replace(found, name=value)
    if key in ("after", "before"):
        moment = _moment(key, value, zone)
        return replace(found, since_ns=moment) if key == "after" else replace(found, until_ns=moment)
    raise ConfigError(f"query: {key}: is not known", hint=f'one of {", ".join(_KEYS)}; or quote it: "{key}:{value}"')


def _moment(key: str, value: str, zone: tzinfo | None) -> int:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()
        return clamped(int(moment.timestamp()) * NS)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"query: {key}:{value} is no day", hint="write 2026-11-01, or 2026-11-01T18:30") from error
