"""What was found out about contents, and what happened to files for those that follow it: the media steps, and sinks.

A follower's place moves in the transaction that holds what it made of the changes up to there, so that nothing is done
twice and nothing is left out, whenever it is stopped.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Any

from sidecar.values import dataclass

MEDIA = "media"
VERSION = 2  # to be raised when the steps find out more: what was read before is then read again
_AT_ONCE = 64
FORGET_FOLLOWED = "DELETE FROM changes WHERE seq <= (SELECT min(seq) FROM followers)"  # what everybody is behind


@dataclass(frozen=True, slots=True)
class Unread:
    """A content that nobody has looked into, or only an older program. `library_path` is its likeliest place."""

    hash: bytes
    library_path: bytes
    source: str
    root: bytes
    path: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out: values by step, in JSON's types, problems in a line each, whether there is a thumbnail.

    `raws` are texts as the file has them, by name.
    """

    hash: bytes
    told: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    thumbnail: bool = False
    raws: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What it says of its making."""
        found = self.told.get("metadata")
        return found if isinstance(found, Mapping) else {}

    @property
    def texts(self) -> tuple[str, str, str, str, str]:
        """What words are looked for in: prompt, negative prompt, models, LoRAs, software."""
        recipe = self.recipe
        passes = [one for one in recipe.get("passes", ()) if isinstance(one, Mapping)]
        models = dict.fromkeys(str(one["model"]) for one in (recipe, *passes) if one.get("model"))
        loras = [str(one.get("name", "")) for one in recipe.get("loras", ()) if isinstance(one, Mapping)]
        return (str(recipe.get("prompt", "")), str(recipe.get("negative_prompt", "")), "\n".join(models),
                "\n".join(loras), str(recipe.get("software", "")))  # fmt: skip


class FindingTable:
    """The part of the manifest that remembers findings. Made by it, and locked with it."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
                 read: Callable[[str, Sequence[object]], list[tuple[Any, ...]]]) -> None:  # fmt: skip
        self._transaction = transaction
        self._read = read
        self._given: dict[bytes, int] = {}  # what was read of each content that was handed out last, by its version

    def unread(self, limit: int = _AT_ONCE) -> tuple[list[Unread], int | None]:
        """The next contents to look into, and the place behind them, for `keep`; None when there is nothing to do.

        What an older program looked into comes last. A content that had problems and was stored once more is looked
        into once more: it may have been the copy that was damaged.
        """
        (here,), (top,) = self._read(
            "SELECT seq FROM followers WHERE name = ? UNION ALL SELECT coalesce(max(seq), 0) FROM changes", (MEDIA,)
        )
        if top > here:
            rows = self._read(
                "SELECT c.seq, f.hash, f.library_path, s.name, f.root, f.path, n.version, n.problems FROM changes c "
                "JOIN files f ON f.id = c.file_id JOIN sources s ON s.id = f.source_id "
                "LEFT JOIN findings n ON n.hash = f.hash "
                "WHERE c.seq > ? AND c.seq <= ? AND c.what = 'stored' ORDER BY c.seq LIMIT ?",
                (here, top, limit),
            )
            found = {r[1]: Unread(*r[1:6]) for r in rows if r[6] is None or r[6] < VERSION or r[7] != "[]"}
            self._given = {r[1]: r[6] for r in rows if r[6] is not None}
            return list(found.values()), rows[-1][0] if len(rows) == limit else top
        rows = self._read(
            "SELECT n.hash, f.library_path, s.name, f.root, f.path, n.version FROM findings n "
            "JOIN files f ON f.id = (SELECT max(id) FROM files WHERE hash = n.hash) "
            "JOIN sources s ON s.id = f.source_id WHERE n.version < ? LIMIT ?",
            (VERSION, limit),
        )
        self._given = {row[0]: row[5] for row in rows}
        return [Unread(*row[:5]) for row in rows], here if rows else None

    def waiting(self) -> int:
        """How many contents nobody has looked into yet, or only an older program; the same one may count twice."""
        rows = self._read(
            "SELECT (SELECT count(*) FROM changes WHERE what = 'stored' AND seq > f.seq), "
            "(SELECT count(*) FROM findings WHERE version < ?) FROM followers f WHERE f.name = ?",
            (VERSION, MEDIA),
        )
        return sum(rows[0])

    def forget(self) -> int:
        """Have everything looked into again; answers how many contents. What was found out is found until then."""
        with self._transaction() as db:
            return db.execute("UPDATE findings SET version = min(version, 0) - 1").rowcount

    def keep(self, findings: Sequence[Finding], place: int, now_ns: int) -> None:
        """Record what was found out, and go on behind `place`: its files can be found by their words from here on."""
        with self._transaction() as db:
            versions = {one.hash: self._version(db, one.hash) for one in findings}
            _tell_again(db, findings, place)
            for one in findings:
                _unindex(db, one.hash)
            db.executemany(
                "INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((one.hash, versions[one.hash], _json(one.told), _json(one.problems), one.thumbnail, _seed(one),
                  *one.texts, now_ns) for one in findings),
            )  # fmt: skip
            db.executemany("INSERT OR REPLACE INTO raws VALUES (?, ?)",
                           ((one.hash, zlib.compress(_json(one.raws).encode())) for one in findings if one.raws)
                           )  # fmt: skip
            db.executemany(f"INSERT INTO words {_WORDS} WHERE f.hash = ?", ((one.hash,) for one in findings))
            db.execute(
                f"INSERT INTO words {_WORDS} JOIN changes c ON c.file_id = f.id WHERE c.what = 'stored' "  # noqa: S608
                "AND c.seq > (SELECT seq FROM followers WHERE name = ?) AND c.seq <= ? "
                "AND NOT EXISTS (SELECT 1 FROM words w WHERE w.rowid = f.id)",
                (MEDIA, place),
            )
            db.execute("UPDATE followers SET seq = ? WHERE name = ?", (place, MEDIA))
            db.execute(FORGET_FOLLOWED)

    def _version(self, db: sqlite3.Connection, sha256: bytes) -> int:
        """That of this program, unless somebody wants the content looked into again since it was handed out."""
        row = db.execute("SELECT version FROM findings WHERE hash = ?", (sha256,)).fetchone()
        return VERSION if row is None or row[0] == self._given.get(sha256, row[0]) else int(row[0])

    def of(self, sha256: bytes) -> Finding | None:
        """What was found out about a content; None when nobody has looked yet."""
        return read_finding(self._read, sha256)


def read_finding(read: Callable[[str, Sequence[object]], list[tuple[Any, ...]]], sha256: bytes, *, raws: bool = False
                 ) -> Finding | None:  # fmt: skip
    """The same, by whatever runs a query, with its raw texts if they are wanted."""
    rows = read("SELECT told, problems, thumbnail FROM findings WHERE hash = ?", (sha256,))
    if not rows:
        return None
    packed = read("SELECT packed FROM raws WHERE hash = ?", (sha256,)) if raws else []
    return Finding(sha256, json.loads(rows[0][0]), tuple(json.loads(rows[0][1])), bool(rows[0][2]),
                   json.loads(zlib.decompress(packed[0][0])) if packed else {})  # fmt: skip


_TEXTS = (
    "f.id, CAST(f.path AS TEXT), coalesce(n.prompt, ''), coalesce(n.negative, ''), coalesce(n.model, ''), "
    "coalesce(n.loras, ''), coalesce(n.software, ''), coalesce(replace(n.seed, '-', 'minus'), '') "
    "FROM files f LEFT JOIN findings n ON n.hash = f.hash"
)
# The words of files, as they are found in the index.
_WORDS = f"(rowid, name, prompt, negative, model, loras, software, seed) SELECT {_TEXTS}"


_FORGOTTEN = (
    "INSERT INTO words (words, rowid, name, prompt, negative, model, loras, software, seed) "  # noqa: S608
    f"SELECT 'delete', {_TEXTS} WHERE f.hash = ? AND EXISTS (SELECT 1 FROM words w WHERE w.rowid = f.id)"
)


def _unindex(db: sqlite3.Connection, sha256: bytes) -> None:
    """Take the words of a content's files out of the index, which has to be told again what they were."""
    db.execute(_FORGOTTEN, (sha256,))


def _tell_again(db: sqlite3.Connection, findings: Sequence[Finding], place: int) -> None:
    """Log that more is known of files that sinks may have been told of already. Those that come before `place` are
    told of when they are read, as long as no sink is ahead of the steps.
    """
    ((here, furthest),) = db.execute(_PLACES, (MEDIA,))
    for one in findings if furthest is not None else ():
        had = db.execute("SELECT told, problems FROM findings WHERE hash = ?", (one.hash,)).fetchone()
        if (furthest > here or had) and (had or ("{}", "[]")) != (_json(one.told), _json(one.problems)):
            db.execute(_READ, (one.hash, max(here, furthest), place))


# Where the media steps are, and the sink that is furthest.
_PLACES = "SELECT seq, (SELECT max(seq) FROM followers WHERE name LIKE 'sink:%') FROM followers WHERE name = ?"
_READ = (
    "INSERT INTO changes (file_id, what) SELECT id, 'read' FROM files WHERE hash = ? "
    "AND id NOT IN (SELECT file_id FROM changes WHERE seq > ? AND seq <= ? AND what = 'stored')"
)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _seed(one: Finding) -> str | None:
    seed = one.recipe.get("seed")
    return str(seed) if isinstance(seed, int) else None
