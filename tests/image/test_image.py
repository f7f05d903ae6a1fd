"""The image: one shot and as a service, as PUID and PGID, with nothing in it that it does not need."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container
from generators import container as inside
from generators.media import tiny_png

from tests.conftest import MakeGenerator
from tests.image.conftest import RunImage
from tests.rig.generator import Generator

pytestmark = pytest.mark.alone

Finished = Callable[[Container], tuple[int, str, str]]
OLD = 2 * 24 * 3600


def filled(generator: MakeGenerator, image: str) -> Generator:
    """A generator with twelve whole pictures, two days old."""
    made = generator(image=image)
    made.put({f"ComfyUI_{n:05d}_.png": tiny_png(n) for n in range(1, 13)}, age=OLD)
    return made


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for something that has to come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def json_lines(text: str) -> list[dict[str, object]]:
    """Every line as JSON; a line that is none fails."""
    return [json.loads(line) for line in text.splitlines()]


def stored(library: Path) -> list[Path]:
    """The media in a library."""
    return sorted(library.rglob("*.png"))


@pytest.mark.parametrize("kind", ["busybox_image", "python_image"])
def test_one_shot_pulls_then_purges(
    kind: str, generator: MakeGenerator, sidecar: RunImage, finished: Finished, folders: tuple[Path, Path],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    made = filled(generator, request.getfixturevalue(kind))
    source = f"pics={made.name}:/output"
    code, out, err = finished(sidecar("sync", "--json", "--source", source))
    assert code == 0, err
    assert json.loads(out)["sources"][0]["stored"] == 12
    json_lines(err)
    assert len(stored(folders[0])) == 12
    code, out, err = finished(sidecar("purge", "--json", "--source", source))
    assert code == 0, err
    assert json.loads(out)["sources"][0]["purged"] == 11
    assert made.files() == {b"ComfyUI_00012_.png"}


def test_it_works_as_puid_and_pgid_and_masks(
    generator: MakeGenerator, busybox_image: str, sidecar: RunImage, finished: Finished, folders: tuple[Path, Path]
) -> None:
    made = filled(generator, busybox_image)
    kept = folders[0] / "mine.txt"
    kept.write_text("somebody else's file in the library")
    code, _, err = finished(
        sidecar("sync", "--source", f"pics={made.name}:/output",
                environment={"PUID": "4321", "PGID": "8765", "UMASK": "077"})
    )  # fmt: skip
    assert code == 0, err
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [*folders, *stored(folders[0])]}
    assert owners == {(4321, 8765)}
    assert all(path.stat().st_mode & 0o077 == 0 for path in stored(folders[0]))
    assert (kept.stat().st_uid, kept.stat().st_gid) == (os.getuid(), os.getgid())


def test_it_works_as_a_user_that_the_engine_chose(
    generator: MakeGenerator, busybox_image: str, sidecar: RunImage, finished: Finished, folders: tuple[Path, Path],
    socket_path: str,
) -> None:  # fmt: skip
    made = filled(generator, busybox_image)
    for folder in folders:
        os.chown(folder, 1000, 1000)
    group = str(Path(socket_path).stat().st_gid)
    code, _, err = finished(
        sidecar("sync", "--source", f"pics={made.name}:/output", user="1000:1000", group_add=[group], read_only=True,
                tmpfs={"/tmp": ""}, cap_drop=["ALL"], security_opt=["no-new-privileges"])
    )  # fmt: skip
    assert code == 0, err
    assert len(stored(folders[0])) == 12


def test_as_a_service_it_gives_up_root_and_stops_at_once(
    generator: MakeGenerator, busybox_image: str, sidecar: RunImage, folders: tuple[Path, Path]
) -> None:
    made = filled(generator, busybox_image)
    service = sidecar("serve", "--every", "1s", "--source", f"pics={made.name}:/output", read_only=True,
                      tmpfs={"/tmp": ""}, cap_drop=["ALL"], cap_add=["CHOWN", "SETGID", "SETUID"],
                      security_opt=["no-new-privileges"])  # fmt: skip
    until(lambda: len(stored(folders[0])) == 12, "the first pass")
    made.put({"ComfyUI_00013_.png": tiny_png(13)}, age=60)
    until(lambda: len(stored(folders[0])) == 13, "a later pass")
    status = inside.run(service, ["cat", "/proc/1/status"]).out.decode()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["1000"] * 4
    assert facts["CapEff"] == "0" * 16
    assert inside.run(service, ["media-sync", "healthcheck"]).code == 0
    began = time.monotonic()
    service.stop(timeout=10)
    assert time.monotonic() - began < 2
    assert service.wait()["StatusCode"] == 0
    assert json_lines(service.logs().decode())


@pytest.mark.parametrize("user", ["0", "1000"])
def test_without_a_mounted_library_nothing_is_stored_and_nothing_deleted(
    user: str, generator: MakeGenerator, busybox_image: str, sidecar: RunImage, finished: Finished
) -> None:
    """As root the folder could be made, and a copy in it would even prove itself, until the container is removed."""
    made = filled(generator, busybox_image)
    before = made.files()
    settings = {"PUID": user, "PGID": user, "MEDIA_SYNC_PURGE__ENABLED": "true", "MEDIA_SYNC_PURGE__OLDER_THAN": "1s"}
    command = ("run", "--source", f"pics={made.name}:/output")
    code, out, err = finished(sidecar(*command, library=False, environment=settings))
    assert (code, out) == (5, "")
    assert "library /library is not mounted" in json_lines(err)[-1]["message"]  # type: ignore[operator]
    assert made.files() == before


def test_a_user_that_is_no_number_is_said_in_one_line(sidecar: RunImage, finished: Finished) -> None:
    code, out, err = finished(sidecar("sync", environment={"PUID": "me", "UMASK": "9"}))
    assert (code, out) == (2, "")
    messages = [str(line["message"]) for line in json_lines(err)]
    assert any("PUID='me'" in message for message in messages)
    assert any("UMASK='9'" in message for message in messages)


def test_there_is_no_compiler_and_no_installer_in_it(sidecar: RunImage) -> None:
    service = sidecar("serve", "--every", "1h")
    found = inside.run(service, ["sh", "-c", "command -v gcc cc c++ make; ls /opt/media-sync/bin"]).out.decode().split()
    assert "media-sync" in found
    assert not {name for name in found if name.startswith("pip") or "/" in name}
