"""Puts the parts together: what a command works with, and the loop of `serve`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from loguru import logger

from sidecar.config import Loaded, format_duration
from sidecar.desk import JobDesk
from sidecar.errors import ManifestDamaged, MediaSyncError
from sidecar.jobs import Action, Cause, JobState, Request
from sidecar.locks import LOCK, is_locked
from sidecar.manifest import Manifest
from sidecar.models import NS
from sidecar.progress import View
from sidecar.workspace import Workspace, open_workspace

DEFAULT_EVERY_NS = 60 * NS
BEAT = 15.0  # seconds between signs of life while a pass is under way
GRACE_NS = 2 * 60 * NS  # several beats: a busy disk may hold one up


async def serve(
    loaded: Loaded, env: Mapping[str, str], view: Callable[[], View], next_pass: Callable[[], None]
) -> None:
    """Pass after pass until cancelled. What may mend by itself, or by an operator's hand, is logged and tried again.

    `view` makes the view of one pass, `next_pass` is told that one begins. Raises Locked and LibraryUnsafe at the
    start, ManifestDamaged at any time: a manifest that lies must not go on deciding.
    """
    every = loaded.settings.schedule.every
    every_ns = DEFAULT_EVERY_NS if every is None else every
    async with open_workspace(loaded, env) as work:
        purging = "and purging what is proven and old" if work.settings.purge.enabled else "not purging"
        logger.info(
            "serving: a pass every {}, {}, library {}", format_duration(every_ns), purging, work.settings.library
        )
        sign, well = sign_of_life(work.manifest, every_ns), True
        async with JobDesk(work.orchestrator, work.tools, view) as desk, _http(work, desk):
            cause = Cause.START
            while True:
                begun = time.monotonic()
                next_pass()
                async with signs_of_life(sign):
                    done = await desk.wait(desk.submit(Request(Action.RUN, cause)).id)
                if done.state is JobState.DONE and not well:
                    logger.info("all is well again")
                well = done.state is JobState.DONE
                cause = Cause.SCHEDULE
                await asyncio.sleep(max(0.0, every_ns / NS - (time.monotonic() - begun)))


@asynccontextmanager
async def _http(work: Workspace, desk: JobDesk) -> AsyncIterator[None]:
    if not work.settings.api.enabled:
        yield
        return
    from sidecar.api.opening import answering  # heavy, and only this needs it

    async def well() -> tuple[bool, str]:
        return await asyncio.to_thread(health, work.settings.state, time.time_ns())

    async with answering(work.tools, desk, work.providers, well):
        yield


# -- health ---------------------------------------------------------------------------------------------------------


def sign_of_life(manifest: Manifest, every_ns: int) -> Callable[[], None]:
    """What leaves the sign of life that `healthcheck` looks for. Jobs up to the newest one now are none of serve's."""
    newest = next((job.number for job in manifest.jobs(1)), 0)

    def leave() -> None:
        beat = {"every_ns": every_ns, "after_job": newest, "beat_ns": time.time_ns()}
        manifest.set_note("serve", json.dumps(beat))

    return leave


@asynccontextmanager
async def signs_of_life(leave: Callable[[], None], seconds: float = BEAT) -> AsyncIterator[None]:
    """A sign before, every so many seconds while the body runs, and after it. Raises ManifestDamaged."""

    async def one() -> None:
        try:
            await asyncio.to_thread(leave)
        except ManifestDamaged:
            raise
        except MediaSyncError as error:  # a full disk: the pass meets it, too, and it may mend
            logger.error("no sign of life: {}", error.line())

    async def beat() -> None:
        with suppress(ManifestDamaged):  # raised again by the sign after the body
            while True:
                await asyncio.sleep(seconds)
                await one()

    await one()
    beating = asyncio.create_task(beat(), name="signs of life")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait([beating])
    await one()


def health(state: Path, now_ns: int) -> tuple[bool, str]:
    """Whether `serve` is alive and its last finished pass succeeded, and the sentence that says so."""
    manifest = Manifest.open_existing(state)
    if manifest is None:
        return False, f"no manifest in {state}: nothing has run yet"
    try:
        note, jobs = manifest.note("serve"), manifest.jobs(20)
    finally:
        manifest.close()
    if note is None:
        return False, "serve has not started yet"
    beat = json.loads(note)
    if not is_locked(state / LOCK):
        return False, "serve is not running"
    silence = abs(now_ns - beat["beat_ns"])  # either way: a clock that went back must not hide a serve that hangs
    if silence > 3 * beat["every_ns"] + GRACE_NS:
        return False, f"serve gave no sign of life for {silence // NS} s"
    done = next((job for job in jobs if job.ended_ns is not None and job.number > beat.get("after_job", 0)), None)
    if done is None:
        return True, "serve is at its first pass"
    if done.ok:
        return True, f"the last pass ended well {(now_ns - (done.ended_ns or 0)) // NS} s ago"
    report = json.loads(done.report or "{}")
    reasons = [report.get("problem"), *report.get("errors", []), *report.get("refused", [])]
    why = "; ".join(str(r) for r in reasons if r) or f"{report.get('failed', 0)} files failed"
    return False, f"the last pass failed: {why}"
