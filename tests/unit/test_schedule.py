"""When things are due: by the clock, by a cron line in a time zone, around summer time, with jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import Cron, Every, Never, Settings, Wrong, load
from sidecar.config.timing import parse_timing, parse_zone
from sidecar.jobs.job import Action
from sidecar.models import NS
from sidecar.schedule import Timed, Timetable, next_fire, timed_jobs, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600 * NS
LINES = ("30 3 * * *", "30 2 * * *", "*/7 * * * *", "0 0 * * 0", "15 */6 * * *", "59 23 31 12 *", "0 12 1-7 * 1")
# a year around both changes of 2024 and 2025, to the nanosecond
MOMENTS = st.integers(int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * NS,
                      int(datetime(2025, 12, 1, tzinfo=UTC).timestamp()) * NS)  # fmt: skip
CHANGES = st.sampled_from([datetime(2024, 3, 31, 1, tzinfo=UTC), datetime(2024, 10, 27, 1, tzinfo=UTC),
                           datetime(2025, 3, 30, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, tzinfo=UTC)])  # fmt: skip
NEAR = st.builds(lambda at, off: int(at.timestamp()) * NS + off, CHANGES, st.integers(-3 * HOUR, 3 * HOUR))


def ns(year: int, month: int, day: int, hour: int = 0, minute: int = 0, *, fold: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=BERLIN, fold=fold).timestamp()) * NS


def fires(line: str, after: int, count: int) -> list[str]:
    found = []
    for _ in range(count):
        due = next_fire(Cron(line), after, BERLIN)
        assert due is not None
        found.append(datetime.fromtimestamp(due // NS, BERLIN).strftime("%d %H:%M%z"))
        after = due
    return found


@given(MOMENTS | NEAR, st.sampled_from(LINES), st.integers(0, NS))
def test_the_next_moment_is_later_and_none_between_is_missed(after: int, line: str, share: int) -> None:
    due = next_fire(Cron(line), after, BERLIN)
    assert due is not None
    assert due > after
    between = after + (due - after) * share // (NS + 1)
    assert next_fire(Cron(line), between, BERLIN) == due


@given(MOMENTS | NEAR)
def test_what_has_an_hour_of_its_own_comes_once_a_day(after: int) -> None:
    first = next_fire(Cron("30 2 * * *"), after, BERLIN)
    assert first is not None
    second = next_fire(Cron("30 2 * * *"), first, BERLIN)
    assert second is not None
    days = [datetime.fromtimestamp(due // NS, BERLIN).date() for due in (first, second)]
    assert days[1] - days[0] == timedelta(days=1)


@given(MOMENTS, st.integers(NS, 90 * 24 * HOUR), MOMENTS)
def test_every_counts_from_the_beginning(after: int, pause: int, anchor: int) -> None:
    due = next_fire(Every(pause), after, BERLIN, anchor)
    assert due is not None
    assert after < due <= after + pause
    assert (due - anchor) % pause == 0


def test_around_summer_time_in_berlin() -> None:
    assert fires("30 2 * * *", ns(2024, 3, 30), 3) == ["30 02:30+0100", "31 03:00+0200", "01 02:30+0200"]
    assert fires("30 2 * * *", ns(2024, 10, 26), 3) == ["26 02:30+0200", "27 02:30+0200", "28 02:30+0100"]
    assert fires("0 * * * *", ns(2024, 10, 27, 1, 30), 3) == ["27 02:00+0200", "27 02:00+0100", "27 03:00+0100"]
    second_time_round = ns(2024, 10, 27, 2, 10, fold=1)
    assert fires("30 2 * * *", second_time_round, 1) == ["28 02:30+0100"], "it has been that day"


@pytest.mark.parametrize(
    ("text", "timing"),
    [
        ("@every 5m", Every(300 * NS)),
        ("@EVERY  90", Every(90 * NS)),
        ("30  3 * * mon-fri", Cron("30 3 * * mon-fri")),
        ("@daily", Cron("0 0 * * *")),
        ("never", Never()),
        ("off", Never()),
    ],
)
def test_how_it_is_written(text: str, timing: object) -> None:
    assert parse_timing(text) == timing
    assert parse_timing(str(parse_timing(text))) == timing, "what is shown can be read again"


@pytest.mark.parametrize(
    "text", ["", "5m", "@every", "@every 1ms", "@dayly", "* * *", "61 * * * *", "0 0 30 2 *", "a b c d e"]
)
def test_what_cannot_be_meant_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(Wrong) as caught:
        parse_timing(text)
    assert caught.value.hint


def test_time_zones(tmp_path: Path) -> None:
    assert zone_of("Europe/Berlin", {}) == BERLIN
    assert zone_of("local", {"TZ": "Europe/Berlin"}) == BERLIN
    copy = tmp_path / "localtime"
    copy.write_bytes((Path("/usr/share/zoneinfo/Europe/Berlin")).read_bytes())
    summer = datetime(2024, 7, 1, 12, tzinfo=zone_of("local", {}, str(copy)))
    assert summer.utcoffset() == timedelta(hours=2)
    assert zone_of("local", {"TZ": "nonsense"}, "/nonexistent") is UTC
    with pytest.raises(Wrong, match="no time zone"):
        parse_zone("Europe/Berlni")
    with pytest.raises(Wrong):
        parse_zone("../../etc/passwd")


def settings(**values: Any) -> Settings:
    return load(values, env={}, cwd=Path("/nonexistent")).settings


def wanted(made: Settings) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(t.request.action.value, str(t.timing), t.request.sources, t.request.without) for t in timed_jobs(made)]


def test_without_schedules_a_pass_every_minute_as_ever() -> None:
    assert wanted(settings()) == [("run", "@every 1m", (), ())]
    assert wanted(settings(schedule={"every": "5s"})) == [("run", "@every 5s", (), ())]


def test_a_purge_with_times_of_its_own_goes_by_them() -> None:
    made = settings(schedule={"sync": "@every 10m", "purge": "0 4 * * *", "verify": "@weekly"}, purge={"enabled": True})
    assert wanted(made) == [
        ("sync", "@every 10m", (), ()), ("purge", "0 4 * * *", (), ()), ("verify", "0 0 * * 0", (), ())]  # fmt: skip
    assert wanted(settings(schedule={"sync": "never", "purge": "0 4 * * *"})) == [], "purge.enabled is off"


def test_a_source_with_times_of_its_own_is_left_out_of_what_goes_for_all() -> None:
    made = settings(sources={"a": {"container": "x", "schedule": {"sync": "@every 1h"}}, "b": {"container": "y"}})
    assert wanted(made) == [("run", "@every 1m", (), ("a",)), ("run", "@every 1h", ("a",), ())]


def table(timing: Every | Cron, now: int, jitter: int = 0, chance: float = 0.5) -> Timetable:
    (job,) = timed_jobs(settings())
    return Timetable([Timed(job.request, timing)], BERLIN, jitter, lambda: chance, now)


def test_a_timetable_gives_each_moment_once_however_late_it_is() -> None:
    start = ns(2024, 5, 1)
    made = table(Every(60 * NS), start)
    assert made.due(start) == []
    assert [r.action for r in made.due(start + 60 * NS)] == [Action.RUN]
    assert made.due(start + 61 * NS) == []
    assert len(made.due(start + 600 * NS)) == 1, "nine moments were missed"
    assert made.next_ns() == start + 660 * NS


def test_a_clock_that_was_set_back_does_not_stop_a_timetable() -> None:
    start = ns(2024, 5, 1)
    made = table(Every(60 * NS), start)
    assert len(made.due(start + 60 * NS)) == 1
    assert made.due(start - 24 * HOUR) == []
    assert made.next_ns() == start - 24 * HOUR + 60 * NS


def test_jitter_makes_later_and_never_twice() -> None:
    start = ns(2024, 5, 1)
    made = table(Cron("0 4 * * *"), start, jitter=HOUR)
    due = ns(2024, 5, 1, 4, 30)
    assert made.next_ns() == due
    assert made.due(due - NS) == []
    assert len(made.due(due)) == 1
    assert made.next_ns() == ns(2024, 5, 2, 4, 30)
