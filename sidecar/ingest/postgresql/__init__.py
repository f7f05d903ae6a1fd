"""The sink `postgresql`: records as rows of a schema of its own. psycopg is imported when the first is made."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.ingest.base import MediaIngest


def sink(options: Mapping[str, str]) -> MediaIngest:
    """The sink that the options describe, not opened. Raises ConfigError, which never quotes a dsn or a password."""
    from sidecar.ingest.postgresql.options import parse
    from sidecar.ingest.postgresql.writer import PostgresSink

    return PostgresSink(parse(options))
