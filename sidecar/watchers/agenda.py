"""When which file is worth a look. Times are ns of the source's own clock; nothing waits here."""

from __future__ import annotations

import heapq
from collections import defaultdict

from sidecar.models import NS
from sidecar.values import dataclass

TRIES = 5  # after which a file that keeps failing is left to the next pass
FIRST_NS = 2 * NS  # before the first of them, doubled for each
MOST = 20_000  # files that are remembered; more than that are for a scan
AT_ONCE = 500  # files of one look
SLACK_NS = NS // 50  # who wakes a little early takes what is due a little later along

Spot = tuple[bytes, bytes]  # root and path


@dataclass(slots=True)
class _Entry:
    due_ns: int
    tries: int = 0


class Agenda:
    """Files by when they are due. One that is noted again has its new time only."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._entries: dict[Spot, _Entry] = {}
        self._heap: list[tuple[int, Spot]] = []  # also holds times that do not count any more

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, root: bytes, path: bytes, due_ns: int) -> bool:
        """Look at it then; False when there is no room to remember it."""
        if len(self._entries) >= self._most and (root, path) not in self._entries:
            return False
        self._put((root, path), _Entry(due_ns))
        return True

    def again(self, root: bytes, path: bytes, tries: int, now_ns: int) -> bool:
        """Try once more what failed `tries` times before, with growing pauses; False when it was tried often enough.

        What was noted meanwhile has its own time already.
        """
        if tries + 1 >= TRIES:
            return False
        if (root, path) not in self._entries:
            self._put((root, path), _Entry(now_ns + (FIRST_NS << tries), tries + 1))
        return True

    def due(self, now_ns: int) -> dict[bytes, dict[bytes, int]]:
        """Take what is due: path -> how often it failed, per root; no more than can be looked at together."""
        taken: dict[bytes, dict[bytes, int]] = defaultdict(dict)
        count = 0
        while count < AT_ONCE and (at := self.next_ns()) is not None and at <= now_ns + SLACK_NS:
            _, spot = heapq.heappop(self._heap)
            taken[spot[0]][spot[1]] = self._entries.pop(spot).tries
            count += 1
        return dict(taken)

    def next_ns(self) -> int | None:
        """When the first one is due; None when there is none."""
        while self._heap:
            due_ns, spot = self._heap[0]
            entry = self._entries.get(spot)
            if entry is not None and entry.due_ns == due_ns:
                return due_ns
            heapq.heappop(self._heap)
        return None

    def _put(self, spot: Spot, entry: _Entry) -> None:
        before = self._entries.get(spot)
        self._entries[spot] = entry
        if before is None or before.due_ns != entry.due_ns:
            heapq.heappush(self._heap, (entry.due_ns, spot))
        if len(self._heap) > 2 * len(self._entries) + 1000:
            self._heap = [(one.due_ns, spot) for spot, one in self._entries.items()]
            heapq.heapify(self._heap)
