"""What lies on which mount, and what is lost with a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import LibraryUnsafe
from sidecar.host import mounts
from sidecar.host.mounts import Mount, mount_of, require_mounted

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


@pytest.mark.parametrize(
    ("mount", "sign", "refused"),
    [
        (Mount("/", "overlay"), True, True),
        (Mount("/library", "tmpfs"), True, False),  # somebody's own decision
        (Mount("/library", "ext4"), True, False),
        (Mount("/", "ext4"), True, False),  # a virtual machine made from an image
        (Mount("/", "overlay"), False, False),
    ],
)
def test_what_goes_with_a_container_is_refused(
    mount: Mount, sign: bool, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "mount_of", lambda _path: mount)
    monkeypatch.setattr(mounts, "in_container", lambda: sign)
    if refused:
        with pytest.raises(LibraryUnsafe, match="is not mounted: it would be lost"):
            require_mounted(tmp_path)
    else:
        require_mounted(tmp_path)


def test_a_container_is_known_by_its_sign(tmp_path: Path) -> None:
    sign = tmp_path / ".dockerenv"
    assert not mounts.in_container((str(sign),))
    sign.touch()
    assert mounts.in_container((str(sign),))
