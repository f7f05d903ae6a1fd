"""What the tests of delivery share: a manifest that files come into and end in, and what a file of records holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.events import Bus
from sidecar.ingest.base import MediaIngest, Record
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.jsonlines import JsonLines
from sidecar.manifest import Finding, Manifest, NewFile, SourceKey
from sidecar.models import FileStat, PurgeOutcome, Source

ROOT = b"/output"
NOW = 10**18
LIBRARY = "library-of-the-tests"


def sha(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


class Pictures:
    """A real manifest, and what happens to the files in it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.manifest = Manifest.open(state)
        self.manifest.bind_library(LIBRARY)
        source = Source("gen", "comfyui", "docker", "id-1", "comfy", (ROOT,), "running")
        self.key: SourceKey = self.manifest.enter(source, NOW)

    @property
    def table(self) -> Any:
        return self.manifest.deliveries

    def store(self, **files: str) -> None:
        """Files by name, each with a content."""
        self.store_all({name.encode(): content for name, content in files.items()})

    def store_all(self, files: Mapping[bytes, str]) -> None:
        new = [NewFile(FileStat(path, 10, NOW), sha(content), b"gen/" + path, "image", None)
               for path, content in files.items()]  # fmt: skip
        self.manifest.record(self.key, ROOT, new, NOW)

    def number(self, name: str) -> int:
        return self.manifest.known(self.key, ROOT)[name.encode()].file_id

    def purge(self, *names: str) -> None:
        numbers = [self.number(name) for name in names]
        self.manifest.intend(self.key, "job", [(one, b"private") for one in numbers], (0, 0), NOW)
        self.manifest.conclude("job", [(one, PurgeOutcome.PURGED, "") for one in numbers], NOW)

    def vanish(self, *names: str) -> None:
        self.manifest.confirm(self.key, [], NOW, [self.number(name) for name in names])

    def distrust(self, *names: str) -> None:
        self.manifest.distrust([self.number(name) for name in names], NOW)

    def read(self, **recipes: Any) -> None:
        """What the media steps do: look into everything that is in the log; recipes by content."""
        unread, place = self.manifest.findings.unread()
        told = {sha(content): recipe for content, recipe in recipes.items()}
        found = [Finding(one.hash, {"metadata": told[one.hash]} if one.hash in told else {}) for one in unread]
        if place is not None and place >= 0:
            self.manifest.findings.keep(found, place, NOW)

    def logged(self) -> int:
        """How many changes the log holds."""
        ((count,),) = self.manifest._read("SELECT count(*) FROM changes")
        return int(count)


def way(pictures: Pictures, sink: MediaIngest | Path, name: str = "out", *, read_first: bool = False,
        bus: Bus | None = None) -> Delivery:  # fmt: skip
    """A way to a sink that follows; a path stands for a file of records."""
    pictures.table.follow([*(row.name for row in pictures.table.standings()), name])
    made = JsonLines(sink) if isinstance(sink, Path) else sink
    return Delivery(name, made, pictures.manifest, read_first=read_first, tell=(bus or Bus()).emit,
                    clock_ns=lambda: NOW)  # fmt: skip


async def asked(pictures: Pictures, one: Delivery, *, everything: bool = False) -> None:
    """What `ingest retry` and `ingest backfill` do."""
    pictures.table.ask([one.name], NOW, everything=everything)
    await one.catch_up()


def lines(path: Path) -> list[tuple[str, Record]]:
    """Every line: what it was told as, and the record."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        told = json.loads(line)
        event = told.pop("event")
        found.append((event, Record(**(told | {"problems": tuple(told["problems"])}))))
    return found


def known(path: Path) -> dict[str, Record]:
    """What a reader of the file knows: the last line of each key."""
    return {record.key: record for _, record in lines(path)}


def said(path: Path) -> list[tuple[str, str, str]]:
    """Every line as (event, path, state)."""
    return [(event, record.path, record.state) for event, record in lines(path)]
