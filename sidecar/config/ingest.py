"""The settings of sinks: `ingest.sinks.NAME` has a type, whether a purge waits for it, and options of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from sidecar.config.section import Section, Switch, name_of
from sidecar.config.units import Wrong, quoted

COMMON = ("type", "required")  # what every sink has; all else is its own
HARMLESS = frozenset({"path", "schema", "pool", "timeout", "allow_private"})  # options that are shown as they are


def sink_name(value: object) -> str:
    """A sink's name in lower case. Raises Wrong."""
    return name_of(value, "sink")


def _type(value: object) -> str:
    return "" if value == "" else sink_name(value)


def _option(value: object) -> str:
    """An option as its sink gets it: text, also where YAML read a number or a switch."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Wrong(f"{quoted(value)} is not text", "write one value; in quotes where it holds : or #")


class SinkSettings(Section):
    """One receiver of records. What is not common to all of them is `options`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, BeforeValidator(_option)]] = Field(init=False)

    type: Annotated[str, BeforeValidator(_type)] = Field(
        "", description="What kind of sink: jsonlines, webhook, postgresql or a plugin's; unset is the sink's name."
    )
    required: Switch = Field(False, description="Whether a purge keeps every original that this sink has not got yet.")

    @property
    def options(self) -> Mapping[str, str]:
        """What its factory is called with."""
        return dict(self.__pydantic_extra__ or {})


class IngestSettings(Section):
    """Who is told of every stored file, and of what became of its original."""

    sinks: dict[str, SinkSettings] = Field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the sinks that a purge waits for."""
        return tuple(name for name, sink in self.sinks.items() if sink.required)


def any_option() -> Any:
    """The field that stands for every option of a sink."""
    return Field("", description="Any other key is an option of the sink, like dsn, url, path or secret.")
