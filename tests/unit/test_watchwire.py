"""What a watching agent says, and what is made of it when it says nonsense."""

from __future__ import annotations

import pytest

from sidecar.errors import RootMissing, StreamBroken
from sidecar.models import Alive, Overflow, Problem, Seen, Standing
from sidecar.transports.docker import watchwire, wire
from sidecar.transports.docker.watchwire import Sights

ROOT = b"e 41ed 4096 1700000000.000000000 1 2 1000 1000 3 "
FILE = b"e 81a4 7 1700000000.000000005 1 3 1000 1000 1 %s"


def test_records_become_sights() -> None:
    sights = Sights()
    told = sights.take([
        b"hello 7 1700000000000000001 1000 1000 7", ROOT, b"problem permission_denied a/b", b"stands inotify 12",
        FILE % b"d/two\nlines.png", b"overflow", b"stands poll 3", b"beat 1700000000000000009",
    ])  # fmt: skip
    assert told[:3] == [Alive(1_700_000_000_000_000_001), Problem(b"a/b", "permission denied"), Standing("inotify", 12)]
    assert told[4:] == [Overflow(), Standing("poll", 3), Alive(1_700_000_000_000_000_009)]
    assert isinstance(told[3], Seen)
    assert (told[3].stat.path, told[3].stat.size, told[3].stat.mtime_ns) == (b"d/two\nlines.png", 7, 17 * 10**17 + 5)
    assert (sights.agent_uid, sights.owner) == (7, (1000, 1000))


@pytest.mark.parametrize("path", [b"../x.png", b"a/../../x.png", b"/etc/x.png", b"a//b.png", b"a/./b.png"])
def test_a_path_that_leads_out_of_the_root_is_never_pulled(path: bytes) -> None:
    (told,) = Sights().take([FILE % path])
    assert told == Problem(path, "not a path below the root")


@pytest.mark.parametrize(
    "record",
    [b"beat soon", b"stands on-tiptoe 1", b"e nonsense", b"overflown", b"", FILE.replace(b"81a4", b"a1ff") % b"l"],
)
def test_malformed_records_break_the_watch(record: bytes) -> None:
    with pytest.raises(StreamBroken):
        Sights().take([record])


def test_a_root_that_is_missing_is_said() -> None:
    with pytest.raises(RootMissing):
        Sights().take([b"noroot missing"])


def test_only_somebody_who_sees_less_than_the_owner_is_hindered() -> None:
    def hindered(uid: int, record: bytes) -> bool:
        sights = Sights()
        *_, last = sights.take([b"hello %d 1 1000 1000 0" % uid, ROOT, record])
        return sights.hindered_by(last)

    private = FILE.replace(b"81a4", b"8180") % b"a.png"
    denied = b"problem permission_denied a"
    assert hindered(7, private)
    assert hindered(7, denied)
    assert not hindered(7, FILE % b"a.png")
    assert not hindered(7, b"problem not_enough_memory a")
    for powerful in (0, 1000):
        assert not hindered(powerful, private)
        assert not hindered(powerful, denied)


def test_an_answer_may_go_on_for_years() -> None:
    token = wire.new_token()
    parser = watchwire.watch_parser(token)
    assert not isinstance(parser.feed(b"\n" + token + b" beat 1"), Problem)
    batch = b"".join(b"\n" + token + b" beat %d" % number for number in range(50_000))
    assert sum(len(parser.feed(batch)) for _ in range(100)) == 5_000_000
