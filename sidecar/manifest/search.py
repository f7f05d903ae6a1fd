"""Looking through the manifest while another connection writes it: for the API, which must hold nobody up."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sidecar.manifest.findings import Finding, read_finding
from sidecar.manifest.opening import FILE_NAME, open_beside, translated
from sidecar.manifest.rows import Item, SourceTotals
from sidecar.values import dataclass

COUNT_SHARE = 20  # at most a twentieth of the time goes into counting all files


class Read(Protocol):
    """Whatever runs a query."""

    def __call__(self, sql: str, values: Sequence[object] = (), /) -> list[tuple[Any, ...]]:
        """All rows of the answer."""


# Columns in the order of Item.
_ITEM = ("f.id, f.hash, s.name, f.path, f.library_path, f.size, f.mtime_ns, f.state, c.kind, c.incomplete, "
         "json_extract(n.told, '$.metadata')")  # fmt: skip
_MOST = "image"
_FROM = ("JOIN sources s ON s.id = f.source_id JOIN contents c ON c.hash = f.hash "
         "LEFT JOIN findings n ON n.hash = f.hash")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which files are meant; what is empty or None does not narrow.

    `name` is part of the path in the source, ASCII letters in any case. `since_ns` and `until_ns` bound the mtime, ns
    since the epoch, the first included and the second not. `match` and `unmatch` are expressions of FTS5 over what was
    read from files and their names, see `query.py`: of files that are wanted, and of those that are not.
    """

    sources: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    name: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    match: str = ""
    unmatch: str = ""

    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL but for `match`, and its values."""
        parts, values = ["1"], list[object]()
        if self.sources:
            parts.append("f.source_id IN (SELECT id FROM sources WHERE name IN (SELECT value FROM json_each(?)))")
            values.append(json.dumps(self.sources))
        if self.kinds:
            # images are most of what there is: walking the newest files finds them sooner than an index would
            sought = "SELECT {} FROM contents WHERE {} kind IN (SELECT value FROM json_each(?))"
            parts.append(f"EXISTS ({sought.format('1', 'hash = f.hash AND')})" if _MOST in self.kinds
                         else f"f.hash IN ({sought.format('hash', '')})")  # fmt: skip
            values.append(json.dumps(self.kinds))
        if self.states:
            parts.append("f.state IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(self.states))
        if self.since_ns is not None:
            parts.append("f.mtime_ns >= ?")
            values.append(self.since_ns)
        if self.until_ns is not None:
            parts.append("f.mtime_ns < ?")
            values.append(self.until_ns)
        if self.name:
            parts.append("CAST(f.path AS TEXT) LIKE ? ESCAPE '\\'")
            values.append("%" + re.sub(r"([%_\\])", r"\\\1", self.name) + "%")
        if self.unmatch:
            parts.append("f.id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(self.unmatch)
        return " AND ".join(parts), values


EVERYTHING = ItemFilter()


@dataclass(frozen=True, slots=True)
class Copy:
    """A content in the library: its size in bytes, its kind, and every place that it was ever put, likeliest first."""

    sha256: bytes
    size: int
    kind: str
    incomplete: str | None
    library_paths: tuple[bytes, ...]


class _Reader:
    """One connection that reads, used by one thread at a time."""

    def __init__(self, state: Path) -> None:
        self._where = f"manifest {state / FILE_NAME}"
        with translated(self._where):
            self._db = open_beside(state)
        self._mutex = threading.Lock()

    def __call__(self, sql: str, values: Sequence[object] = (), /) -> list[tuple[Any, ...]]:
        with self._mutex, translated(self._where):
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        with self._mutex:
            self._db.close()


class Search:
    """Connections of their own to an open manifest, for reading alone. Safe to call from several threads."""

    def __init__(self, state: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises LibraryUnsafe and ManifestDamaged, as every method does."""
        self._read = _Reader(state)
        self._count = _Reader(state)  # counting takes its time, and no search waits for it
        self._clock = clock
        self._counted: tuple[int, float, float, list[SourceTotals]] = (-1, 0.0, 0.0, [])

    def close(self) -> None:
        """Close the file; idempotent."""
        self._read.close()
        self._count.close()

    def items(self, wanted: ItemFilter, *, limit: int, before: int | None = None) -> list[Item]:
        """Files, newest record first, ids below `before`. Ask for one more than a page to know if there is another."""
        return read_items(self._read, wanted, limit=limit, before=before)

    def finding(self, sha256: bytes) -> Finding | None:
        """What was found out about a content, with its raw texts; None when nobody has looked yet."""
        return read_finding(self._read, sha256, raws=True)

    def library_id(self) -> str | None:
        """The id of the library that the manifest describes."""
        rows = self._read("SELECT value FROM meta WHERE key = 'library_id'")
        return str(rows[0][0]) if rows else None

    def totals(self) -> list[SourceTotals]:
        """Per source, by name: files by state and bytes whose copies are kept.

        Counting every row takes its time, so of many files the answer is some seconds old while they change.
        """
        (version,) = self._count("PRAGMA data_version")[0]
        version_then, counted_at, took, totals = self._counted
        if version != version_then and self._clock() - counted_at >= COUNT_SHARE * took:
            began = time.thread_time()  # not how long it waited for a busy machine
            totals = read_totals(self._count)
            self._counted = (version, self._clock(), time.thread_time() - began, totals)
        return totals

    def copy(self, sha256: bytes) -> Copy | None:
        """A content by its hash; None when it was never stored."""
        rows = self._read("SELECT size, kind, incomplete, library_path FROM contents WHERE hash = ?", (sha256,))
        if not rows:
            return None
        size, kind, incomplete, path = rows[0]
        others = self._read("SELECT DISTINCT library_path FROM files WHERE hash = ? ORDER BY id DESC", (sha256,))
        paths = dict.fromkeys([path, *(other for (other,) in others)])
        return Copy(sha256, size, kind, incomplete, tuple(paths))


FEW = 2000  # files
LAST = 1 << 62  # behind every id
_THESE = "IN (SELECT value FROM json_each(?))"
# With a plus, for FTS5 would search anew for each of them; and not beyond the last of them.
_WORDS_OF_THESE = f"+words.rowid {_THESE} AND words.rowid >= (SELECT min(value) FROM json_each(?))"  # noqa: S608


def read_items(read: Read, wanted: ItemFilter, *, limit: int, before: int | None) -> list[Item]:
    """One page of files, by whatever runs a query."""
    page, values = _page(read, wanted, LAST if before is None else before)
    whole = f"SELECT {_ITEM} FROM ({page} LIMIT ?) p JOIN files f ON f.id = p.id {_FROM} ORDER BY f.id DESC"  # noqa: S608
    rows = read(whole, (*values, limit))
    return [Item(*row) for row in rows]


def _page(read: Read, wanted: ItemFilter, before: int) -> tuple[str, list[object]]:
    """What answers the ids of the files, the newest first, and its values.

    The index of words goes from the newest to the oldest, as files do, and no further than the page. Its own walk costs
    next to nothing beside a look at each file on the way: so if either the words or all else leave few, those are asked
    for first, and the other of them alone.
    """
    condition, values = wanted.where()
    files = f"SELECT f.id AS id FROM files f WHERE {condition} AND f.id < ?"  # noqa: S608
    words = "SELECT words.rowid AS id FROM words WHERE words MATCH ? AND words.rowid < ?"
    latest = "ORDER BY id DESC"
    if not wanted.match:
        return f"{files} {latest}", [*values, before]
    if wanted == replace(EVERYTHING, match=wanted.match):
        return f"{words} {latest}", [wanted.match, before]
    if (few := _few(read, f"{words} {latest}", [wanted.match, before])) is not None:
        return f"{files} AND f.id {_THESE} {latest}", [*values, before, few]
    if (few := _few(read, f"{files} {latest}", [*values, before])) is not None:
        return f"{words} AND {_WORDS_OF_THESE} {latest}", [wanted.match, before, few, few]
    return (
        f"SELECT words.rowid AS id FROM words CROSS JOIN files f ON f.id = words.rowid WHERE words MATCH ? "  # noqa: S608
        f"AND words.rowid < ? AND {condition} ORDER BY words.rowid DESC"
    ), [wanted.match, before, *values]


def _few(read: Read, sql: str, values: Sequence[object]) -> str | None:
    """All ids that a query answers, in JSON; None when they are many."""
    ids = [number for (number,) in read(f"{sql} LIMIT ?", (*values, FEW))]
    return json.dumps(ids) if len(ids) < FEW else None


def read_totals(read: Read) -> list[SourceTotals]:
    """Per source: files by state and bytes whose copies are kept, by name."""
    rows = read(
        """
        SELECT s.name, s.kind, s.transport,
               (SELECT container FROM generations g WHERE g.source_id = s.id ORDER BY g.id DESC LIMIT 1),
               count(*) FILTER (WHERE f.state = 'stored'), count(*) FILTER (WHERE f.state = 'purged'),
               count(*) FILTER (WHERE f.state IN ('vanished', 'replaced')),
               (SELECT count(*) FROM waiting w WHERE w.source_id = s.id), coalesce(sum(f.size), 0)
        FROM sources s LEFT JOIN files f ON f.source_id = s.id GROUP BY s.id ORDER BY s.name
        """
    )
    return [SourceTotals(*r) for r in rows]
