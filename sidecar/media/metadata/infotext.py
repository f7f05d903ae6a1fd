"""The grammar of A1111's infotext, which Forge, its kin and many save nodes write: read and write.

    <prompt, lines>
    Negative prompt: <lines>
    Steps: 20, Sampler: Euler a, Seed: 1, Lora hashes: "a: h1, b: h2", Version: v1.10.1

The last line holds parameters only with three pairs or more (modules/infotext_utils.py). A value with `,` `:` or a
newline in it is a JSON string; some tools put bare JSON there. Behind that line sd-dynamic-prompts writes what the
prompts were made of, `Template: …` and `Negative Template: …`, lines each; they are read as two more pairs. Reading
takes time in proportion to the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from sidecar.values import dataclass

FEWEST_PAIRS = 3
"""With fewer of them the last line is part of the prompt."""
_NEGATIVE = re.compile(r"^[ \t]*Negative prompt:[ \t]*", re.MULTILINE)
_TEMPLATE = re.compile(r"^(Template|Negative Template):", re.MULTILINE)
_KEY = re.compile(r"\s*(\w[\w \-/.()+]{1,99}):\s*")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")\s*(?:,|$)')
_END = re.compile(r"\s*(?:,|$)")
_MUST_QUOTE = re.compile(r'[,:\n]|^["{\[\s]|\s$')
_DECODER = json.JSONDecoder()
_MOST_JSON = 16_384


@dataclass(frozen=True, slots=True)
class Infotext:
    """The three parts. `pairs` are in their order, values unquoted; a key may come twice."""

    prompt: str
    negative_prompt: str = ""
    pairs: tuple[tuple[str, str], ...] = ()


def parse(text: str) -> Infotext:
    """Read an infotext. Any text is one: without parameters, it is all prompt."""
    text = text.replace("\r\n", "\n").strip()
    end = _parameters_end(text)
    before, _, last = text[:end].rpartition("\n")
    pairs = tuple(_pairs(last))
    if len(pairs) < FEWEST_PAIRS:
        before, pairs = text, ()
    else:
        pairs += tuple(_templates(text[end:]))
    mark = _NEGATIVE.search(before)
    if mark is None:
        return Infotext(before.strip(), "", pairs)
    return Infotext(before[: mark.start()].strip(), before[mark.end() :].strip(), pairs)


def write(info: Infotext) -> str:
    """The text that `parse` reads as `info`, if its prompts are stripped and no line of them starts another part.

    Raises ValueError for a key that the grammar does not know.
    """
    lines = [info.prompt]
    if info.negative_prompt:
        lines.append(f"Negative prompt: {info.negative_prompt}")
    if info.pairs:
        lines.append(", ".join(f"{_checked(key)}: {quoted(value)}" for key, value in info.pairs))
    return "\n".join(lines)


def quoted(value: str) -> str:
    """A value as it stands in the line: as it is, or as a JSON string where it could be misread."""
    return json.dumps(value, ensure_ascii=False) if _MUST_QUOTE.search(value) else value


def _checked(key: str) -> str:
    if key != key.strip() or not _KEY.fullmatch(key + ":"):
        raise ValueError(f"{key!r} cannot be a key of an infotext")
    return key


def _parameters_end(text: str) -> int:
    """Where the line of parameters ends: at the end of the text, or before templates."""
    start = f"\n{text}".rfind("\nSteps:")
    end = text.find("\n", start) if start >= 0 else -1
    return end if end >= 0 and _TEMPLATE.match(text, end + 1) else len(text)


def _templates(text: str) -> Iterator[tuple[str, str]]:
    _, *parts = _TEMPLATE.split(text)
    return ((key, value.strip()) for key, value in zip(parts[::2], parts[1::2], strict=True))


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Pairs from left to right. What is no pair belongs to the value before it: "Model: a, b" is one."""
    at = 0
    key, parts = "", [""]
    while at < len(line):
        match = _KEY.match(line, at)
        if match:
            if key:
                yield key, ", ".join(parts)
            value, at = _value(line, match.end())
            key, parts = match[1].strip(), [value]
        else:
            stop = line.find(",", at)
            stop = len(line) if stop < 0 else stop
            if more := line[at:stop].strip():
                parts.append(more)
            at = stop + 1
    if key:
        yield key, ", ".join(parts)


def _value(line: str, at: int) -> tuple[str, int]:
    """One value, unquoted, and where the next pair starts."""
    if match := _QUOTED.match(line, at):
        try:
            return str(json.loads(match[1])), match.end()
        except ValueError:
            return match[1][1:-1], match.end()  # a backslash of Windows, say
    if line[at : at + 1] in ("{", "["):
        try:
            # A piece of the line, for the error that says "no JSON" counts the lines in all that it was given.
            _, length = _DECODER.raw_decode(line[at : at + _MOST_JSON])
        except (ValueError, RecursionError):
            length = 0
        if length and (end := _END.match(line, at + length)):
            return line[at : at + length], end.end()
    stop = line.find(",", at)
    stop = len(line) if stop < 0 else stop
    return line[at:stop].strip(), stop + 1
