"""Re-reads the copies in the library and compares them with what the manifest says they are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from typing import Any

from loguru import logger

from sidecar.errors import Cancelled, UnknownSource
from sidecar.events import Bus, FileVerified, Outcome
from sidecar.jobs.waiting import finished
from sidecar.library import Library
from sidecar.manifest import Manifest, Recorded
from sidecar.models import shown
from sidecar.progress import FileCount, ProgressManager, by_folder
from sidecar.values import dataclass

READERS = 2  # copies that are read at the same time: a disk has other things to do
PAGE = 200  # copies that are asked of the manifest at once
LISTED = 1000  # problems that a report names
MISSING = "missing"
_PIECE = 1 << 20  # bytes between two looks at whether to stop


@dataclass(slots=True)
class VerifyReport:
    """What re-reading the copies of one source found. `missing` and `damaged` are copies, `forgotten` files.

    Forgotten is what is pulled again by the next sync, where its original is still there. `given_up` are copies that
    are missing because somebody deleted them on purpose, and said so.
    """

    name: str
    checked: int = 0
    size: int = 0
    missing: int = 0
    damaged: int = 0
    forgotten: int = 0
    given_up: int = 0
    seconds: float = 0.0
    problems: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Copies that are missing or damaged and that no sync brings again."""
        return self.missing + self.damaged - self.forgotten

    @property
    def ok(self) -> bool:
        """Whether every copy is what it should be."""
        return not self.missing and not self.damaged

    def as_json(self, most: int | None = None) -> dict[str, Any]:
        """The object that `verify --json` prints for a source, with no more than `most` problems in it."""
        told = {
            "name": self.name,
            "ok": self.ok,
            "checked": self.checked,
            "bytes": self.size,
            "missing": self.missing,
            "damaged": self.damaged,
            "forgotten": self.forgotten,
            "given_up": self.given_up,
            "seconds": round(self.seconds, 3),
            "problems": [{"path": shown(path), "reason": reason} for path, reason in self.problems[:most]],
        }
        more = self.missing + self.damaged - len(self.problems[:most])
        return told | {"problems_more": more} if more else told


class VerifyEngine:
    """Reads and compares. Changes nothing but what the manifest believes to be stored."""

    def __init__(self, library: Library, manifest: Manifest, bus: Bus, clock_ns: Callable[[], int] = time.time_ns, *,
                 accept_missing: bool = False) -> None:  # fmt: skip
        """`accept_missing`: copies that are missing, and whose originals are gone, were deleted on purpose."""
        self._library = library
        self._manifest = manifest
        self._bus = bus
        self._clock_ns = clock_ns
        self._accept_missing = accept_missing

    async def run(self, job: str, names: Sequence[str], without: Sequence[str], progress: ProgressManager, *,
                  dry_run: bool = False) -> list[VerifyReport]:  # fmt: skip
        """Verify the copies of the named sources, or of all that ever were. In a dry run nothing is forgotten.

        Raises UnknownSource, LibraryUnsafe. When it is cancelled, reading ends within the moment.
        """
        known = {t.name: t for t in await asyncio.to_thread(self._manifest.totals)}
        for name in names:
            if name.lower() not in known:
                hint = f"there are {', '.join(known)}" if known else "nothing is stored yet"
                raise UnknownSource(f"nothing was ever stored from a source {name}", hint=hint)
        wanted = sorted({name.lower() for name in names} or known.keys() - set(without))
        reports = []
        for name in wanted:
            with logger.contextualize(source=name):
                all_of_it = known[name]
                count = all_of_it.stored + all_of_it.purged + all_of_it.vanished
                progress.expect(count, all_of_it.bytes, name, kind="verify")
                try:
                    reports.append(await self._source(job, name, progress, dry_run=dry_run))
                finally:
                    progress.finish(name)
        return reports

    async def _source(self, job: str, name: str, progress: ProgressManager, *, dry_run: bool) -> VerifyReport:
        report, started = VerifyReport(name), time.monotonic()
        stop, seen = threading.Event(), set[int]()
        before: int | None = None
        loop = asyncio.get_running_loop()
        readers = ThreadPoolExecutor(READERS, "verify")
        try:
            while page := await asyncio.to_thread(self._manifest.recorded, name, before, PAGE):
                before = page[-1].file_id
                copies = _new_places(page, seen)
                await asyncio.to_thread(self._library.check_marker)
                spared = sum(copy.size for copy in copies) - sum(copy.size for copy in page)
                folders = by_folder((copy.library_path, copy.size) for copy in copies)
                progress.expect(len(copies) - len(page), spared, name, folders, kind="verify")
                reasons = await asyncio.gather(
                    *(loop.run_in_executor(readers, self._wrong, copy, name, progress, stop) for copy in copies)
                )
                await self._account(report, copies, reasons, dry_run=dry_run)
                self._tell(job, name, copies, reasons)
        finally:
            stop.set()
            await finished(asyncio.to_thread(readers.shutdown))
        report.seconds = time.monotonic() - started
        return report

    def _wrong(self, copy: Recorded, source: str, progress: ProgressManager, stop: threading.Event) -> str:
        """What is wrong with a copy; "" when its bytes, re-read from disk, are those of the manifest."""
        count = progress.begin(source, copy.library_path, copy.size)
        try:
            return self._compare(copy, count, stop)
        finally:
            count.done()

    def _compare(self, copy: Recorded, count: FileCount, stop: threading.Event) -> str:
        fd = self._library.open_copy(copy.library_path)
        if fd is None:
            count.advance(copy.size)
            return MISSING
        try:
            digest, size = _digest(fd, count, stop)
        except OSError as error:
            return f"damaged: {(error.strerror or str(error)).lower()}"
        finally:
            os.close(fd)
        if size != copy.size:
            return f"damaged: {size} bytes in place of {copy.size}"
        return "" if digest == copy.hash else "damaged: other content"

    async def _account(self, report: VerifyReport, page: Sequence[Recorded], reasons: Sequence[str], *,
                       dry_run: bool) -> None:  # fmt: skip
        lost: list[int] = []
        given_up: list[Recorded] = []
        back = [copy for copy, reason in zip(page, reasons, strict=True) if copy.given_up and reason != MISSING]
        for copy, reason in zip(page, reasons, strict=True):
            report.checked += 1
            report.size += copy.size
            if not reason:
                continue
            if self._is_given_up(copy, reason):
                report.given_up += 1
                given_up += [] if copy.given_up else [copy]
                continue
            if reason == MISSING:
                report.missing += 1
            else:
                report.damaged += 1
            if copy.stored:
                lost.append(copy.file_id)
            if len(report.problems) < LISTED:
                report.problems.append((copy.library_path, reason))
        if dry_run:
            return
        if lost:
            await asyncio.to_thread(self._manifest.distrust, lost, self._clock_ns())
            report.forgotten += len(lost)
        if given_up:
            await asyncio.to_thread(self._manifest.give_up, given_up)
        if back:
            await asyncio.to_thread(self._manifest.take_back, back)

    def _is_given_up(self, copy: Recorded, reason: str) -> bool:
        """Whether it is missing, its original is gone, and somebody meant that."""
        return reason == MISSING and not copy.stored and (copy.given_up or self._accept_missing)

    def _tell(self, job: str, source: str, page: Sequence[Recorded], reasons: Sequence[str]) -> None:
        if not self._bus.wants(FileVerified):
            return
        for copy, reason in zip(page, reasons, strict=True):
            outcome: Outcome = "given_up" if self._is_given_up(copy, reason) else _outcome(reason)
            self._bus.emit(FileVerified(job, source, copy.root, copy.path, copy.library_path, copy.hash, copy.size,
                                        outcome, reason))  # fmt: skip


def _outcome(reason: str) -> Outcome:
    return "damaged" if reason not in ("", MISSING) else "missing" if reason else "good"


def _new_places(page: Sequence[Recorded], seen: set[int]) -> list[Recorded]:
    """Those whose place in the library was not met yet. A place that was given twice counts for its newest file.

    `seen` holds 64 bits of each place's hash, so that it stays small beside a library of any size.
    """
    found = []
    for copy in page:
        mark = int.from_bytes(hashlib.blake2b(copy.library_path, digest_size=8).digest())
        if mark not in seen:
            seen.add(mark)
            found.append(copy)
    return found


def _digest(fd: int, count: FileCount, stop: threading.Event) -> tuple[bytes, int]:
    """SHA-256 and size, from the disk and not from memory. Raises Cancelled."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, size = hashlib.sha256(), 0
    while piece := os.read(fd, _PIECE):
        if stop.is_set():
            raise Cancelled("cancelled")
        digest.update(piece)
        size += len(piece)
        count.advance(len(piece))
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # a library is larger than memory, and others need that
    return digest.digest(), size
