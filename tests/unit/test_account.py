"""What is told of a scan's decision: what is new in it, once, and nothing that nobody wants to hear."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sidecar.events import Bus, Event, FileDiscovered, FileFailed, FileRestored, FileSkipped
from sidecar.manifest import Waiting
from sidecar.models import NS, FileStat, Problem, Rules, Scan
from sidecar.sync.account import Account
from sidecar.sync.diff import UNFETCHED, UNUSABLE, Decision, Settling, Terms, decide
from sidecar.sync.report import SyncReport

NOW = 1000 * NS
TERMS = Terms(1, Rules(), Settling(2 * NS, 600 * NS))


def decision(count: int, *names: bytes, before: Mapping[bytes, Waiting] | None = None) -> Decision:
    """What is decided over so many new pictures, and files of these names."""
    files = [FileStat(b"p/%05d.png" % n, 10 + n, n + 1, n + 1) for n in range(count)]
    files += [FileStat(name, 5, 1, 10**6 + at) for at, name in enumerate(names)]
    return decide(Scan(b"/o", tuple(files), NOW, "python"), {}, dict(before or {}), TERMS)


def account(bus: Bus, job: str = "job") -> Account:
    return Account(job, "comfy", b"/o", SyncReport("comfy", "c", "/o", "docker"), bus, lambda: NOW)


def hearing(*kinds: type[Event]) -> tuple[Bus, list[Event]]:
    bus, heard = Bus(), list[Event]()
    bus.subscribe(heard.append, *kinds)
    return bus, heard


def test_what_will_be_pulled_is_discovered() -> None:
    bus, heard = hearing(FileDiscovered)
    account(bus).decided(decision(3, b"notes.md"), {})
    assert heard == [FileDiscovered("job", "comfy", b"/o", b"p/%05d.png" % n, 10 + n, n + 1) for n in range(3)]


@pytest.mark.parametrize(
    ("waited", "told"),
    [
        (Waiting(10, 1, 1, 0, False, "changed a moment ago"), 1),
        (Waiting(10, 1, 1, 0, False, UNFETCHED), 0),
        (Waiting(10, 1, 1, 0, True, "its PNG end is missing"), 0),
        (Waiting(9, 1, 1, 0, False, UNFETCHED), 1),
    ],
)
def test_a_file_is_discovered_once_however_often_it_is_tried(waited: Waiting, told: int) -> None:
    bus, heard = hearing(FileDiscovered)
    before = {b"p/00000.png": waited}
    decided = decision(1, before=before)
    assert len(decided.fetch) == 1
    account(bus).decided(decided, before)
    assert len(heard) == told


def test_20_000_files_cost_nothing_when_nobody_asks() -> None:
    bus, heard = hearing()  # everything that is not frequent
    decided = decision(20_000, *(b"%d.md" % n for n in range(20_000)))
    before = FileRestored("", "", b"", b"").number
    account(bus).decided(decided, {})
    assert FileRestored("", "", b"", b"").number == before + 1, "no event was made"
    assert heard == []


def test_20_000_files_are_all_told_to_who_asks() -> None:
    bus, heard = hearing(FileDiscovered, FileSkipped)
    account(bus).decided(decision(20_000, *(b"%d.md" % n for n in range(20_000))), {})
    assert sum(isinstance(event, FileDiscovered) for event in heard) == 20_000
    assert sum(isinstance(event, FileSkipped) for event in heard) == 20_000


def test_what_is_left_out_is_told_with_its_reason_and_not_each_minute() -> None:
    bus, heard = hearing(FileSkipped)
    for job in ("one", "two", "three"):
        account(bus, job).decided(decision(0, b"notes.md"), {})
    (event,) = heard
    assert isinstance(event, FileSkipped)
    assert (event.job, event.path) == ("one", b"notes.md")
    assert event.reason


def test_what_a_scan_cannot_read_failed_and_is_told_once() -> None:
    bus, heard = hearing()
    for job in ("one", "two"):
        decided = Decision(failed=[Problem(b"a.png", "permission denied"), Problem(b"b.png", f"{UNUSABLE}too long")])
        account(bus, job).decided(decided, {})
    assert heard == [FileFailed("one", "comfy", b"/o", b"a.png", "permission denied")]
