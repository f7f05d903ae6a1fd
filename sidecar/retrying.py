"""Trying again what may succeed without anybody changing anything: with backoff and jitter, a few times."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable

import stamina
import stamina.instrumentation
from loguru import logger

from sidecar.errors import LibraryFull, MediaSyncError

ATTEMPTS = 3
FIRST_WAIT, LONGEST_WAIT, JITTER = 0.5, 5.0, 0.5  # seconds


def worth_another(error: Exception) -> bool:
    """Whether the same may succeed in a moment; a full disk does not empty itself so fast."""
    return isinstance(error, MediaSyncError) and error.transient and not isinstance(error, LibraryFull)


def _said(details: stamina.instrumentation.RetryDetails) -> None:
    error = details.caused_by
    line = error.line() if isinstance(error, MediaSyncError) else repr(error)
    logger.debug("{}; tried again in {:.1f} s", line, details.wait_for)


stamina.instrumentation.set_on_retry_hooks([_said])  # in place of a warning for each


def attempts(patient: bool) -> AsyncIterable[stamina.Attempt]:
    """`async for attempt in attempts(True): with attempt: …`; one attempt only where somebody waits for the answer."""
    return tried(worth_another, ATTEMPTS if patient else 1, FIRST_WAIT, LONGEST_WAIT, JITTER)


def tried(on: Callable[[Exception], bool], most: int, first: float, longest: float, jitter: float
          ) -> AsyncIterable[stamina.Attempt]:  # fmt: skip
    """Attempts while `on` holds for their error, with waits in seconds that double from `first` to `longest`."""
    return stamina.retry_context(on=on, attempts=most, timeout=None, wait_initial=first, wait_max=longest,
                                 wait_jitter=jitter)  # fmt: skip
