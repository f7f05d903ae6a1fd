"""What is done, and how often: contestants alternate within each round, and what each of them brought is looked at."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import corpus
from tests.bench.content import BOTH, FILM, GB, KB, LARGE, SMALL, TINY, TOP, Content, Sizes
from tests.bench.contestants import CONTESTANTS, Contestant, Drain, MediaSync, ServicePass, Stand
from tests.bench.copies import Copies
from tests.bench.corpus import Amount
from tests.bench.latency import Waits, Watch
from tests.bench.measuring import Command, Failed, Run, run
from tests.rig.proxy import EngineProxy

VAST = 2 * GB  # bytes from which only media-sync's are counted: the others read no more than there is
IN_CONTAINER = (
    'cd "$1" && find . -type f -print0 | xargs -0 sha256sum >/dev/null && find . -type f -print0 | xargs -0 rm'
)


@dataclass(slots=True)
class Record:
    """What one contestant did in one workload. `received`: bytes from the engine's socket, in a run of its own."""

    runs: list[Run] = field(default_factory=list)
    received: int | None = None
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """One workload: what is there, how much of it is new, and everybody's record."""

    title: str
    amount: Amount
    new: Amount | None = None
    records: dict[str, Record] = field(default_factory=dict)
    waits: dict[str, list[Waits]] = field(default_factory=dict)

    def record(self, name: str) -> Record:
        """A contestant's own."""
        return self.records.setdefault(name, Record())


class Bench:
    """One container, one folder for copies, and the workloads on them, each of `times` rounds."""

    def __init__(self, stand: Stand, folder: Path, sizes: Sizes, times: int) -> None:
        self._stand, self._times = stand, times
        self._content = Content(stand, sizes)
        self._copies = Copies(folder)

    def workloads(self) -> dict[str, Callable[[], Outcome]]:
        """By the names that `--only` takes, in the order that they are run in."""
        return {
            "A": partial(self.first_pull, "first pull of files of 1.5 MB", LARGE),
            "B": partial(self.first_pull, "first pull of files of 8 KB", SMALL),
            "freeze": self.freeze,
            "C": partial(self.no_change, "no change over A and B", BOTH),
            "D": self.little_new,
            "E": partial(self.first_pull, "first pull of one film", FILM),
            "F": partial(self.no_change, "no change over very many files", TINY),
            "G": self.purge,
        }

    def first_pull(self, title: str, root: str) -> Outcome:
        """Everything into an empty folder."""
        outcome = self._begun(title, root)
        for contestant in self._rounds(title, CONTESTANTS):
            with self._copies.fresh() as target:
                self._timed(outcome, contestant, root, target)
        for contestant in CONTESTANTS:
            wanted = outcome.amount.bytes < VAST or contestant.name == MediaSync.name
            if contestant.socket and wanted:
                with self._copies.fresh() as target:
                    self._counted(outcome, contestant, root, target)
        return outcome

    def freeze(self) -> Outcome:
        """How long others wait for the container during A. Idle is what they wait for while nobody copies."""
        title = "freeze during A"
        outcome = self._begun(title, LARGE)
        with self._watch() as waits:
            time.sleep(min(3.0, 0.5 * self._times))
        outcome.waits["idle"] = [waits]
        for contestant in self._rounds(title, CONTESTANTS, min(3, self._times)):
            with self._copies.fresh() as target, self._watch() as waits:
                self._timed(outcome, contestant, LARGE, target)
            outcome.waits.setdefault(contestant.name, []).append(waits)
        return outcome

    def no_change(self, title: str, root: str) -> Outcome:
        """Once more, for those who keep what they have."""
        outcome = self._begun(title, root)
        outcome.new = Amount()
        self._settled(root, outcome.amount)
        some = [c for c in (*CONTESTANTS, ServicePass()) if c.home]
        for contestant in self._rounds(title, some):
            self._timed(outcome, contestant, root, self._copies.home(contestant, root))
        self._counted(outcome, MediaSync(), root, self._copies.home(MediaSync(), root))
        return outcome

    def little_new(self) -> Outcome:
        """1 % new. Who keeps nothing copies everything again. One more round is for counting bytes."""
        title = "1 % new over A and B"
        outcome = self._begun(title, BOTH)
        self._settled(BOTH, outcome.amount)
        some = [c for c in CONTESTANTS if c.name != Drain.name]
        for number, turn in enumerate(self._turns(title, some, self._times + 1)):
            outcome.new = self._content.add_new()
            outcome.amount = outcome.amount + outcome.new
            for contestant in turn:
                with self._copies.either(contestant, BOTH) as target:
                    if number < self._times:
                        self._timed(outcome, contestant, BOTH, target)
                    elif contestant.socket:
                        self._counted(outcome, contestant, BOTH, target)
                    else:
                        self._pull(outcome, contestant, BOTH, target, self._stand)
        return outcome

    # -- purge ------------------------------------------------------------------------------------------------------

    def purge(self) -> Outcome:
        """Both get files of their own, made anew in each round. One more round is for counting bytes."""
        title, ours, theirs = "purge of verified files of 8 KB", f"{TOP}/G/ours", f"{TOP}/G/theirs"
        outcome = Outcome(title, Amount(self._content.sizes.old, self._content.sizes.old * 8 * KB))
        for number in range(self._times + 1):
            self._content.add_old(ours)
            with self._copies.fresh() as target:
                run(MediaSync().command(self._stand, ours, target))
                if number == self._times:
                    with self._proxy() as proxy:
                        self._purge(outcome, self._stand.through(proxy.host), ours, target)
                        outcome.record(MediaSync.name).received = proxy.passed
                    break
                _say(title, number, self._times)
                self._content.add_old(theirs)
                turn = [partial(self._purge_ours, outcome, ours, target), partial(self._purge_theirs, outcome, theirs)]
                for step in turn if number % 2 else reversed(turn):
                    step()
        return outcome

    def _purge_ours(self, outcome: Outcome, root: str, target: Path) -> None:
        outcome.record(MediaSync.name).runs.append(self._purge(outcome, self._stand, root, target))

    def _purge(self, outcome: Outcome, stand: Stand, root: str, target: Path) -> Run:
        options = ["--older-than", "24h", "--keep-newest", "0", "--allow-empty"]
        done = run(MediaSync().job(stand, root, target, "purge", *options))
        outcome.record(MediaSync.name).report = report = json.loads(done.out)["sources"][0]
        self._gone(MediaSync.name, root, str(report["kept"]))
        return done

    def _purge_theirs(self, outcome: Outcome, root: str) -> None:
        name = "sha256sum + rm"
        argv = ["docker", "-H", self._stand.host, "exec", self._stand.made.name, "sh", "-c", IN_CONTAINER, "-", root]
        outcome.record(name).runs.append(run(Command(argv, Path("/"), dict(os.environ))))
        self._gone(name, root)

    def _gone(self, name: str, root: str, why: str = "") -> None:
        if left := corpus.amount(self._content.path(root)).files:
            raise Failed(f"{name} left {left} files in {root} {why}")

    # -- rounds and runs --------------------------------------------------------------------------------------------

    def _begun(self, title: str, root: str) -> Outcome:
        print(f"· {title}: making the files", file=sys.stderr, flush=True)
        return Outcome(title, self._content.ready(root))

    def _turns(self, title: str, some: Sequence[Contestant], times: int = 0) -> Iterator[Sequence[Contestant]]:
        """Everybody once in each round; who is first changes."""
        for number in range(times or self._times):
            _say(title, number, times or self._times)
            first = number % len(some)
            yield [*some[first:], *some[:first]]

    def _rounds(self, title: str, some: Sequence[Contestant], times: int = 0) -> Iterator[Contestant]:
        for turn in self._turns(title, some, times):
            yield from turn

    def _timed(self, outcome: Outcome, contestant: Contestant, root: str, target: Path) -> None:
        found = self._pull(outcome, contestant, root, target, self._stand)
        record = outcome.record(contestant.name)
        if contestant.name == ServicePass.name:
            found = replace(found, seconds=record.report["pass_seconds"])
        record.runs.append(found)

    def _counted(self, outcome: Outcome, contestant: Contestant, root: str, target: Path) -> None:
        """Bytes received, in a run that is not timed."""
        with self._proxy() as proxy:
            self._pull(outcome, contestant, root, target, self._stand.through(proxy.host))
            outcome.record(contestant.name).received = proxy.passed

    def _pull(self, outcome: Outcome, contestant: Contestant, root: str, target: Path, stand: Stand) -> Run:
        """One run, and a look at what it brought. Raises Failed."""
        found = run(contestant.command(stand, root, target))
        if contestant.home == MediaSync.home:
            outcome.record(contestant.name).report = json.loads(found.out)["sources"][0]
            target = target / "library" / "bench"
        if contestant.name != Drain.name and (there := corpus.amount(target)) != outcome.amount:
            raise Failed(f"{contestant.name} brought {there} of {outcome.amount}")
        return replace(found, out="")

    def _settled(self, root: str, amount: Amount) -> None:
        """Everybody who keeps what he has gets everything once."""
        for contestant in CONTESTANTS:
            home = self._copies.home(contestant, root)
            if contestant.home and not home.exists():
                print(f"· {contestant.name}: first pull of {amount.files:,} files", file=sys.stderr, flush=True)
                home.mkdir()
                self._pull(Outcome("", amount), contestant, root, home, self._stand)

    def _watch(self) -> Watch:
        return Watch(self._stand.host, self._stand.made.id)

    def _proxy(self) -> EngineProxy:
        return EngineProxy(Path(self._stand.host.removeprefix("unix://")).with_name("counted.sock"), self._stand.host)


def _say(title: str, number: int, times: int) -> None:
    print(f"· {title}: round {number + 1} of {times}", file=sys.stderr, flush=True)
