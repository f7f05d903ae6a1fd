"""Trying again what may succeed without anybody changing anything: with backoff and jitter, a few times."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from loguru import logger

from sidecar.errors import LibraryFull, MediaSyncError

if TYPE_CHECKING:
    from stamina.instrumentation import RetryDetails

ATTEMPTS = 3
FIRST_WAIT, LONGEST_WAIT, JITTER = 0.5, 5.0, 0.5  # seconds


def worth_another(error: Exception) -> bool:
    """Whether the same may succeed in a moment; a full disk does not empty itself so fast."""
    return isinstance(error, MediaSyncError) and error.transient and not isinstance(error, LibraryFull)


def _said(details: RetryDetails) -> None:
    error = details.caused_by
    line = error.line() if isinstance(error, MediaSyncError) else repr(error)
    logger.debug("{}; tried again in {:.1f} s", line, details.wait_for)


def attempts(patient: bool) -> AsyncIterable[AbstractContextManager[object]]:
    """`async for attempt in attempts(True): with attempt: …`; one attempt only where somebody waits for the answer."""
    return tried(worth_another, ATTEMPTS, FIRST_WAIT, LONGEST_WAIT, JITTER) if patient else _once()


async def _once() -> AsyncIterator[AbstractContextManager[object]]:
    yield nullcontext()


def tried(on: Callable[[Exception], bool], most: int, first: float, longest: float, jitter: float
          ) -> AsyncIterable[AbstractContextManager[object]]:  # fmt: skip
    """Attempts while `on` holds for their error, with waits in seconds that double from `first` to `longest`."""
    import stamina  # who tries once needs none of it

    stamina.instrumentation.set_on_retry_hooks([_said])  # in place of a warning for each
    return stamina.retry_context(on=on, attempts=most, timeout=None, wait_initial=first, wait_max=longest,
                                 wait_jitter=jitter)  # fmt: skip
