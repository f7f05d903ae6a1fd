"""How the sinks of the settings stand, from the manifest alone: for `status`, here and over HTTP."""

from __future__ import annotations

from typing import Any

from sidecar.config import IngestSettings, SinkSettings
from sidecar.manifest import Manifest, SinkRow
from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """A sink as it is configured, and as it stands; `row` is None for one that was never tried."""

    name: str
    settings: SinkSettings
    row: SinkRow | None

    @property
    def problem(self) -> str:
        """What keeps it from being told; "" when nothing does."""
        return "not tried yet" if self.row is None else self.row.problem or ""

    def as_json(self) -> dict[str, Any]:
        """The shape of `status --json` and `ingest status --json`. Times in ns since the epoch, counts of files."""
        row = self.row or SinkRow(self.name)
        filling = row.asked.filling
        return {
            "name": self.name,
            "type": self.settings.type or self.name,
            "required": self.settings.required,
            "backlog": row.backlog,
            "refused": row.refused,
            "unfilled": row.unfilled,
            "retrying": row.asked.again_ns is not None,
            "filling": None if filling is None else {"at": filling.at, "upto": filling.upto},
            "told": row.told,
            "told_ns": row.told_ns,
            "problem": self.problem or None,
            "problem_ns": row.problem_ns,
        }


def standings(settings: IngestSettings, manifest: Manifest | None) -> list[Standing]:
    """Every sink of the settings, in their order."""
    rows = {row.name: row for row in manifest.deliveries.standings()} if manifest and settings.sinks else {}
    return [Standing(name, one, rows.get(name)) for name, one in settings.sinks.items()]
