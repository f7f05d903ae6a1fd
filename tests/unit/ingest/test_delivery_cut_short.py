"""Whatever happens to files, and wherever a process is killed while it tells of that: what a sink knows is true."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.ingest.base import Record, SinkDown
from sidecar.ingest.delivery import Delivery
from sidecar.ingest.jsonlines import JsonLines
from sidecar.manifest import Manifest, deliveries
from tests.unit.ingest.telling import Pictures, asked, known, lines, sha, way

NAMES = ("a", "b", "c")
CONTENTS = ("1", "2")
PLACES = ("before", "after", "half", "kept")


class Killed(BaseException):
    """The end of a process: nobody handles it."""


class Mortal(JsonLines):
    """The real sink, in a process that ends in the `calls`-th call: before it, after it, or with half a line written.

    Also down then, in place of dead.
    """

    def __init__(self, path: Path, calls: int, where: str, *, down: bool) -> None:
        super().__init__(path)
        self._file = path
        self._calls = calls
        self._where = where
        self._end: type[BaseException] = SinkDown if down else Killed

    async def ingest(self, batch: Sequence[Record]) -> None:
        await self._mortal(super().ingest, batch)

    async def retract(self, batch: Sequence[Record]) -> None:
        await self._mortal(super().retract, batch)

    async def _mortal(self, call: Any, batch: Sequence[Record]) -> None:
        self._calls -= 1
        if self._calls == 0 and self._where == "before":
            raise self._end("killed")
        await call(batch)
        if self._calls == 0 and self._where == "half":
            whole = self._file.read_bytes()
            self._file.write_bytes(whole[: len(whole) - len(whole.splitlines()[-1]) // 2])
            raise self._end("killed")
        if self._calls == 0 and self._where == "after":
            raise self._end("killed")


STEP = st.one_of(
    st.tuples(st.just("store"), st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CONTENTS), min_size=1)),
    st.tuples(st.sampled_from(["purge", "vanish", "distrust"]), st.sampled_from(NAMES)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(
        st.sampled_from(["catch_up", "retry", "backfill"]),
        st.one_of(st.none(), st.tuples(st.integers(1, 4), st.sampled_from(PLACES), st.booleans())),
    ),
)


def now(manifest: Manifest) -> dict[tuple[str, str], str]:
    """Every place and content that was ever stored, with the state of its newest row."""
    rows = manifest._read("SELECT CAST(path AS TEXT), lower(hex(hash)), state FROM files ORDER BY id")
    return {(path, hash_): state for path, hash_, state in rows}


def there(pictures: Pictures, name: str) -> bool:
    return name.encode() in pictures.manifest.known(pictures.key, b"/output")


def whole(out: Path) -> bool:
    """Whether the last line of the file, if any, was written to its end."""
    return not out.exists() or out.read_bytes().endswith(b"\n") or not out.stat().st_size


async def told(pictures: Pictures, one: Delivery, what: str) -> None:
    if what == "catch_up":
        await one.catch_up()
    else:
        await asked(pictures, one, everything=what == "backfill")


async def deliver(pictures: Pictures, out: Path, what: str, fault: Any, *, read_first: bool) -> None:
    """One process that tells: it begins with what is on disk, and may be killed."""
    before = len(lines(out)) if whole(out) else None
    if fault is None:
        one = way(pictures, out, read_first=read_first)
        await told(pictures, one, what)
    else:
        calls, where, down = fault
        one = way(pictures, Mortal(out, calls, where, down=down), read_first=read_first)
        with pytest.MonkeyPatch.context() as patch:
            if where == "kept":  # killed after the sink took it, while that is recorded
                kept = one._table.keep
                left = [calls]

                def keep(*args: Any, **named: Any) -> None:
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    kept(*args, **named)

                patch.setattr(one._table, "keep", keep)
            with suppress(Killed, SinkDown):  # that is what was asked for
                await told(pictures, one, what)
    if before is not None and whole(out):
        true = now(pictures.manifest)
        for _, record in lines(out)[before:]:
            assert record.state == true[record.path, record.hash], "what is told is how it is now"


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=14), st.booleans(), st.integers(1, 3))
def test_what_a_sink_knows_is_true_in_the_end(steps: list[Any], read_first: bool, at_once: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "RECORDS", at_once)
        out, pictures = Path(folder) / "out.jsonl", Pictures(Path(folder) / "state")
        pictures.table.follow(["out"])

        async def all_steps() -> None:
            for what, how in steps:
                if what == "store":
                    pictures.store(**how)
                elif what == "read":
                    pictures.read(**{content: {"prompt": content} for content in CONTENTS})
                elif what in ("catch_up", "retry", "backfill"):
                    await deliver(pictures, out, what, how, read_first=read_first)
                elif there(pictures, how):
                    getattr(pictures, what)(how)
            while read_first and behind(pictures):
                pictures.read(**{content: {"prompt": content} for content in CONTENTS})
            await way(pictures, out, read_first=False).catch_up()

        try:
            asyncio.run(all_steps())
            found = {(r.path, r.hash): r.state for r in known(out).values()}
            assert found == now(pictures.manifest)
            assert len(known(out)) == len(found), "one key for one content in one place"
            assert pictures.table.backlog("out") == 0
            everything = [n for (n,) in pictures.manifest._read("SELECT id FROM files")]
            assert pictures.table.lacking(["out"], everything) == {}
            for name in NAMES:
                first = [r for r in lines(out) if r[1].path == name][:1]
                assert all(event == "ingest" for event, _ in first), "it is told of before it ends"
            if read_first:
                prompts = {sha(content).hex(): content for content in CONTENTS}
                assert all(r.metadata == {"prompt": prompts[r.hash]} for r in known(out).values())
        finally:
            pictures.manifest.close()


def behind(pictures: Pictures) -> bool:
    """Whether the media steps are behind a file that was stored."""
    ((count,),) = pictures.manifest._read(
        "SELECT count(*) FROM changes WHERE what = 'stored' AND seq > (SELECT seq FROM followers WHERE name = 'media')"
    )
    return bool(count)
