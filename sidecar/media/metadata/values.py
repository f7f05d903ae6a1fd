"""Numbers, words and JSON out of text that nobody vouches for. What makes no sense is None, never an exception."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

_MOST_INT = 1 << 64  # seeds are unsigned 64-bit numbers at most
_BAD = re.compile(
    "[\x00\ud800-\udfff]"
)  # neither can be stored: SQLite and PostgreSQL refuse lone surrogates, JSONB NUL
_SIZE = re.compile(r"(\d{1,6})\s*[x\u00d7]\s*(\d{1,6})")


class NotJson(ValueError):
    """Text that is no JSON, or JSON nested deeper than is read; the message says which."""


def from_json(text: str, odd: Callable[[str], None] = lambda _: None) -> Any:
    """The value of a JSON text. Raises NotJson.

    NaN and infinities, which ComfyUI writes, become None; `odd` is told the name of each.
    """
    try:
        return json.loads(text, parse_constant=odd)
    except RecursionError:
        raise NotJson("JSON nested deeper than is read") from None
    except ValueError as error:
        raise NotJson(f"no JSON: {error}"[:200]) from None


def unwrapped(value: Any, odd: Callable[[str], None] = lambda _: None) -> Any:
    """A value that was encoded once or twice too often (VideoHelperSuite did), decoded. Raises NotJson."""
    for _ in range(3):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        value = from_json(value, odd)
    return value


def words(value: Any) -> str | None:
    """A text that can be stored anywhere; None for what is no text."""
    if not isinstance(value, str):
        return None
    return _BAD.sub("\ufffd", value) if _BAD.search(value) else value


def name(value: Any) -> str | None:
    """A word that says something: not empty and not "None", which menus show for nothing chosen."""
    text = words(value)
    text = text.strip() if text else None
    return text if text and text.lower() != "none" else None


_OWN_VAE = re.compile(r"automatic|baked.*", re.IGNORECASE)
_MODEL_SUFFIX = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pth|gguf|bin)$", re.IGNORECASE)


def model_name(value: Any) -> str | None:
    """A model's name as A1111 shows it: without its folder and suffix."""
    text = name(value)
    return _MODEL_SUFFIX.sub("", text.replace("\\", "/").rpartition("/")[2]) if text else None


def vae_name(value: Any) -> str | None:
    """A VAE's name; None for the words by which menus mean the model's own."""
    found = model_name(value)
    return None if found and _OWN_VAE.fullmatch(found) else found


def whole(value: Any) -> int | None:
    """A whole number of at most 64 bits, from a number or its digits."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 24:
            return None
        try:
            value = int(text)
        except ValueError:
            value = number(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value) or value != int(value):
            return None
        value = int(value)
    return value if -_MOST_INT < value < _MOST_INT else None


def number(value: Any) -> float | None:
    """A finite number, from a number or its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > 40:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def size(value: Any) -> tuple[int | None, int | None]:
    """Width and height out of "512x768"."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 40 else None
    return (int(match[1]), int(match[2])) if match else (None, None)


def shown(value: Any) -> str:
    """Any JSON value as a short text, for pairs that have no field of their own."""
    return words(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)) or ""
