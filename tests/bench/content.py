"""What lies in the container for each workload: made when first asked for, read into the page cache before each use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import corpus
from tests.bench.contestants import Stand
from tests.bench.corpus import Amount, Maker, Named

TOP = "/bench"
BOTH = f"{TOP}/AB"
LARGE, SMALL, FILM, TINY = f"{BOTH}/A", f"{BOTH}/B", f"{TOP}/E", f"{TOP}/F"
KB, MB, GB = 1_000, 1_000_000, 1_000_000_000
FOLDERS = 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is of everything; the default is the real thing."""

    large: int = 1_000  # files of 1.5 MB
    small: int = 20_000  # files of 8 KB
    film: int = 4 * GB  # bytes
    tiny: int = 200_000  # files that nothing happens to
    old: int = 10_000  # files to purge

    def scaled(self, share: float) -> Sizes:
        """The same, smaller, with at least one file for each folder that has to have one."""
        return Sizes(
            large=max(10, int(self.large * share)),
            small=max(2 * FOLDERS, int(self.small * share)),
            film=max(MB, int(self.film * share)),
            tiny=max(100, int(self.tiny * share)),
            old=max(20, int(self.old * share)),
        )


class Content:
    """The roots in one container. Files are made from outside, through the folder that root on this machine sees."""

    def __init__(self, stand: Stand, sizes: Sizes) -> None:
        self.sizes = sizes
        self._stand = stand
        self._seeds = 0
        self._filled: dict[str, Amount] = {}

    def path(self, root: str) -> Path:
        """A root as a folder of this machine."""
        return Path(self._stand.inside + root)

    def ready(self, root: str) -> Amount:
        """What a root holds, all of it in the page cache."""
        if root == BOTH:
            return self.ready(LARGE) + self.ready(SMALL)
        if root not in self._filled:
            self._filled[root] = self._makers()[root](self.path(root))
        corpus.warm(self.path(root))
        return self._filled[root]

    def _makers(self) -> dict[str, Callable[[Path], Amount]]:
        return {LARGE: self._large, SMALL: self._small, TINY: self._tiny, FILM: self._film}

    def _large(self, at: Path) -> Amount:
        names = [f"{n % 10:02d}/ComfyUI_{n:05d}_.png" for n in range(self.sizes.large)]
        return self._write(at, names, 1_500 * KB, corpus.png)

    def _small(self, at: Path) -> Amount:
        names = [f"{n % FOLDERS:02d}/{n:05d}-{n}.jpg" for n in range(self.sizes.small)]
        return self._write(at, names, 8 * KB, corpus.jpeg)

    def _tiny(self, at: Path) -> Amount:
        names = [f"{n // 1000:03d}/ComfyUI_{n:06d}_.png" for n in range(self.sizes.tiny)]
        return self._write(at, names, 400, corpus.png)

    def _film(self, at: Path) -> Amount:
        return corpus.write_film(at / "film.mp4", self.sizes.film)

    def add_old(self, root: str) -> Amount:
        """Files to purge, other ones each time."""
        names = [f"x_{n:05d}.png" for n in range(self.sizes.old)]
        return self._write(self.path(root), names, 8 * KB, corpus.png)

    def add_new(self) -> Amount:
        """1 % more of A and B, in ten folders of each."""
        large = [f"{n % 10:02d}/new_{self._seeds}_{n:05d}_.png" for n in range(max(10, self.sizes.large // 100))]
        small = [f"{n % 10:02d}/new_{self._seeds}_{n:05d}.jpg" for n in range(max(10, self.sizes.small // 100))]
        more = {
            LARGE: self._write(self.path(LARGE), large, 1_500 * KB, corpus.png),
            SMALL: self._write(self.path(SMALL), small, 8 * KB, corpus.jpeg),
        }
        for root, amount in more.items():
            self._filled[root] += amount
        return more[LARGE] + more[SMALL]

    def _write(self, at: Path, names: list[str], size: int, make: Maker) -> Amount:
        first, self._seeds = self._seeds, self._seeds + len(names)
        return corpus.write(at, (Named(name, size, first + n) for n, name in enumerate(names)), make)
