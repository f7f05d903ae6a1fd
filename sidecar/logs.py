"""Log lines: one event per line on stderr, text for people, JSON for `docker logs`, never a control character."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TYPE_CHECKING, TextIO

from loguru import logger
from tqdm import tqdm

from sidecar.models import shown

if TYPE_CHECKING:
    from loguru import Message, Record


def setup(level: str, form: str, stream: TextIO = sys.stderr) -> None:
    """Send all log lines to `stream`: `form` is text, json, or auto (text on a terminal)."""
    text = form == "text" or (form == "auto" and stream.isatty())
    render = _as_text if text else _as_json

    def write(message: Message) -> None:
        line = render(message.record) + "\n"
        if text and stream.isatty():
            tqdm.write(line, file=stream, end="")  # a line under a running bar pushes the bar down
        else:
            stream.write(line)
            stream.flush()

    logger.remove()
    logger.add(write, level=level.upper(), format="{message}", catch=False)
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


class _Bridge(logging.Handler):
    """What libraries say through the standard library's logging comes the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.bind(logger=record.name).log(record.levelname, "{}", record.getMessage())


def printable(text: str) -> str:
    """The text with everything that a terminal could take for a command written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _fields(record: Record) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in record["extra"].items():
        fields[key] = shown(value) if isinstance(value, bytes) else value
    return fields


def _as_json(record: Record) -> str:
    line: dict[str, object] = {
        "time": record["time"].astimezone(datetime.UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "message": record["message"],
    }
    line |= _fields(record)
    if record["exception"] is not None:
        line["error"] = repr(record["exception"].value)
    return json.dumps(line, default=str)


def _as_text(record: Record) -> str:
    fields = _fields(record)
    where = " ".join(str(fields[key]) for key in ("source", "file") if fields.get(key))
    head = f"{record['time']:HH:mm:ss} {record['level'].name.lower():7}"
    return printable(f"{head} {where + ': ' if where else ''}{record['message']}")
