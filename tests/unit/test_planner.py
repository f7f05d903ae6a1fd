"""The planner: every changed file exactly once, and no archive expected to hold a container's lock for too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import FileStat, FileType, Road, Transfer
from sidecar.sync.planner import HEADER, Costs, Limits, plan

ALL = frozenset(Road)
ARCHIVES = frozenset((Road.FOLDER, Road.FILE))
MB = 1_000_000
COSTS = Costs()


def file(path: bytes, size: int = MB) -> FileStat:
    return FileStat(path, size, 0)


def paths(transfers: list[Transfer]) -> list[bytes]:
    return [f.path for t in transfers for f in t.files]


def below(folder: bytes, path: bytes) -> bool:
    return folder == b"" or path.startswith(folder + b"/")


def hold(transfer: Transfer, entries: list[FileStat]) -> float:
    """Seconds that an archive read is expected to take: all that lies in the folder, or the one file."""
    if transfer.road is Road.FOLDER:
        inside = [e for e in entries if e.type is FileType.FILE and below(transfer.folder, e.path)]
        return COSTS.folder_start + sum(e.size + HEADER for e in inside) / COSTS.folder_rate
    return transfer.files[0].size / COSTS.file_rate


NAME = st.binary(min_size=1, max_size=3).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
PATH = st.lists(st.one_of(st.sampled_from([b"a", b"b", b"cc"]), NAME), min_size=1, max_size=4).map(b"/".join)
ENTRY = st.builds(file, PATH, st.one_of(st.integers(1, 50_000), st.integers(1, 400 * MB)))


@given(
    entries=st.lists(ENTRY, max_size=40, unique_by=lambda e: e.path),
    chosen=st.data(),
    roads=st.sampled_from([ALL, ARCHIVES, frozenset((Road.STREAM,)), frozenset((Road.FILE, Road.STREAM)),
                           frozenset((Road.FILE,))]),
    max_freeze=st.sampled_from([0.0, 0.05, 0.25, 1.0, float("inf")]),
    few=st.sampled_from([2, 2048]),
)  # fmt: skip
def test_every_file_once_and_no_long_lock(
    entries: list[FileStat], chosen: st.DataObject, roads: frozenset[Road], max_freeze: float, few: int
) -> None:
    changed = [e for e in entries if chosen.draw(st.booleans())]
    limits = Limits(max_freeze, folder_files=few)
    made = plan(changed, entries, roads, COSTS, limits)
    assert sorted(paths(made)) == sorted(e.path for e in changed)
    for transfer in made:
        assert transfer.files
        assert transfer.road in roads
        if transfer.road is Road.FOLDER:
            assert all(below(transfer.folder, f.path) for f in transfer.files)
            assert hold(transfer, entries) <= max_freeze
            assert len(transfer.files) <= few
        if transfer.road is Road.FILE:
            assert len(transfer.files) == 1
            assert hold(transfer, entries) <= max_freeze or Road.STREAM not in roads, "only where it is the one way"
        if transfer.road is Road.STREAM and len(transfer.files) > 1:
            assert sum(f.size for f in transfer.files) <= limits.stream_bytes
            assert len(transfer.files) <= limits.stream_files


def test_nothing_changed_costs_nothing() -> None:
    assert plan([], [file(b"a")], ALL, COSTS, Limits()) == []


@pytest.mark.parametrize("roads", [ALL, ARCHIVES])
def test_one_new_file_does_not_bring_its_folder(roads: frozenset[Road]) -> None:
    entries = [file(b"d/%d" % n) for n in range(50)]
    (only,) = plan(entries[:1], entries, roads, COSTS, Limits())
    assert only == Transfer(Road.FILE, (entries[0],))


def test_a_new_folder_comes_whole_and_its_parent_does_not() -> None:
    old = [file(b"old/%d" % n, 10 * MB) for n in range(50)]
    new = [file(b"new/%d" % n, 8000) for n in range(50)]
    (only,) = plan(new, old + new, ALL, COSTS, Limits())
    assert (only.road, only.folder, only.files) == (Road.FOLDER, b"new", tuple(new))


def test_a_folder_that_would_hold_the_lock_too_long_is_streamed() -> None:
    entries = [file(b"d/%d" % n) for n in range(200)]
    made = plan(entries, entries, ALL, COSTS, Limits(max_freeze=0.25))
    assert {t.road for t in made} == {Road.STREAM}
    assert sorted(paths(made)) == sorted(e.path for e in entries)
    unlocked = plan(entries, entries, ALL, COSTS, Limits(max_freeze=float("inf")))
    assert [t.road for t in unlocked] == [Road.FOLDER]


def test_a_folder_of_very_many_is_read_in_parts() -> None:
    entries = [file(b"d/%d" % n, 1000) for n in range(5000)]
    made = plan(entries, entries, ARCHIVES, COSTS, Limits(max_freeze=float("inf")))
    assert [(t.road, len(t.files)) for t in made] == [(Road.FOLDER, 2048), (Road.FOLDER, 2048), (Road.FOLDER, 904)]


def test_a_large_film_is_streamed_where_it_can_be() -> None:
    film = file(b"film.mp4", 2000 * MB)
    assert plan([film], [film], ALL, COSTS, Limits()) == [Transfer(Road.STREAM, (film,))]
    assert plan([film], [film], ARCHIVES, COSTS, Limits()) == [Transfer(Road.FILE, (film,))]
