"""Brings every event to whoever listens."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from loguru import logger

from sidecar.events.happened import Event, FileFailed, FileSkipped
from sidecar.events.types import FREQUENT
from sidecar.values import dataclass

Listener = Callable[[Event], None]
REMEMBERED = 50_000  # things said once that are not said again; the oldest are forgotten, and are news then


@dataclass(frozen=True, slots=True)
class _Ear:
    """One subscription, and the types that it is for; none for all that are not frequent."""

    listener: Listener
    kinds: frozenset[type[Event]]

    def hears(self, kind: type[Event]) -> bool:
        return kind in self.kinds if self.kinds else kind not in FREQUENT


class Bus:
    """Hands every event to every listener, in the thread that emits it. A listener must be quick.

    One that raises is a mistake of ours, which is logged: no picture is lost because nobody could be told of it.
    """

    def __init__(self) -> None:
        self._ears: tuple[_Ear, ...] = ()
        self._changing = threading.Lock()
        self._said: dict[int, None] = {}

    def subscribe(self, listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
        """Add a listener; the answer takes it away again. Safe in any thread.

        It hears these types and no others; without any, everything but the types in FREQUENT.
        """
        ear = _Ear(listener, frozenset(kinds))
        self._change(lambda ears: (*ears, ear))
        return lambda: self._change(lambda ears: tuple(one for one in ears if one is not ear))

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody would hear of it: thousands of events need not be made for nobody."""
        return any(ear.hears(kind) for ear in self._ears)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        kind = type(event)
        for ear in self._ears:
            if not ear.hears(kind):
                continue
            try:
                ear.listener(event)
            except Exception as error:
                logger.error("{} was not told everywhere: unexpected {}: {} — please report it, with what --log-level "
                             "debug adds", kind.__name__, type(error).__name__, error)  # fmt: skip
                logger.debug("{}", traceback.format_exc())

    def emit_news(self, event: FileSkipped | FileFailed) -> None:
        """Tell everybody, unless the same was said of the same file before: a pass meets it each minute."""
        mark = hash((type(event), event.source, event.root, event.path, event.reason))
        with self._changing:
            if mark in self._said:
                return
            self._said[mark] = None
            if len(self._said) > REMEMBERED:
                del self._said[next(iter(self._said))]
        self.emit(event)

    def _change(self, ears: Callable[[tuple[_Ear, ...]], tuple[_Ear, ...]]) -> None:
        with self._changing:
            self._ears = ears(self._ears)
