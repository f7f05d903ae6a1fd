"""Log lines: one event per line on stderr, text for people, JSON for `docker logs`, never a control character."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

from loguru import logger

from sidecar.models import shown

if TYPE_CHECKING:
    from loguru import Message, Record

WARNING = 30  # loguru's number for it
_MOST = 1e15  # TB; a wrong size must not fill the line
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")  # what both loggers have


_NAMED = r"(?i)((?:token|password|passwd|secret|api[_-]?key)"


class Secrets:
    """Texts that must not reach a log line, an error or a webhook, and what secrets look like anywhere.

    Registered texts are found as they are and percent-encoded; passwords in addresses, `Authorization` values and
    parameters called token, password and the like are found by their form. Safe from any thread.
    """

    LEAST = 6  # characters: shorter ones would also hit what is none
    HIDDEN = "***"
    _FORMS = (
        (re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@"), r"\1:***@"),
        (re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[A-Za-z0-9+/=._~-]{6,}"), r"\1\2***"),
        (re.compile(_NAMED + r"(?:=|['\"]\s*:\s*)['\"]?)[^\s'\"&,;})]{6,}"), r"\1***"),
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: tuple[str, ...] = ()

    def add(self, *secrets: str | None) -> None:
        """From now on these are hidden; None and texts that are too short to be told from others are passed over."""
        wanted = [s.strip() for s in secrets if s and len(s.strip()) >= self.LEAST]
        with self._lock:
            every = {*self._texts, *wanted, *(quote(s, safe="") for s in wanted)}
            self._texts = tuple(sorted(every, key=len, reverse=True))  # one may hold another

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, self.HIDDEN)
        for form, instead in self._FORMS:
            text = form.sub(instead, text)
        return text


SECRETS = Secrets()  # of this process, as its one logger is


class Repeats:
    """What the last pass complained about, so that the next one need not say the same again.

    A complaint comes once, again when it had gone meanwhile, and as a reminder after `remind` seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, remind: float = 3600.0) -> None:
        self._clock = clock
        self._remind = remind
        self._lock = threading.Lock()
        self._last: dict[tuple[object, ...], float] = {}
        self._now: dict[tuple[object, ...], float] = {}

    def next_pass(self) -> None:
        """A new pass begins: what it does not complain about is over."""
        with self._lock:
            self._last, self._now = self._now, {}

    def heard(self, record: Record) -> bool:
        """Whether this record says nothing new."""
        if record["level"].no < WARNING:
            return False
        key = (record["message"], record["extra"].get("source"), record["extra"].get("file"))
        with self._lock:
            said, now = self._now.get(key, self._last.get(key)), self._clock()
            known = said is not None and now - said < self._remind
            self._now[key] = said if said is not None and known else now
        return known


def setup(level: str, form: str, stream: TextIO | None = None, repeats: Repeats | None = None) -> None:
    """Send all log lines to `stream` (stderr): `form` is text, json, or auto (text on a terminal).

    With `repeats`, complaints that it has heard are left out. What SECRETS knows is hidden.
    """
    stream = stream or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    render = _as_text if text else _as_json

    def write(message: Message) -> None:
        if repeats is not None and repeats.heard(message.record):
            return
        line = render(message.record) + "\n"
        with contextlib.suppress(OSError, ValueError):  # whoever read this went away: the work goes on
            if text and stream.isatty():
                from tqdm import tqdm  # for terminals only

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
        level = record.levelname if record.levelname in _LEVELS else "WARNING"
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(level, "{}", record.getMessage())


def printable(text: str) -> str:
    """The text with everything that a terminal could take for a command written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def size(count: float) -> str:
    """Bytes as people read them, powers of ten as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{min(count, _MOST):.1f} TB"


def _plain(value: object) -> object:
    """A field's value as JSON can hold it, names as text, without secrets."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return SECRETS.hide(shown(value) if isinstance(value, bytes) else str(value))


def _fields(record: Record) -> dict[str, object]:
    """`job` and `source` on every line, empty where there is none, and what else was bound."""
    fields: dict[str, object] = {"job": None, "source": None}
    for key, value in record["extra"].items():
        fields[key] = _plain(value)
    return fields


def _error(record: Record) -> str:
    """The exception of a line in one piece, "" when it has none. A traceback has many lines, and shows values."""
    caught = record["exception"]
    return "" if caught is None or caught.value is None else SECRETS.hide(repr(caught.value))


def _as_json(record: Record) -> str:
    line: dict[str, object] = {
        "time": record["time"].astimezone(datetime.UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "message": SECRETS.hide(record["message"]),
    }
    line |= _fields(record)
    if error := _error(record):
        line["error"] = error
    text = json.dumps(line, default=str, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _as_text(record: Record) -> str:
    fields = _fields(record)
    job = f"[{fields['job']}] " if fields["job"] else ""
    where = " ".join(str(fields[key]) for key in ("source", "file") if fields.get(key))
    head = f"{record['time']:HH:mm:ss} {record['level'].name.lower():7} {job}"
    error = _error(record)
    tail = f": {error}" if error else ""
    return printable(f"{head}{where + ': ' if where else ''}{SECRETS.hide(record['message'])}{tail}")
