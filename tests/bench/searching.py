"""How long a search takes: `python -m tests.bench.searching [COUNT]`, 200,000 files that were looked into.

Milliseconds by the clock of one page of 100 items, median of nine, over a connection that only reads, as the page's.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sidecar.manifest import Finding, Manifest, NewFile, Search
from sidecar.manifest.query import parse
from sidecar.models import NS, FileStat, Source

ROUNDS, AT_ONCE = 9, 1000
BEGUN = 1_790_000_000  # seconds since the epoch; a picture each minute from then on
QUERIES = (
    "", '"red fox"', "seed:1234", 'seed:1234 model:flux "red fox" after:2026-11-01 kind:video', "seed:42 fox",
    "masterpiece", "masterpiece kind:video", "model:flux source:gen3", "fox -snow", "-fox", "kind:video", "kind:audio",
    "fox state:purged", "state:purged", "fox after:2099-01-01", "fox kind:audio", "name:ComfyUI_000123", "fox name:zzz",
    "nothing at all", "kind:video model:flux prompt:mas", "after:2026-11-01 before:2026-11-02 prompt:sno",
    "name:zzz prompt:s", "blurry source:gen3",
)  # fmt: skip
_SAID = (
    "a red fox cat dog in the snow forest night day portrait masterpiece best quality highly detailed bright dark "
    "knight robot city sea girl house tree wide small tall old new green blue"
)
WORDS = _SAID.split()


def fill(state: Path, count: int) -> None:
    """Files of five sources with prompts of forty words; each fiftieth a film, each tenth with the seed 42."""
    manifest, chance = Manifest.open(state), random.Random(1)
    keys = [manifest.enter(Source(f"gen{n}", "comfyui", "docker", f"id-{n}", "c", (b"/o",), "running"), BEGUN * NS)
            for n in range(5)]  # fmt: skip
    for first in range(0, count, AT_ONCE):
        files = [NewFile(FileStat(b"%d/ComfyUI_%06d_.png" % (n // 1000, n), 1_500_000, (BEGUN + n * 60) * NS),
                         hashlib.sha256(b"%d" % n).digest(), b"gen/%d.png" % n, "image" if n % 50 else "video")
                 for n in range(first, min(count, first + AT_ONCE))]  # fmt: skip
        manifest.record(keys[first // AT_ONCE % 5], b"/o", files, BEGUN * NS)
        unread, place = manifest.findings.unread(AT_ONCE)
        assert place is not None
        found = [Finding(one.hash, {"metadata": _recipe(chance, first + n)}) for n, one in enumerate(unread)]
        manifest.findings.keep(found, place, BEGUN * NS)
    manifest.close()


def _recipe(chance: random.Random, number: int) -> dict[str, object]:
    return {"prompt": " ".join(chance.choices(WORDS, k=40)), "negative_prompt": "blurry, bad hands", "steps": 20,
            "seed": number if number % 10 else 42, "model": chance.choice(("flux1-dev", "sdxl", "illustrious")),
            "software": "ComfyUI"}  # fmt: skip


def main(count: int, say: Callable[[str], None]) -> None:
    """Measure, and say it."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count)
        search = Search(Path(folder))
        say(f"a page of {count:,} items, ms, median of {ROUNDS}:")
        for query in QUERIES:
            took = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                found = search.items(parse(query), limit=101)
                took.append((time.perf_counter() - begun) * 1000)
            say(f"{statistics.median(took):8.1f}  {len(found):3} found  {query or '(everything)'}")
        search.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000, print)
