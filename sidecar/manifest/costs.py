"""What reads of each engine were learned to cost. See sync/costs.py, which decides what of it is believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sidecar.manifest.rows import CostRow

COSTS_KEPT = 200  # rows, the newest: engines come and go, and every update of one is another


class CostTable:
    """The part of the manifest that remembers costs. Made by it, and locked with it."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
                 read: Callable[[str, Sequence[object]], list[tuple[Any, ...]]]) -> None:  # fmt: skip
        self._transaction = transaction
        self._read = read

    def load(self, engine: str) -> dict[str, CostRow]:
        """What was learned of one engine, by road."""
        rows = self._read(
            "SELECT road, start, per_byte, per_file, seen, learned_ns FROM costs WHERE engine = ?", (engine,)
        )
        return {r[0]: CostRow(*r) for r in rows}

    def keep(self, engine: str, rows: Iterable[CostRow]) -> None:
        """Replace what is known of some of an engine's roads."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((engine, r.road, r.start, r.per_byte, r.per_file, r.seen, r.learned_ns) for r in rows),
            )
            db.execute(
                "DELETE FROM costs WHERE (engine, road) NOT IN "
                "(SELECT engine, road FROM costs ORDER BY learned_ns DESC LIMIT ?)",
                (COSTS_KEPT,),
            )
