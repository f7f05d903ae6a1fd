"""Folders that contestants write to. Nothing is deleted while anybody is timed: for seconds after many files were, ext4
makes new ones up to ten times slower.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.contestants import Contestant

LARGE = 100_000  # bytes from which a copy that is done with gives its room back, though not its name


class Copies:
    """Under one folder, whose owner removes it in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """An empty folder for one run."""
        self._made += 1
        target = self._folder / f"copy-{self._made}"
        target.mkdir()
        try:
            yield target
        finally:
            _give_room_back(target)

    def home(self, contestant: Contestant, root: str) -> Path:
        """The folder that a contestant keeps what he has of a root in."""
        return self._folder / f"home-{contestant.home}-{root.rpartition('/')[2]}"

    @contextmanager
    def either(self, contestant: Contestant, root: str) -> Iterator[Path]:
        """His home, if he keeps one; an empty folder otherwise."""
        if contestant.home:
            yield self.home(contestant, root)
        else:
            with self.fresh() as target:
                yield target


def _give_room_back(folder: Path) -> None:
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if os.path.getsize(path) >= LARGE:
                os.truncate(path, 0)
