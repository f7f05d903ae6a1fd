"""What sections of the settings are made of: the base of their models, names that operators give, and common types."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from sidecar.config import units
from sidecar.config.units import Wrong, quoted

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Switch = Annotated[bool, BeforeValidator(units.parse_switch)]


class Section(BaseModel):
    """A group of settings. Nothing in it can be changed, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def name_of(value: object, what: str) -> str:
    """The name of `what` (a source, a sink) in lower case, so that no two differ by case alone. Raises Wrong."""
    text = str(value).strip().lower()
    if not _NAME.fullmatch(text):
        raise Wrong(f"{quoted(value)} cannot name a {what}",
                    "use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit")  # fmt: skip
    return text
