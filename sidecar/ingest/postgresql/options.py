"""What stands in the settings for a PostgreSQL sink, checked before anything is connected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sidecar.config import units
from sidecar.config.units import Wrong
from sidecar.ingest import options as given
from sidecar.models import NS
from sidecar.values import dataclass

APPLICATION = "media-sync"
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_DSN_HINT = "write it like postgresql://user@host:5432/database, or host=… dbname=… user=…"
_ENCODED = "in a password, write % as %25, @ as %40, / as %2F, or give it as `password` instead"


@dataclass(frozen=True, slots=True)
class Options:
    """How the server is reached: `conninfo` is libpq's, with everything in it; `place` is what may be shown of it.

    `timeout` is of one statement and one connection, in seconds; `pool` the most connections. `secrets` are texts that
    no line may hold.
    """

    conninfo: str = field(repr=False)
    place: str
    schema: str
    pool: int
    timeout: float
    secrets: tuple[str, ...] = field(default=(), repr=False)


def parse(options: Mapping[str, str]) -> Options:
    """The options of one sink. Raises ConfigError, which quotes neither dsn nor password."""
    given.only(options, ("dsn", "password", "schema", "pool", "timeout"))
    dsn = given.required(options, "dsn", _dsn, _DSN_HINT)
    if password := given.optional(options, "password", str, ""):
        dsn["password"] = password
    timeout = given.optional(options, "timeout", _timeout, 30.0)
    return Options(
        conninfo=make_conninfo(**(_lines(timeout) | dsn)),
        place=_place(dsn),
        schema=given.optional(options, "schema", _schema, "media_sync"),
        pool=given.optional(options, "pool", units.whole(1, 20), 2),
        timeout=timeout,
        secrets=tuple(str(dsn[name]) for name in ("password", "sslpassword") if dsn.get(name)),
    )


def _lines(timeout: float) -> dict[str, str]:
    """How a connection presents itself, and how soon it notices that nobody is there; what dsn says of it counts."""
    return {
        "application_name": APPLICATION, "connect_timeout": str(max(2, round(timeout))), "keepalives_idle": "30",
        "keepalives_interval": "10", "keepalives_count": "3", "tcp_user_timeout": str(round(timeout * 1000)),
    }  # fmt: skip


def _dsn(text: str) -> dict[str, Any]:
    """A connection string's parts. What is wrong with it is said without quoting it: libpq would quote a password."""
    try:
        parts = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        raise Wrong("is no connection string", f"{_DSN_HINT}; {_ENCODED}") from None
    host, port = str(parts.get("host") or ""), str(parts.get("port") or "")
    if "://" in text and ("@" in host + str(parts.get("dbname") or "") or not re.fullmatch(r"[0-9,]*", port)):
        raise Wrong("is not what it seems: part of a password would be read as the host, port or database", _ENCODED)
    if not re.fullmatch(r"[0-9,]*", port):
        raise Wrong("names a port that is no number", _DSN_HINT)
    return dict(parts)


def _schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text):
        raise Wrong(f"{units.quoted(text)} cannot name a schema",
                    "use 1 to 63 of a-z 0-9 _ and begin with a letter, but not with pg_")  # fmt: skip
    return text


def _timeout(text: str) -> float:
    seconds = units.parse_duration(text) / NS
    if not 1 <= seconds <= 3600:
        raise Wrong(f"{units.quoted(text)} is out of range", "give 1s to 1h")
    return seconds


def _place(parts: Mapping[str, Any]) -> str:
    """Host and port, as far as they are given; libpq's defaults and service files fill in the rest."""
    host = str(parts.get("host") or parts.get("hostaddr") or "")
    port = str(parts.get("port") or "")
    if not host:
        return f"service {parts['service']}" if parts.get("service") else "the local socket"
    return f"{host}:{port}" if port else host
