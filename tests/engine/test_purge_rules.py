"""What the operator's settings and a container's labels keep, and folders that a purge emptied."""

from __future__ import annotations

import time

import pytest

from tests.conftest import MakeGenerator
from tests.engine.purging import DAY, OLD, filled, given, outcomes, pictures, purge
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]


def day(days_ago: float) -> str:
    """A folder's name as Forge gives it, in the container's time zone (UTC)."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - days_ago * DAY))


def test_settings_and_labels_keep_what_they_name(generator: MakeGenerator, cli: Program) -> None:
    """Each file stays for one reason of its own, beside one that goes."""
    one = generator(labels={"media-sync.preserve": "label/**", "media-sync.older-than": "2d"}, owner=(1000, 1000))
    old = pictures(["goes.png", "label/a.png", "setting-a.png", "v.mp4", "s.flac", "n.txt", "n.png", "theirs.png"])
    filled(cli, one, old)
    one.put(pictures(["younger.png"]), age=1.5 * DAY)  # old enough for the operator, not for the label
    one.put(pictures(["future.png"]), age=-DAY)
    one.put(pictures(["excluded.png"]), age=OLD)
    assert cli("sync", *given(one)).code == 0
    one.put({"late.png": b"after the sync"}, age=OLD)
    one.exec("chown", "0:0", one.path("theirs.png"))
    env = {
        "MEDIA_SYNC_PURGE__PRESERVE": "setting-*",
        "MEDIA_SYNC_PURGE__TYPES": "images;video;companions",
        "MEDIA_SYNC_SYNC__EXCLUDE": "excluded.png",
    }
    code, report = purge(cli, one, env=env)
    assert code == 0
    gone = ["goes.png", "v.mp4", "n.txt", "n.png"]
    assert outcomes(report) == dict.fromkeys(gone, ("purged", "")) | {
        "label/a.png": ("kept", "preserved by pattern"),
        "setting-a.png": ("kept", "preserved by pattern"),
        "s.flac": ("kept", "not a kind that is purged"),
        "younger.png": ("kept", "younger than the age limit"),
        "future.png": ("kept", "not stored yet"),
        "excluded.png": ("kept", "not to be pulled any more"),
        "late.png": ("kept", "not stored yet"),
        "theirs.png": ("kept", "foreign owner"),
    }
    assert one.files() == {p.encode() for p, (outcome, _) in outcomes(report).items() if outcome == "kept"}


def test_a_label_makes_the_age_longer_and_never_shorter(generator: MakeGenerator, cli: Program) -> None:
    one = generator(labels={"media-sync.older-than": "1h"})
    filled(cli, one, pictures(["a.png"]), age=2 * 3600)
    assert purge(cli, one)[1]["kept"] == {"younger than the age limit": 1}
    assert purge(cli, one, "--older-than", "90m")[1]["purged"] == 1


def test_what_was_stored_a_moment_ago_waits(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    filled(cli, one, pictures(["a.png"]))
    code, report = purge(cli, one, env={"MEDIA_SYNC_PURGE__MIN_STORED": "1h"})
    assert (code, report["kept"]) == (0, {"stored too short a time ago": 1})
    assert purge(cli, one, env={"MEDIA_SYNC_PURGE__MIN_STORED": "1ms"})[1]["purged"] == 1


@pytest.mark.parametrize("image", IMAGES)
def test_counters_go_on_and_companions_stay_together(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    comfy = [f"ComfyUI_{n:05}_.png" for n in (1, 2, 9, 10)] + ["flux/x_00001.png", "flux/x_00001.mp4"]
    forge = [f"{folder}/{n:05}-77.{end}" for folder in (day(0), day(9)) for n in (3, 4) for end in ("png", "txt")]
    filled(cli, one, pictures(comfy + forge))
    code, report = purge(cli, one, "--keep-newest", "1")
    assert code == 0
    assert one.files() == {
        b"ComfyUI_00010_.png", b"flux/x_00001.png", b"flux/x_00001.mp4",
        f"{day(0)}/00004-77.png".encode(), f"{day(0)}/00004-77.txt".encode(),
    }  # fmt: skip
    assert report["kept"] == {"newest of its prefix": 5}
    assert purge(cli, one, "--keep-newest", "3")[1]["purged"] == 0
    one.append("flux/x_00001.mp4", b"+")  # one of a pair changed: both stay
    code, report = purge(cli, one, "--keep-newest", "0")
    assert (code, report["purged"]) == (0, 3)
    assert one.files() == {b"flux/x_00001.png", b"flux/x_00001.mp4"}
    assert outcomes(report)["flux/x_00001.png"] == ("kept", "belongs to a file that stays")


@pytest.mark.parametrize("image", IMAGES)
def test_emptied_folders_of_past_days_go_when_that_is_wanted(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    past, today = day(40), day(0)
    names = [f"t/{past}/a.png", f"t/{past}/grids/b.png", f"t/{day(41)}/a.png", f"t/{today}/a.png", "plain/a.png"]
    filled(cli, one, pictures(names))
    one.put({f"t/{day(41)}/notes.csv": b"somebody's"}, age=OLD)
    assert purge(cli, one, "--dry-run", env={"MEDIA_SYNC_PURGE__REMOVE_EMPTY_DATED": "true"})[1]["candidates"] == 5
    code, report = purge(cli, one, env={"MEDIA_SYNC_PURGE__REMOVE_EMPTY_DATED": "true"})
    assert (code, report["purged"], report["folders_removed"]) == (0, 5, 2)
    there = {p.decode() for p, seen in one.stats().items() if not seen.is_file}
    assert there == {".", "t", f"t/{day(41)}", f"t/{today}", "plain"}
    one.put(pictures([f"t/{past}/c.png"]), age=OLD)
    assert cli("sync", *given(one)).code == 0
    _, report = purge(cli, one)
    assert (report["purged"], report["folders_removed"]) == (1, 0)
    assert f"t/{past}".encode() in one.stats()
