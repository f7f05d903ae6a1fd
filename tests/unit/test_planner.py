"""The planner: every changed file exactly once, no lock held for too long, and nothing simpler would cost less."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.models import FileStat, FileType, Road, Transfer
from sidecar.sync.costs import PRIORS, Costs, RoadCost
from sidecar.sync.planner import Limits, expected, freights, plan, total

ALL = frozenset(Road)
ARCHIVES = frozenset((Road.FOLDER, Road.FILE))
STREAM = frozenset((Road.STREAM,))
MB = 1_000_000


def file(path: bytes, size: int = MB) -> FileStat:
    return FileStat(path, size, 0)


def made(changed: list[FileStat], entries: list[FileStat], roads: frozenset[Road] = ALL,
         limits: Limits | None = None, costs: Costs = PRIORS) -> list[Transfer]:  # fmt: skip
    return plan(changed, freights(entries), roads, costs, limits or Limits())


def paths(transfers: list[Transfer]) -> list[bytes]:
    return [f.path for t in transfers for f in t.files]


def below(folder: bytes, path: bytes) -> bool:
    return folder == b"" or path.startswith(folder + b"/")


def hold(transfer: Transfer, entries: list[FileStat], costs: Costs) -> float:
    """Seconds that an archive read is expected to take: all that lies in the folder, or the one file."""
    inside = [e for e in entries if e.type is FileType.FILE and below(transfer.folder, e.path)]
    some = inside if transfer.road is Road.FOLDER else transfer.files
    return costs.of(transfer.road).seconds(len(some), sum(f.size for f in some))


NAME = st.binary(min_size=1, max_size=3).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
PATH = st.lists(st.one_of(st.sampled_from([b"a", b"b", b"cc"]), NAME), min_size=1, max_size=4).map(b"/".join)
ENTRY = st.builds(file, PATH, st.one_of(st.integers(1, 50_000), st.integers(1, 400 * MB)))
ENTRIES = st.lists(ENTRY, max_size=40, unique_by=lambda e: e.path)
ROAD_COST = st.builds(RoadCost, st.floats(0.0002, 0.5), st.floats(1e-10, 1e-7), st.floats(1e-6, 0.01))
COSTS = st.one_of(st.just(PRIORS), st.builds(Costs, ROAD_COST, ROAD_COST, ROAD_COST))
FREEZE = st.sampled_from([0.0, 0.05, 0.25, 1.0, math.inf])


@given(
    entries=ENTRIES,
    chosen=st.data(),
    roads=st.sampled_from([ALL, ARCHIVES, STREAM, STREAM | {Road.FILE}, STREAM | {Road.FOLDER},
                           frozenset((Road.FILE,))]),
    costs=COSTS,
    max_freeze=FREEZE,
    few=st.sampled_from([2, 2048]),
)  # fmt: skip
def test_every_file_once_and_no_long_lock(
    entries: list[FileStat], chosen: st.DataObject, roads: frozenset[Road], costs: Costs, max_freeze: float, few: int
) -> None:
    changed = [e for e in entries if chosen.draw(st.booleans())]
    limits = Limits(max_freeze, folder_files=few, stream_files=few)
    transfers = made(changed, entries, roads, limits, costs)
    assert sorted(paths(transfers)) == sorted(e.path for e in changed)
    for transfer in transfers:
        assert transfer.files
        assert transfer.road in roads
        if transfer.road is Road.FOLDER:
            assert all(below(transfer.folder, f.path) for f in transfer.files)
            assert hold(transfer, entries, costs) <= max_freeze
            assert len(transfer.files) <= few
        if transfer.road is Road.FILE:
            assert len(transfer.files) == 1
            assert hold(transfer, entries, costs) <= max_freeze or Road.STREAM not in roads, "where it is the one way"
        if transfer.road is Road.STREAM and len(transfer.files) > 1:
            assert sum(f.size for f in transfer.files) <= limits.stream_bytes
            assert len(transfer.files) <= few


def pure(road: Road, changed: list[FileStat], entries: list[FileStat], costs: Costs, limits: Limits
         ) -> list[Transfer] | None:  # fmt: skip
    """The plan that takes one road alone; None where a limit forbids it."""
    if road is Road.STREAM:
        return made(changed, entries, STREAM, limits, costs)
    if road is Road.FILE:
        reads = [Transfer(Road.FILE, (f,)) for f in changed]
    else:
        holders = {f.path.rpartition(b"/")[0] for f in changed}
        tops = [h for h in holders if not any(h != o and below(o, h) for o in holders)]
        reads = [Transfer(Road.FOLDER, tuple(f for f in changed if below(top, f.path)), top) for top in tops]
        if any(len(read.files) > limits.folder_files for read in reads):
            return None
    return None if any(hold(read, entries, costs) > limits.max_freeze for read in reads) else reads


@given(entries=ENTRIES, chosen=st.data(), roads=st.sampled_from([ALL, ARCHIVES]), costs=COSTS, max_freeze=FREEZE)
def test_no_road_alone_would_cost_less(
    entries: list[FileStat], chosen: st.DataObject, roads: frozenset[Road], costs: Costs, max_freeze: float
) -> None:
    changed = [e for e in entries if chosen.draw(st.booleans())]
    limits, folders = Limits(max_freeze), freights(entries)
    cost = total(made(changed, entries, roads, limits, costs), folders, roads, costs)
    for road in roads:
        alone = pure(road, changed, entries, costs, limits)
        if alone is not None:
            assert cost <= total(alone, folders, roads, costs) * (1 + 1e-9), road


@given(entries=ENTRIES)
def test_a_folder_holds_all_that_lies_below_it(entries: list[FileStat]) -> None:
    found = freights(entries)
    assert (b"" in found) is bool(entries)
    for folder, inside in found.items():
        some = [e for e in entries if below(folder, e.path)]
        assert (inside.files, inside.size) == (len(some), sum(e.size for e in some))


def test_nothing_changed_costs_nothing() -> None:
    assert made([], [file(b"a")]) == []


def test_folders_alone_are_no_way() -> None:
    with pytest.raises(ValueError, match="folders alone"):
        made([file(b"a")], [file(b"a")], frozenset((Road.FOLDER,)))


@pytest.mark.parametrize("roads", [ALL, ARCHIVES])
def test_one_new_file_does_not_bring_its_folder(roads: frozenset[Road]) -> None:
    entries = [file(b"d/%d" % n) for n in range(50)]
    assert made(entries[:1], entries, roads) == [Transfer(Road.FILE, (entries[0],))]


def test_a_new_folder_comes_whole_and_its_parent_does_not() -> None:
    old = [file(b"old/%d" % n, 10 * MB) for n in range(50)]
    new = [file(b"new/%d" % n, 8000) for n in range(50)]
    (only,) = made(new, old + new)
    assert (only.road, only.folder, only.files) == (Road.FOLDER, b"new", tuple(new))


def test_many_small_new_folders_come_as_the_one_that_holds_them() -> None:
    new = [file(b"new/%d/%d.png" % (n, m), 8000) for n in range(20) for m in range(5)]
    (only,) = made(new, [*new, file(b"old.mp4", 900 * MB)])
    assert (only.road, only.folder, len(only.files)) == (Road.FOLDER, b"new", 100)


def test_scattered_new_files_are_one_stream_and_not_their_folders() -> None:
    entries = [file(b"%d/%d" % (n, m)) for n in range(20) for m in range(50)]
    new = [e for at, e in enumerate(entries) if at % 50 == 0]
    (only,) = made(new, entries)
    assert (only.road, only.files) == (Road.STREAM, tuple(new))


def test_a_folder_that_would_hold_the_lock_too_long_is_streamed() -> None:
    entries = [file(b"d/%d" % n) for n in range(200)]
    transfers = made(entries, entries, limits=Limits(max_freeze=0.25))
    assert {t.road for t in transfers} == {Road.STREAM}
    assert sorted(paths(transfers)) == sorted(e.path for e in entries)
    unlocked = made(entries, entries, limits=Limits(max_freeze=math.inf))
    assert [t.road for t in unlocked] == [Road.FOLDER]


def test_a_stream_is_preferred_to_a_lock_that_saves_little() -> None:
    entries = [file(b"d/%d" % n, 8000) for n in range(200)]
    even = RoadCost(0.040, 1 / 400e6, 0.0002)
    close = Costs(even, even, RoadCost(0.044, 1 / 400e6, 0.00022))
    assert [t.road for t in made(entries, entries, costs=close)] == [Road.STREAM]
    far = Costs(even, even, RoadCost(0.060, 1 / 400e6, 0.0004))
    assert [t.road for t in made(entries, entries, costs=far)] == [Road.FOLDER]


def test_no_stream_is_started_for_what_a_folder_brings_sooner() -> None:
    film = file(b"a.mp4", 30 * MB)
    slow = RoadCost(0.2, 1 / 350e6, 0.00025)
    costs = Costs(PRIORS.folder, slow, RoadCost(0.5, 1 / 110e6, 0.0004))
    assert made([film], [film], costs=costs) == [Transfer(Road.FOLDER, (film,))], "alone it would lock for too long"


def test_what_fits_beside_others_in_one_stream_is_not_fetched_alone() -> None:
    small, large = file(b"small", 1), file(b"large", 99)
    costs = Costs(RoadCost(9, 1e-9, 1e-6), RoadCost(0.04, 0.001, 1e-6), RoadCost(0.125, 1e-9, 1e-6))
    limits = Limits(math.inf, stream_bytes=100, stream_files=2)
    assert [t.road for t in made([small, large], [small, large], ALL, limits, costs)] == [Road.STREAM]


def test_what_was_learned_changes_the_plan() -> None:
    entries = [file(b"d/%d" % n) for n in range(6)]
    assert [t.road for t in made(entries, entries)] == [Road.FOLDER]
    quick = RoadCost(0.002, 1 / 350e6, 0.00025)  # Engine 28 answers a file in 2 ms
    assert {t.road for t in made(entries[:2], entries, costs=PRIORS.with_road(Road.FILE, quick))} == {Road.FILE}


def test_a_folder_of_very_many_is_read_in_parts() -> None:
    entries = [file(b"d/%d" % n, 1000) for n in range(5000)]
    transfers = made(entries, entries, ARCHIVES, Limits(max_freeze=math.inf))
    assert [(t.road, len(t.files)) for t in transfers] == [(Road.FOLDER, 2048), (Road.FOLDER, 2048), (Road.FOLDER, 904)]


def test_a_large_film_is_streamed_where_it_can_be() -> None:
    film = file(b"film.mp4", 2000 * MB)
    assert made([film], [film]) == [Transfer(Road.STREAM, (film,))]
    assert made([film], [film], ARCHIVES) == [Transfer(Road.FILE, (film,))]


def test_a_deep_tree_of_many_is_planned() -> None:
    entries = [file(b"/".join([b"d%d" % (n % 7)] * (n % 9)) + b"/%d" % n, 8000) for n in range(1, 5000)]
    transfers = made(entries, entries)
    assert len(set(paths(transfers))) == 4999
    assert all(expected(t, freights(entries), PRIORS) <= 0.25 for t in transfers if t.road is not Road.STREAM)
