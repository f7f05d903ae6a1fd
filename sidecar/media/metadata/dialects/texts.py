"""The texts of one file, by key: containers differ in upper and lower case, and in what they call a comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sidecar.media.metadata import values
from sidecar.media.metadata.model import Draft, Text

_COMMENTS = ("usercomment", "comment", "description", "imagedescription", "xpcomment")


class Texts:
    """Look-up by lower-case key, and reading as JSON."""

    def __init__(self, texts: tuple[Text, ...]) -> None:
        self._texts = texts

    def get(self, key: str) -> Text | None:
        """The first text under a key."""
        return next((text for text in self._texts if text.key.lower() == key), None)

    def all(self, *keys: str) -> Iterator[Text]:
        """Texts under any of the keys, in the order of the keys."""
        return (text for key in keys for text in self._texts if text.key.lower() == key)

    def comments(self) -> Iterator[Text]:
        """Texts in the places that are for any remark."""
        return self.all(*_COMMENTS)

    def json(self, text: Text | None, draft: Draft, *, expected: bool = True) -> Any:
        """The value of a JSON text, unwrapped; None for what is none, which is a problem where it was `expected`."""
        if text is None or text.value.lstrip()[:1] not in ("{", "[", '"'):
            return None
        odd: list[str] = []
        try:
            value = values.unwrapped(text.value, odd.append)
        except values.NotJson as error:
            if expected:
                _note(draft, f"{text.place}: {error}")
            return None
        if odd:
            _note(draft, f"{text.place}: {odd[0]} is no JSON, read as null")
        return value


def _note(draft: Draft, problem: str) -> None:
    if problem not in draft.problems:
        draft.problems.append(problem)


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A JSON array; an empty one for anything else."""
    return value if isinstance(value, list) else []
