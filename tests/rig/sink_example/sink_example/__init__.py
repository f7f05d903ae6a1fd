"""A sink as a package of its own: it keeps a JSON file for each record in a folder, `ingest.sinks.NAME.path`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.errors import ConfigError
from sidecar.ingest.base import MediaIngest, Record, SinkDown


def make(options: Mapping[str, str]) -> MediaIngest:
    """The factory that the entry point names."""
    if not options.get("path"):
        raise ConfigError("path is missing", hint="name the folder that the files go to")
    return FolderSink(Path(options["path"]))


class FolderSink:
    """One file for each key; a later record replaces it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self) -> None:
        """Make the folder. Raises SinkDown."""
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkDown(f"{self._folder}: {error.strerror}", hint="make the folder above it") from error

    async def ingest(self, batch: Sequence[Record]) -> None:
        """Write them. Raises SinkDown."""
        for record in batch:
            part = self._folder / f".{record.key.encode().hex()[:100]}.part"
            try:
                part.write_text(json.dumps(record.as_json()), encoding="ascii")
                part.replace(self._file(record.key))
            except OSError as error:
                raise SinkDown(f"{self._folder}: {error.strerror}") from error

    async def retract(self, batch: Sequence[Record]) -> None:
        """Their state says that the original is gone."""
        await self.ingest(batch)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _file(self, key: str) -> Path:
        return self._folder / f"{key.encode().hex()[:200]}.json"
