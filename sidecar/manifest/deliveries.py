"""What sinks were told, and what they are to be told next. The log of changes is the outbox, a sink's cursor its place.

A sink is a follower called `sink:NAME`. What it is told of a file is how that file is now, not how it was at the change
that is told: so a record may come early or twice, and never out of date. Of a place that had the same content more than
once (the copy was damaged, the same picture was made again) there is one record, of the newest row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sidecar.manifest.findings import FORGET_FOLLOWED, MEDIA, Finding
from sidecar.manifest.sinkrows import Asked, Backfill, Due, SinkRow, Told

RECORDS = 500  # in a batch
TEXT = 4 << 20  # characters of what was found out about them; one that has more comes alone
_PREFIX = "sink:"


class DeliveryTable:
    """The part of the manifest that knows what sinks were told. Made by it, and locked with it."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
                 read: Callable[[str, Sequence[object]], list[tuple[Any, ...]]]) -> None:  # fmt: skip
        self._transaction = transaction
        self._read = read

    # -- who is told ------------------------------------------------------------------------------------------------

    def follow(self, names: Collection[str]) -> None:
        """Let these sinks follow from the oldest change on that is still in the log, where they do not yet."""
        new = set(names) - self._names()
        if not new:
            return
        with self._transaction() as db:
            for name in sorted(new):
                # files are logged in the order of their numbers, and their changes are forgotten in it
                db.execute(
                    "INSERT INTO sinks (name, first_file) SELECT ?, coalesce(max(id), 0) + 1 FROM files "
                    "WHERE id NOT IN (SELECT file_id FROM changes WHERE what = 'stored')",
                    (name,),
                )
                db.execute("INSERT INTO followers SELECT ?, coalesce(min(seq) - 1, 0) FROM changes", (_PREFIX + name,))

    def forget_others(self, names: Collection[str]) -> list[str]:
        """Keep the log of changes for these sinks alone; answers those that it was kept for besides. What they were
        told is not known any more.
        """
        gone = sorted(self._names() - set(names))
        if gone:
            with self._transaction() as db:
                for name in gone:
                    db.execute("DELETE FROM sinks WHERE name = ?", (name,))
                    db.execute("DELETE FROM refused WHERE sink = ?", (name,))
                    db.execute("DELETE FROM followers WHERE name = ?", (_PREFIX + name,))
                db.execute(FORGET_FOLLOWED)
        return gone

    def _names(self) -> set[str]:
        return {name for (name,) in self._read("SELECT name FROM sinks", ())}

    # -- what is due ------------------------------------------------------------------------------------------------

    def due(self, sink: str, most: int, *, read_first: bool) -> list[Due]:
        """The next changes, oldest first, `most` at a time.

        `read_first`: none that the media steps have not got to yet.
        """
        rows = self._read(
            "SELECT c.seq, c.what NOT IN ('stored', 'read'), c.file_id, coalesce(length(n.told), 0) "
            f"{_PENDING} ORDER BY c.seq LIMIT ?",
            (_PREFIX + sink, read_first, most),
        )
        return self._filled(_cut(rows))

    def due_to_fill(self, sink: str) -> list[Due]:
        """The next files of the backfill under way, in the order of their numbers."""
        rows = self._read(
            "SELECT 0, 0, f.id, coalesce(length(n.told), 0) FROM sinks s JOIN files f ON f.id > s.filling "
            "AND f.id <= s.fills_to LEFT JOIN findings n ON n.hash = f.hash WHERE s.name = ? ORDER BY f.id LIMIT ?",
            (sink, RECORDS),
        )
        return self._filled(_cut(rows))

    def due_again(self, sink: str, after: int) -> list[Due]:
        """Files that were refused, from behind the number `after`."""
        rows = self._read(
            "SELECT 0, 0, f.id, coalesce(length(n.told), 0) FROM refused r JOIN files f ON f.id = r.file_id "
            "LEFT JOIN findings n ON n.hash = f.hash WHERE r.sink = ? AND r.file_id > ? ORDER BY r.file_id LIMIT ?",
            (sink, after, RECORDS),
        )
        return self._filled(_cut(rows))

    def _filled(self, wanted: Sequence[tuple[int, bool, int]]) -> list[Due]:
        rows = self._read(
            "SELECT j.value, f.hash, s.name, f.root, f.path, f.library_path, f.size, f.mtime_ns, f.stored_ns, f.state, "
            "k.kind, k.incomplete, n.told, n.problems FROM json_each(?) j JOIN files o ON o.id = j.value "
            "JOIN files f ON f.id = (SELECT max(id) FROM files WHERE hash = o.hash AND source_id = o.source_id "
            "AND root = o.root AND path = o.path) JOIN sources s ON s.id = f.source_id "
            "JOIN contents k ON k.hash = f.hash LEFT JOIN findings n ON n.hash = f.hash",
            (json.dumps(sorted({file_id for _, _, file_id in wanted})),),
        )
        now = {r[0]: (*r[1:12], _finding(*r[1:2], *r[12:])) for r in rows}
        return [Due(seq, went and now[file_id][8] != "stored", file_id, *now[file_id]) for seq, went, file_id in wanted]

    # -- what was told ----------------------------------------------------------------------------------------------

    def keep(self, sink: str, told: Iterable[Told], now_ns: int, *, place: int | None = None, filled: int | None = None
             ) -> None:  # fmt: skip
        """Record what became of these, of one file told twice the last. `place`: go on behind that change; `filled`:
        the backfill under way has come to that file.
        """
        last = {one.file_id: one.refused for one in told}
        had = [(sink, file_id) for file_id, refused in last.items() if refused is None]
        with self._transaction() as db:
            db.executemany("DELETE FROM refused WHERE sink = ? AND file_id = ?", had)
            db.executemany(
                "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)",
                ((sink, file_id, refused, now_ns) for file_id, refused in last.items() if refused is not None),
            )
            db.execute("UPDATE sinks SET told = told + ?, told_ns = iif(?, ?, told_ns), problem = NULL, "
                       "problem_ns = NULL WHERE name = ?", (len(had), len(had), now_ns, sink))  # fmt: skip
            if filled is not None:
                db.execute("UPDATE sinks SET filling = ?1, filled = max(filled, ?1) WHERE name = ?2", (filled, sink))
            if place is not None:
                db.execute("UPDATE followers SET seq = ? WHERE name = ?", (place, _PREFIX + sink))
                db.execute(FORGET_FOLLOWED)

    def failed(self, sink: str, problem: str, now_ns: int) -> None:
        """Record what keeps a sink from being told, for others to see; since when stays, until something is told."""
        with self._transaction() as db:
            db.execute("UPDATE sinks SET problem = ?, problem_ns = coalesce(problem_ns, ?) "
                       "WHERE name = ? AND problem IS NOT ?", (problem, now_ns, sink, problem))  # fmt: skip

    # -- what is asked for besides ----------------------------------------------------------------------------------

    def ask(self, sinks: Iterable[str], now_ns: int, *, everything: bool) -> None:
        """Have these sinks told once more what they refused; `everything`: also every file whose change is not waiting
        anyway. A backfill that is under way goes on. For any process: who delivers looks for it.
        """
        with self._transaction() as db:
            for sink in sinks:
                db.execute("UPDATE sinks SET again_ns = ? WHERE name = ?", (now_ns, sink))
                if everything:
                    db.execute(_BEGIN_FILLING, (_PREFIX + sink, sink))

    def asked(self, sink: str) -> Asked:
        """What is still to be done of what was asked for."""
        rows = self._read("SELECT again_ns, filling, fills_to FROM sinks WHERE name = ?", (sink,))
        return _asked(*rows[0]) if rows else Asked()

    def end_again(self, sink: str, asked_ns: int) -> None:
        """Record that all was told that was asked for at that time; what was asked for since stays."""
        with self._transaction() as db:
            db.execute("UPDATE sinks SET again_ns = NULL WHERE name = ? AND again_ns = ?", (sink, asked_ns))

    def end_filling(self, sink: str) -> None:
        """Record that the backfill under way has told of everything."""
        with self._transaction() as db:
            db.execute("UPDATE sinks SET filled = max(filled, fills_to), filling = NULL, fills_to = NULL "
                       "WHERE name = ? AND filling IS NOT NULL", (sink,))  # fmt: skip

    # -- how it stands ----------------------------------------------------------------------------------------------

    def backlog(self, sink: str) -> int:
        """How many changes a sink was not told of."""
        ((count,),) = self._read(
            "SELECT count(*) FROM changes WHERE seq > (SELECT seq FROM followers WHERE name = ?)", (_PREFIX + sink,)
        )
        return int(count)

    def standings(self) -> list[SinkRow]:
        """All sinks that follow, by name."""
        rows = self._read(
            "SELECT s.name, (SELECT count(*) FROM refused WHERE sink = s.name), "
            "(SELECT count(*) FROM files WHERE id < s.first_file AND id > s.filled), s.again_ns, s.filling, "
            "s.fills_to, s.told, s.told_ns, s.problem, s.problem_ns FROM sinks s ORDER BY s.name",
            (),
        )
        return [
            SinkRow(name, self.backlog(name), refused, unfilled, _asked(again_ns, at, upto), *rest)
            for name, refused, unfilled, again_ns, at, upto, *rest in rows
        ]

    def refusals(self, sink: str, limit: int) -> list[tuple[int, bytes, str, int]]:
        """What a sink would not take: number and library path of the file, why, and when; the newest file first."""
        rows = self._read(
            "SELECT r.file_id, f.library_path, r.reason, r.at_ns FROM refused r JOIN files f ON f.id = r.file_id "
            "WHERE r.sink = ? ORDER BY r.file_id DESC LIMIT ?",
            (sink, limit),
        )
        return [(r[0], r[1], r[2], r[3]) for r in rows]

    def lacking(self, sinks: Iterable[str], files: Collection[int]) -> dict[int, str]:
        """Of these files those that not all of these sinks have got, each with the first that has not.

        A sink that was never told anything lacks everything.
        """
        found: dict[int, str] = {}
        for sink in sinks:
            rows = self._read(_LACKING, (sink, _PREFIX + sink, json.dumps(sorted(files))))
            for (file_id,) in rows:
                found.setdefault(file_id, sink)
        return found


# The first value is the follower's name, the second whether the media steps come first: up to the next file that they
# have to look into, for of originals that went there is nothing to find out, and nobody wakes the steps for them.
_PENDING = (
    "FROM changes c JOIN files f ON f.id = c.file_id LEFT JOIN findings n ON n.hash = f.hash "  # noqa: S608
    "WHERE c.seq > (SELECT seq FROM followers WHERE name = ?) "
    "AND (NOT ? OR c.seq < coalesce((SELECT min(seq) FROM changes WHERE what = 'stored' "
    f"AND seq > (SELECT seq FROM followers WHERE name = '{MEDIA}')), c.seq + 1))"
)
_BEGIN_FILLING = (
    "UPDATE sinks SET filling = 0, fills_to = coalesce((SELECT min(c.file_id) - 1 FROM changes c, followers w "
    "WHERE w.name = ?1 AND c.seq > w.seq AND c.what = 'stored'), (SELECT max(id) FROM files), 0) "
    "WHERE name = ?2 AND filling IS NULL"
)
_LACKING = """
    WITH place AS (
        SELECT s.first_file, s.filled, w.seq FROM sinks s JOIN followers w ON w.name = ?2 WHERE s.name = ?1
    )
    SELECT j.value FROM json_each(?3) j
    WHERE NOT EXISTS (SELECT 1 FROM place WHERE j.value >= first_file OR j.value <= filled)
    OR j.value IN (SELECT c.file_id FROM changes c, place WHERE c.seq > place.seq AND c.what = 'stored')
    OR j.value IN (SELECT file_id FROM refused WHERE sink = ?1)
"""


def _cut(rows: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, bool, int]]:
    """As many from the beginning as fit into a batch, one at least."""
    size, some = 0, list[tuple[int, bool, int]]()
    for seq, went, file_id, length in rows:
        size += length
        if some and size > TEXT:
            break
        some.append((seq, bool(went), file_id))
    return some


def _asked(again_ns: int | None, at: int | None, upto: int) -> Asked:
    return Asked(again_ns, None if at is None else Backfill(at, upto))


def _finding(sha256: bytes, told: str | None, problems: str | None) -> Finding:
    found: Mapping[str, Any] = json.loads(told) if told else {}
    return Finding(sha256, found, tuple(json.loads(problems)) if problems else ())
