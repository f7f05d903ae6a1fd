"""What PostgreSQL and the way to it answer with, as one of the two errors that a sink may raise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from sidecar.errors import MediaSyncError
from sidecar.ingest.base import SinkDown, SinkRefused
from sidecar.ingest.postgresql.options import Options

_LONGEST = 300
# What is wrong with a record itself, however often it comes. All else may be mended without changing the record:
# rights, a disk, a table that somebody locked.
_OF_THE_DATA = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)
_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (
        errors.InsufficientPrivilege,
        "grant what compose/postgres-role.sql grants, or connect once as the schema's owner",
    ),
    (errors.InvalidPassword, "check user and password"),
    (errors.InvalidCatalogName, "create the database, or name another in dsn"),
    (errors.QueryCanceled, "see who holds locks there; `timeout` can be longer"),
    (errors.ReadOnlySqlTransaction, "name the server that can be written to"),
    (errors.DiskFull, "make room on the server's disk"),
)
_DOWN = "check that the server runs and that dsn is right"


@contextmanager
def translated(options: Options) -> Iterator[None]:
    """Raises SinkDown or SinkRefused for what goes wrong inside, without its cause, whose text nobody has looked at."""
    try:
        yield
    except MediaSyncError:
        raise
    except TimeoutError:
        raise SinkDown(
            f"PostgreSQL at {options.place} did not answer within {options.timeout:g} s", hint=_DOWN
        ) from None
    except (psycopg.Error, OSError) as error:
        raise _told(error, options) from None


def _told(error: Exception, options: Options) -> MediaSyncError:
    reason = _reason(error, options.secrets)
    if isinstance(error, _OF_THE_DATA):
        return SinkRefused(f"PostgreSQL at {options.place} does not take it: {reason}",
                           hint="`media-sync ingest retry` tells it again")  # fmt: skip
    hint = next((hint for kind, hint in _HINTS if isinstance(error, kind)), _DOWN)
    return SinkDown(f"PostgreSQL at {options.place}: {reason}", hint=hint)


def _reason(error: Exception, secrets: tuple[str, ...]) -> str:
    """The server's own first line, or libpq's, with no secret in it."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = re.sub(r"\s+", " ", said or str(error)).strip() or type(error).__name__
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
