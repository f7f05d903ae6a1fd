"""The SQL of intended purges and of what became of them, inside a transaction of the manifest's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from sidecar.manifest.rows import SourceKey
from sidecar.models import PurgeOutcome

Ended = tuple[int, PurgeOutcome, str]  # file id, outcome, detail
_STATE_AFTER = {PurgeOutcome.PURGED: "purged", PurgeOutcome.GONE: "vanished", PurgeOutcome.CHANGED: "replaced"}


def add_intents(db: sqlite3.Connection, key: SourceKey, job: str, items: Iterable[tuple[int, bytes]],
                owner: tuple[int, int], now_ns: int) -> None:  # fmt: skip
    db.executemany(
        "INSERT INTO purges (job, file_id, private, generation_id, uid, gid, intended_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(job, file_id, private, key.generation_id, *owner, now_ns) for file_id, private in items],
    )


def end_intents(db: sqlite3.Connection, job: str, ended: Sequence[Ended], now_ns: int) -> None:
    db.executemany(
        "UPDATE purges SET outcome = ?, detail = ?, ended_ns = ? WHERE file_id = ? AND job = ? AND outcome IS NULL",
        [(outcome.value, detail, now_ns, file_id, job) for file_id, outcome, detail in ended
         if outcome is not PurgeOutcome.STRANDED],
    )  # fmt: skip
    db.executemany(
        "UPDATE files SET state = ?, ended_ns = ? WHERE id = ? AND state = 'stored'",
        [(_STATE_AFTER[outcome], now_ns, file_id) for file_id, outcome, _ in ended if outcome in _STATE_AFTER],
    )
