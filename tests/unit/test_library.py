"""The library on a real disk: whole or absent, never over another, never elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import LibraryUnsafe, Locked, NameUnusable
from sidecar.library import OWN_FOLDER, Library, Placed, Staged, read_marker
from sidecar.library.names import NAME_MAX, TEMPORARY, split, tagged
from tests.unit.batches import batch_of

STAMP = 1_700_000_000_123_456_789


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def staged(library: Library, data: bytes) -> Staged:
    made = library.stage("gen")
    made.write(data)
    made.stamp(STAMP)
    made.flush()
    return made


def store(library: Library, path: bytes, data: bytes, tag: str = "") -> Placed:
    made = staged(library, data)
    try:
        return batch_of(library).place(made, path, sha(data), tag)
    finally:
        made.close()


def contents(root: Path) -> dict[bytes, bytes]:
    found = {}
    for folder, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, os.fsencode(root))] = file.read()
    return {path: data for path, data in found.items() if not path.startswith(OWN_FOLDER.encode())}


@pytest.fixture(params=["unnamed", "named"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    """An open library, staging without a name, and with a temporary one as on file systems without O_TMPFILE."""
    made = Library.open(tmp_path / "library", expect=None)
    if request.param == "named":
        made._tmpfile = False
    yield made
    made.close()


def test_nothing_has_a_name_before_it_is_whole(library: Library) -> None:
    made = library.stage("gen")
    made.write(b"half")
    visible = [path for path in contents(library.root) if TEMPORARY not in path]
    assert visible == []
    made.close()
    made.close()
    assert contents(library.root) == {}, "what got no name leaves nothing"


def test_a_placed_file_has_bytes_and_time(library: Library) -> None:
    placed = store(library, b"d/e/a.png", b"one")
    batch_of(library).flush()
    assert placed == Placed(b"gen/d/e/a.png")
    assert contents(library.root) == {b"gen/d/e/a.png": b"one"}
    assert os.stat(library.root / "gen/d/e/a.png").st_mtime_ns == STAMP
    assert library.rehash(placed.path) == (sha(b"one"), 3)
    assert library.rehash(b"gen/none.png") is None


def test_no_content_replaces_another(library: Library) -> None:
    one, two = b"one", b"two"
    second = b"gen/a~%s.png" % sha(two).hex()[:8].encode()
    assert store(library, b"a.png", one).path == b"gen/a.png"
    assert store(library, b"a.png", two).path == second
    assert store(library, b"a.png", one) == Placed(b"gen/a.png", existed=True)
    assert store(library, b"a.png", two) == Placed(second, existed=True)
    assert contents(library.root) == {b"gen/a.png": one, second: two}
    (library.root / os.fsdecode(second)).write_bytes(b"not two")
    third = store(library, b"a.png", two)
    assert third == Placed(b"gen/a~%s.png" % sha(two).hex()[:16].encode()), "a spoilt copy is no copy, and stays"
    assert contents(library.root)[second] == b"not two"


def test_a_link_is_one_more_name_of_the_same_bytes(library: Library) -> None:
    first = store(library, b"a.png", b"one")
    second = batch_of(library).place_link(first.path, b"d/b.png", sha(b"one"), 3)
    assert second == Placed(b"gen/d/b.png")
    assert library.inode_of(first.path) == library.inode_of(second.path)
    store(library, b"c.png", b"other")
    third = batch_of(library).place_link(first.path, b"c.png", sha(b"one"), 3)
    assert third is not None
    assert third.path.startswith(b"gen/c~")
    assert contents(library.root)[b"gen/c.png"] == b"other"


def test_a_tag_forces_its_name(library: Library) -> None:
    assert store(library, b"a.txt", b"one", tag="1234abcd").path == b"gen/a~1234abcd.txt"
    assert store(library, b"a.txt", b"one", tag="1234abcd").existed
    assert store(library, b"a.txt", b"two", tag="1234abcd").path.startswith(b"gen/a~3fc4ccfe")


EVIL = [b"../x.png", b"a/../../x.png", b"/etc/x.png", b"a//x.png", b"./x.png", b"a/.", b"..", b"", b"a/", b"x\0.png"]


PARTS = st.sampled_from([b"a", b".", b"..", b"", b"...", b".a", b"\0", b"\n", b"a\n"])


@given(st.lists(PARTS, min_size=1).map(b"/".join))
def test_safe_paths_are_those_without_a_part_that_leads_elsewhere(path: bytes) -> None:
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part for part in parts):
        with pytest.raises(NameUnusable):
            split(path)
    else:
        assert split(path) == (b"/".join(parts[:-1]), parts[-1])


@pytest.mark.parametrize("path", EVIL)
def test_a_path_that_could_lead_elsewhere_is_refused(library: Library, path: bytes) -> None:
    before = sorted(os.listdir(library.root.parent))
    with pytest.raises(NameUnusable):
        store(library, path, b"evil")
    with pytest.raises(NameUnusable):
        library.rehash(b"gen/" + path)
    assert contents(library.root) == {}
    assert sorted(os.listdir(library.root.parent)) == before


@pytest.mark.parametrize("link", ["gen", "gen/d"])
def test_a_link_where_a_folder_belongs_is_not_followed(library: Library, link: str) -> None:
    victim = library.root.parent / "victim"
    victim.mkdir()
    (library.root / link).parent.mkdir(exist_ok=True)
    (library.root / link).symlink_to(victim)
    with pytest.raises(NameUnusable):
        store(library, b"d/a.png", b"one")
    assert os.listdir(victim) == []


def test_a_link_where_a_file_belongs_is_not_written_through(library: Library) -> None:
    victim = library.root.parent / "victim.png"
    victim.write_bytes(b"one")
    (library.root / "gen").mkdir()
    (library.root / "gen" / "a.png").symlink_to(victim)
    placed = store(library, b"a.png", b"one")
    assert placed.path.startswith(b"gen/a~"), "a link to the same bytes is no copy"
    assert victim.read_bytes() == b"one"
    assert library.rehash(b"gen/a.png") is None


def test_names_that_cannot_be_are_errors_of_that_name(library: Library) -> None:
    store(library, b"a.png", b"one")
    for path in (b"a.png/b.png", b"x" * 256 + b".png"):
        with pytest.raises(NameUnusable):
            store(library, path, b"two")
    assert contents(library.root) == {b"gen/a.png": b"one"}


def test_many_folders_and_threads(library: Library) -> None:
    files = {b"%03d/%03d/a.png" % (n % 150, n): b"%d" % n for n in range(300)}
    with ThreadPoolExecutor(4) as pool:
        waiting = list(pool.map(lambda data: staged(library, data), files.values()))
        library.flush(waiting, pool)
    for (path, data), made in zip(files.items(), waiting, strict=True):
        batch_of(library).place(made, path, sha(data))
        made.close()
    batch_of(library).flush()
    assert contents(library.root) == {b"gen/" + path: data for path, data in files.items()}


def test_what_a_crash_left_is_swept(library: Library) -> None:
    store(library, b"a.png", b"one")
    (library.root / "gen" / (TEMPORARY.decode() + "0123")).write_bytes(b"half")
    assert library.sweep() == 1
    assert contents(library.root) == {b"gen/a.png": b"one"}


# -- whose it is --------------------------------------------------------------------------------------------------


def test_a_library_has_one_user_at_a_time(tmp_path: Path) -> None:
    first = Library.open(tmp_path, expect=None)
    with pytest.raises(Locked):
        Library.open(tmp_path, expect=first.id)
    first.close()
    first.close()
    Library.open(tmp_path, expect=first.id).close()


def test_a_library_is_known_by_its_marker(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "l", expect=None)
    library.check_marker()
    assert read_marker(tmp_path / "l") == library.id
    os.unlink(tmp_path / "l" / OWN_FOLDER / "library.json")
    with pytest.raises(LibraryUnsafe, match="marker is gone"):
        library.check_marker()
    library.close()
    with pytest.raises(LibraryUnsafe, match="missing"):
        Library.open(tmp_path / "l", expect=library.id)
    shutil.rmtree(tmp_path / "l")
    with pytest.raises(LibraryUnsafe):
        Library.open(tmp_path / "l", expect=library.id)
    assert not (tmp_path / "l").exists(), "an unmounted library is not made anew"
    other = Library.open(tmp_path / "other", expect=None)
    other.close()
    with pytest.raises(LibraryUnsafe, match="another state"):
        Library.open(tmp_path / "other", expect=library.id)


# -- names ----------------------------------------------------------------------------------------------------------

NAMES = st.binary(min_size=1, max_size=NAME_MAX).filter(lambda n: b"/" not in n and b"\0" not in n)


@given(NAMES, st.sampled_from(["deadbeef", "0" * 16, "f" * 64]))
def test_a_second_name_fits_and_says_what_it_holds(name: bytes, tag: str) -> None:
    other = tagged(name, tag)
    assert other != name
    assert len(other) <= NAME_MAX
    assert b"~" + tag.encode() in other
    assert b"/" not in other
    _, dot, ext = name.lstrip(b".").rpartition(b".")
    if dot and len(ext) < 100:
        assert other.endswith(b"." + ext)
