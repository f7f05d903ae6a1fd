"""Files that are still being written: a size that stands still proves nothing, the format's own end does."""

from __future__ import annotations

import time

import pytest
from generators import media
from generators.container import Entry
from generators.media import Recipe

from tests.conftest import MakeGenerator
from tests.engine.syncing import Pull, png, pngs, reasons
from tests.rig.program import Program
from tests.unit.mediamade import finished

SHORT = {"MEDIA_SYNC_SYNC__SETTLE": "1s"}


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_a_video_that_grows_during_the_pass_waits(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    pull = Pull(cli, generator(image=request.getfixturevalue(image)), env=SHORT)
    pull.made.put(pngs("a.png"), age=60)
    film = finished("a.mp4")
    pull.made.write("grows.mp4", film[:100])
    pieces = [film[at : at + 100] for at in range(100, len(film), 100)]  # for longer than any pass takes
    with pull.made.growing("grows.mp4", pieces, every=0.1):
        report = pull.sync()
    assert (report["stored"], report["unsettled"]) == (1, 1)
    assert reasons(report) == {"grows.mp4": "changed a moment ago"}
    there = pull.made.stats()[b"grows.mp4"].size
    assert 100 < there < len(film)
    pull.made.append("grows.mp4", film[there:])
    assert pull.library() == pngs("a.png")
    pull.made.age(10, ["grows.mp4"])
    assert pull.sync()["stored"] == 1
    assert pull.library() == pngs("a.png") | {b"grows.mp4": film}


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_a_file_that_changes_while_it_is_read_is_not_kept(
    image: str, cli: Program, generator: MakeGenerator, request: pytest.FixtureRequest
) -> None:
    """Its mtime is old at each look, as with a tool that sets times; its end is there at each look."""
    made = generator(image=request.getfixturevalue(image))
    pull = Pull(cli, made)
    made.put({"a.png": png(1), "b.png": png(2)}, age=100)
    restless = "n=0; while [ -e /output ]; do n=$((n+1)); touch -d @$((1700000000+n)) /output/a.png; done"
    made.container.exec_run(["sh", "-c", restless], detach=True)
    report = pull.sync()
    assert reasons(report) == {"a.png": "changed while it was read"}
    assert pull.library() == {b"b.png": png(2)}


def test_a_webm_at_0_bytes_and_an_mp4_at_48_are_waited_for(cli: Program, generator: MakeGenerator) -> None:
    """As ComfyUI writes them: the size stands still far longer than settle, then the rest comes at once."""
    pull = Pull(cli, generator(), env=SHORT)
    webm, mp4 = finished("a.webm"), media.comfyui_mp4(Recipe(3), frames=3)
    pull.made.put({"ComfyUI_00001_.webm": b"", "ComfyUI_00002_.mp4": mp4[:48]}, age=30)
    report = pull.sync()
    assert (report["stored"], report["unsettled"], report["failed"]) == (0, 2, 0)
    assert reasons(report)["ComfyUI_00001_.webm"] == "empty"
    received = report["bytes_received"]
    assert 0 < received < 100_000
    again = pull.sync()
    assert (again["unsettled"], again["bytes_received"]) == (2, 0), "the 48 bytes are known; they do not come again"
    assert pull.library() == {}
    assert pull.items() == []
    pull.made.append("ComfyUI_00001_.webm", webm)
    pull.made.append("ComfyUI_00002_.mp4", mp4[48:])
    pull.made.age(20)
    report = pull.sync()
    assert (report["stored"], report["unsettled"], report["incomplete"]) == (2, 0, 0)
    assert pull.library() == {b"ComfyUI_00001_.webm": webm, b"ComfyUI_00002_.mp4": mp4}


def test_a_png_cut_off_for_good_is_stored_in_the_end(cli: Program, generator: MakeGenerator) -> None:
    """What a killed generator leaves: waited for, never fetched twice meanwhile, then kept and marked."""
    pull = Pull(cli, generator())
    cut = png(1)[:-20]
    pull.made.put({"ComfyUI_00001_.png": cut}, age=30)
    report = pull.sync()
    assert (report["stored"], report["unsettled"]) == (0, 1)
    waiting = reasons(report)
    assert waiting.keys() == {"ComfyUI_00001_.png"}
    report = pull.sync()
    assert (report["unsettled"], report["bytes_received"], reasons(report)) == (1, 0, waiting)
    report = pull.sync(env={"MEDIA_SYNC_SYNC__SETTLE_INCOMPLETE": "20s"})
    assert (report["stored"], report["unsettled"], report["incomplete"]) == (1, 0, 1)
    assert reasons(report)["ComfyUI_00001_.png"].startswith("stored, but incomplete")
    assert pull.library() == {b"ComfyUI_00001_.png": cut}
    (item,) = pull.items()
    assert item["incomplete"]
    report = pull.sync()
    assert (report["unchanged"], report["incomplete"], report["bytes_received"]) == (1, 0, 0)


def test_an_empty_file_and_one_from_the_future_wait(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator(), env={"MEDIA_SYNC_SYNC__SETTLE_INCOMPLETE": "1s"})
    later = time.time_ns() + 3600 * 10**9
    pull.made.put([Entry(b"empty.png", b"", mtime_ns=10**18), Entry(b"future.png", png(1), mtime_ns=later)])
    report = pull.sync()
    assert reasons(report) == {"empty.png": "empty", "future.png": "its mtime lies in the future"}
    time.sleep(2.1)
    report = pull.sync()
    assert reasons(report) == {"empty.png": "empty"}, "seen unchanged for long enough by our own watch"
    assert pull.library() == {b"future.png": png(1)}


def test_a_forge_file_is_never_taken_under_its_temporary_name(cli: Program, generator: MakeGenerator) -> None:
    pull = Pull(cli, generator(), env=SHORT)
    pull.made.put({"00001-1.png.tmp": png(1)[:100]}, age=30)
    assert reasons(pull.sync()) == {"00001-1.png.tmp": "temporary name"}
    pull.made.remove("00001-1.png.tmp")
    pull.made.write("00001-1.png", png(1), age=10, temporary=True)
    assert pull.sync()["stored"] == 1
    assert pull.library() == {b"00001-1.png": png(1)}
