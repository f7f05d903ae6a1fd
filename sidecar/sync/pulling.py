"""Single files that somebody told of, by the same rules as a pass and without a scan."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field

from sidecar.manifest import Known, Waiting
from sidecar.media.kinds import group_ranges
from sidecar.models import Road, Scan
from sidecar.sync.diff import ALONE, EMPTY, UNFETCHED, Decision, Settling, Terms, decide, media_groups
from sidecar.sync.fetching import Fetching, require_apart
from sidecar.sync.groups import CHANGED
from sidecar.sync.report import SyncReport
from sidecar.values import dataclass


@dataclass(slots=True)
class Pulled:
    """What came of single files. The rest of them are stored, unchanged, gone, or of no interest.

    `later` maps a path to when it is worth another look, in ns since the epoch by the source's clock; `again` are
    those that failed, or miss something that may come: try them a few times more.
    """

    report: SyncReport
    later: dict[bytes, int] = field(default_factory=dict)
    again: set[bytes] = field(default_factory=set)


class Pull:
    """The state of one look at some paths of a root."""

    def __init__(self, fetching: Fetching, paths: Collection[bytes], now_ns: int) -> None:
        self._fetching = fetching
        self._paths = frozenset(paths)
        self._now_ns = now_ns

    async def run(self, pulled: Pulled) -> None:
        """Stat, decide, fetch, prove, commit. Raises what concerns the root, library or manifest as a whole."""
        at, manifest = self._fetching, self._fetching.parts.manifest
        found = await at.adapter.restat(at.root, sorted(self._paths | _folders(self._paths)))
        # not scanned, so no owner and nobody who looked: what cannot be read fails when it is read
        scan = Scan(at.root, tuple(found.values()), self._now_ns, at.adapter.capabilities.scanner)
        require_apart(at.parts.library, scan)
        beside = group_ranges(self._paths)
        near, before = await asyncio.to_thread(lambda: (manifest.known_between(at.key, at.root, beside),
                                                        manifest.waiting_at(at.key, at.root, self._paths)))  # fmt: skip
        decision = self._decide(scan, near, before)
        at.account.decided(decision, before)
        if decision.moved_on:
            await asyncio.to_thread(manifest.confirm, at.key, decision.moved_on, at.parts.clock_ns(), ())
        try:
            if decision.fetch:  # an agent is there that waits for it; and nobody knows what else a folder would bring
                await at.fetch(scan, near, decision, first=frozenset((Road.STREAM,)))
        finally:
            waiting = at.account.waiting
            if before or any(one.fetched for one in waiting.values()):  # one that is only too young, a pass meets anew
                await asyncio.to_thread(manifest.set_waiting, at.key, at.root, waiting, self._paths)
            look_again(pulled, waiting, self._now_ns, at.parts.options.settling)

    def _decide(self, scan: Scan, near: Mapping[bytes, Known], before: dict[bytes, Waiting]) -> Decision:
        at = self._fetching
        known = {path: record for path, record in near.items() if path in self._paths}
        terms = Terms(at.key.generation_id, at.source.rules, at.parts.options.settling)
        return decide(scan, known, before, terms, media_groups(near))


def look_again(pulled: Pulled, waiting: Mapping[bytes, Waiting], now_ns: int, settling: Settling) -> None:
    """Say when each path is worth another look; `waiting` is what a pull left, `now_ns` the source's clock."""
    failed = {problem.path for problem in pulled.report.failed}
    pulled.again |= {problem.path for problem in pulled.report.skipped if problem.reason == ALONE} | failed
    for path, one in waiting.items():
        if path not in failed and (due_ns := worth_a_look(one, now_ns, settling)) is not None:
            pulled.later[path] = due_ns


def worth_a_look(one: Waiting, now_ns: int, settling: Settling) -> int | None:
    """When a file that waits may have settled; None where its time does not tell."""
    if one.reason in (EMPTY, UNFETCHED):  # who fills an empty file closes it again; a failure is no matter of time
        return None
    soon, quiet_at = now_ns + settling.quiet_ns, one.mtime_ns + settling.quiet_ns
    if one.fetched:
        return max(one.mtime_ns + settling.incomplete_ns, soon)
    return quiet_at if one.reason != CHANGED and now_ns < quiet_at <= soon else soon


def _folders(paths: Iterable[bytes]) -> set[bytes]:
    """Every folder on the way to these paths, the root left out."""
    found: set[bytes] = set()
    for path in paths:
        at = path.find(b"/")
        while at >= 0:
            found.add(path[:at])
            at = path.find(b"/", at + 1)
    return found
