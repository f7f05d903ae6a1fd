"""Events as JSON: one form for the WebSocket, the webhook and whoever listens in this process, and its JSON Schema.

`events.schema.json` beside this module is the schema as it is published, and served at /api/v1/events/schema. After a
change to an event, `python -m sidecar.telling.wire` writes it anew.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Union

from pydantic import Field, TypeAdapter, create_model
from pydantic.json_schema import GenerateJsonSchema

from sidecar.events import FREQUENT, TYPES, Event, FileEvent, type_of
from sidecar.telling.data import DATA, FileData
from sidecar.telling.shapes import Shape, Time, moment

FILE = "events.schema.json"
_ABOUT = "One event. WebSocket, webhook and `sidecar.telling.wire.as_json` tell it with the same text."
_OFTEN = " On the WebSocket only for clients that ask for it."


class Envelope(Shape):
    """What every event has."""

    id: str = Field(description="The event's own; the same wherever it is told.", examples=["3f2b9c1d7e40-1a"])
    type: str
    time: Time = Field(description="When it happened.")
    job: str | None = Field(description="The job that it happened in; null for none.", examples=["3f2b9c1d7e40"])
    source: str | None = Field(description="The source that it is about; null for none or many.")
    correlation: str | None = Field(
        description="The same in all events of one file, by source, root and path; null for what is about no file."
    )
    data: Shape


class FileEnvelope(Envelope):
    """What every event of a file has."""

    source: str
    correlation: str = Field(
        pattern="^[0-9a-f]{16}$",
        description="The same in all events of this file, by source, root and path, in this job and in others.",
    )


class _Untitled(GenerateJsonSchema):
    """A field is called what it is called."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def as_json(event: Event) -> str | None:
    """An event as the text of a JSON object, in ASCII; None for one that is nobody's business."""
    kind = type_of(event)
    if kind is None:
        return None
    told: dict[str, Any] = {
        "id": event.id,
        "type": kind,
        "time": moment(event.at_ns),
        "job": event.job or None,
        "source": event.source or None,
        "correlation": event.correlation if isinstance(event, FileEvent) else None,
        "data": DATA[kind][1](event).model_dump(mode="json"),
    }
    return json.dumps(told)


def made_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of every event, made from the shapes."""
    kinds = []
    for kind in TYPES:
        data, _, says = DATA[kind]
        base = FileEnvelope if issubclass(data, FileData) else Envelope
        title = "".join(part.capitalize() for part in kind.split("."))
        doc = says + (_OFTEN if kind in FREQUENT.values() else "")
        named: Any = Literal[kind]
        kinds.append(create_model(title, __base__=base, __doc__=doc, type=(named, ...), data=(data, ...)))
    one: Any = Annotated[Union[tuple(kinds)], Field(discriminator="type")]  # noqa: UP007 (of what is in a list)
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "media-sync event", "description": _ABOUT}
    return head | TypeAdapter(one).json_schema(mode="serialization", schema_generator=_Untitled)


@cache
def published_schema() -> bytes:
    """The schema as it is published, a JSON text."""
    return resources.files("sidecar.telling").joinpath(FILE).read_bytes()


def written(schema: dict[str, Any]) -> bytes:
    """The text of a schema's file."""
    return (json.dumps(schema, indent=2) + "\n").encode()


if __name__ == "__main__":
    with open(str(resources.files("sidecar.telling").joinpath(FILE)), "wb") as file:
        file.write(written(made_schema()))
