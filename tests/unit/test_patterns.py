"""Globs over paths that are bytes."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import Wrong, globs
from sidecar.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.png", b"a.png", True),
        ("*.png", b"2026/01/a.png", True),
        ("*.png", b"a.PNG", False),
        ("*.png", b"a.png.txt", False),
        ("keep/*.png", b"keep/a.png", True),
        ("keep/*.png", b"keep/b/a.png", False),
        ("keep/*.png", b"other/keep/a.png", False),
        ("/a.png", b"a.png", True),
        ("/a.png", b"b/a.png", False),
        ("keep/**", b"keep/b/a.png", True),
        ("**/keep/*", b"keep/a.png", True),
        ("**/keep/*", b"x/y/keep/a.png", True),
        ("a/**/b.png", b"a/b.png", True),
        ("a/**/b.png", b"a/x/y/b.png", True),
        ("previews/", b"previews/a.png", True),
        ("previews/", b"x/previews/y/a.png", True),
        ("previews/", b"previews", False),
        ("a/previews/", b"a/previews/x.png", True),
        ("a/previews/", b"x/a/previews/x.png", False),
        ("a?c", b"abc", True),
        ("a?c", b"a/c", False),
        ("img[0-9].png", b"img7.png", True),
        ("img[!0-9].png", b"img7.png", False),
        ("img[!0-9].png", b"imgx.png", True),
        ("a[!b]c", b"a/c", False),
        ("a[", b"a[", True),
        ("a.b", b"axb", False),
        ("(a|b)+", b"(a|b)+", True),
        ("two lines*", b"two lines\n.png", True),
        ("caf?.png", b"caf\xe9.png", True),
        ("caf*.png", b"caf\xe9.png", True),
        ("café*", "café.png".encode(), True),
        ("*", b"any/thing", True),
    ],
)
def test_globs(pattern: str, path: bytes, fits: bool) -> None:
    assert matches(path, (pattern,)) is fits


def test_any_of_several() -> None:
    assert matches(b"a.png", ("*.jpg", "*.png"))
    assert not matches(b"a.png", ())


@given(name=st.text("ab.-[]!*?é\\^$", min_size=1, max_size=12))
def test_every_name_can_be_named(name: str) -> None:
    """Escaped as fnmatch escapes, a name matches itself and nothing that is longer."""
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in name)
    assert matches(name.encode(), (escaped,))
    assert not matches(name.encode() + b"x", (escaped,))


@given(pattern=st.text("ab*?", min_size=1, max_size=8).filter(lambda p: "**" not in p), name=st.text("ab", max_size=8))
def test_like_fnmatch_within_a_folder(pattern: str, name: str) -> None:
    assert matches(name.encode(), (pattern,)) is fnmatch.fnmatchcase(name, pattern)


def test_what_is_no_glob_is_said_when_settings_are_read() -> None:
    with pytest.raises(Wrong, match="is not a glob"):
        globs(["[z-a]"])
