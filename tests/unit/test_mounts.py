"""What lies on which mount, and what is lost with a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar import mounts
from sidecar.errors import LibraryUnsafe
from sidecar.mounts import Mount, mount_of, require_mounted

INFO = """\
22 1 0:30 / / rw,relatime - overlay overlay rw
23 22 0:31 / /proc rw - proc proc rw
24 22 254:0 /data /library rw,relatime shared:1 - ext4 /dev/vda rw
25 22 0:40 / /library/deep\\040er rw - tmpfs tmpfs rw
26 22 254:0 /other /library rw,relatime - xfs /dev/vdb rw
"""


@pytest.fixture
def info(tmp_path: Path) -> str:
    file = tmp_path / "mountinfo"
    file.write_text(INFO)
    return str(file)


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/state", "/", "overlay"),
        ("/library", "/library", "xfs"),  # of two mounts on one point the later one is seen
        ("/library/a/b", "/library", "xfs"),
        ("/libraryish", "/", "overlay"),
        ("/library/deep er/x", "/library/deep er", "tmpfs"),
    ],
)
def test_the_deepest_mount_holds_a_path(path: str, point: str, kind: str, info: str) -> None:
    assert mount_of(path, info) == Mount(point, kind)


def test_without_the_kernels_list_nothing_is_claimed() -> None:
    assert mount_of("/", "/not/there") == Mount("", "")


def test_only_in_a_container_an_unmounted_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_mounted(tmp_path)
    sign = tmp_path / ".dockerenv"
    sign.touch()
    monkeypatch.setattr(mounts.in_container, "__defaults__", ((str(sign),),))
    if mount_of(str(tmp_path)).point != "/":
        monkeypatch.setattr(mounts, "mount_of", lambda _path: Mount("/", "overlay"))
    with pytest.raises(LibraryUnsafe, match="is not mounted: it would be lost"):
        require_mounted(tmp_path)
