"""The SQL of intended purges and of what became of them, inside a transaction of the manifest's."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
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
    """Nearly all end alike, so that a statement for each kind of end is enough."""
    alike: dict[tuple[PurgeOutcome, str], list[int]] = defaultdict(list)
    for file_id, outcome, detail in ended:
        alike[outcome, detail].append(file_id)
    for (outcome, detail), file_ids in alike.items():
        some = json.dumps(file_ids)
        if outcome is not PurgeOutcome.STRANDED:
            db.execute(
                "UPDATE purges SET outcome = ?, detail = ?, ended_ns = ? WHERE job = ? AND outcome IS NULL "
                "AND file_id IN (SELECT value FROM json_each(?))",
                (outcome.value, detail, now_ns, job, some),
            )
        if outcome in _STATE_AFTER:
            db.execute(
                "UPDATE files SET state = ?, ended_ns = ? WHERE state = 'stored' "
                "AND id IN (SELECT value FROM json_each(?))",
                (_STATE_AFTER[outcome], now_ns, some),
            )
