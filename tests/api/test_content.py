"""Files over HTTP: which part of them, as what, and that nothing beside the library is ever reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from generators import media

from tests.api.running import Api, Reply, as_control, as_reader, problem
from tests.engine.commands import eventually, heavy_png

ODD = 'ünder score".png'.encode()


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the library, by hash."""

    api: Api
    picture: str
    content: bytes
    text: str
    odd: str
    clip: str
    large: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with Api(tmp_path_factory.mktemp("content")) as api:
        content = heavy_png(500_000)
        yield Stored(
            api,
            picture=api.store("gen", b"2026-01-02/a.png", content),
            content=content,
            text=api.store("gen", b"a.txt", b"<script>alert(1)</script>", "text"),
            odd=api.store("gen", ODD, media.tiny_png(7)),
            clip=api.store("gen", b"clip.mp4", b"no real clip", "video"),
            large=api.store("gen", b"large.png", heavy_png(9_000_000)),
        )


def content(stored: Stored, digest: str, *, method: str = "GET", part: str = "content", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return stored.api.ask(f"/api/v1/items/{digest}/{part}", method, as_reader(**named))


def test_a_picture_is_shown_and_nothing_in_it_runs(stored: Stored) -> None:
    found = content(stored, stored.picture)
    assert (found.status, found.body) == (200, stored.content)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["content-disposition"].startswith("inline")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert found.headers["etag"] == f'"{stored.picture}"'
    assert found.headers["content-length"] == str(len(stored.content))


def test_what_browsers_could_take_for_a_page_is_a_download(stored: Stored) -> None:
    found = content(stored, stored.text)
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"].startswith("attachment")
    assert found.headers["content-security-policy"].startswith("sandbox")


def test_a_name_cannot_break_out_of_its_header(stored: Stored) -> None:
    said = content(stored, stored.odd).headers["content-disposition"]
    assert said == "inline; filename=\"_nder score_.png\"; filename*=UTF-8''%C3%BCnder%20score%22.png"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=100-", 100, None), ("bytes=-5", -5, None),
     ("bytes=0-99999999999", 0, None), ("bytes=-99999999999", 0, None)],
)  # fmt: skip
def test_a_part(asked: str, start: int, stop: int | None, stored: Stored) -> None:
    found = content(stored, stored.picture, Range=asked)
    part = stored.content[start:stop]
    begin = start % len(stored.content)
    assert (found.status, found.body) == (206, part)
    assert found.headers["content-range"] == f"bytes {begin}-{begin + len(part) - 1}/{len(stored.content)}"
    assert found.headers["content-length"] == str(len(part))


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=5-1", "bytes=x-y", "bytes=", "bytes=-"])
def test_what_is_not_one_range_is_the_whole(asked: str, stored: Stored) -> None:
    found = content(stored, stored.picture, Range=asked)
    assert (found.status, len(found.body)) == (200, len(stored.content))


@pytest.mark.parametrize("asked", ["bytes=600000-", "bytes=600000-600001", "bytes=-0"])
def test_beyond_the_end_is_nothing(asked: str, stored: Stored) -> None:
    found = content(stored, stored.picture, Range=asked)
    problem(found, 416)
    assert found.headers["content-range"] == f"bytes */{len(stored.content)}"


def test_what_a_client_has_already(stored: Stored) -> None:
    tag = f'"{stored.picture}"'
    assert content(stored, stored.picture, If_None_Match=tag).status == 304
    assert content(stored, stored.picture, If_None_Match=f'"x", W/{tag}').status == 304
    assert content(stored, stored.picture, If_None_Match='"x"').status == 200
    assert content(stored, stored.picture, Range="bytes=0-1", If_Range=tag).status == 206
    for other in ('"x"', f"W/{tag}", "Mon, 02 Mar 2026 10:00:00 GMT"):
        assert content(stored, stored.picture, Range="bytes=0-1", If_Range=other).status == 200


def test_what_it_is_without_its_bytes(stored: Stored) -> None:
    found = content(stored, stored.picture, method="HEAD")
    assert (found.status, found.body) == (200, b"")
    assert found.headers["content-length"] == str(len(stored.content))
    part = content(stored, stored.picture, method="HEAD", Range="bytes=0-9")
    assert (part.status, part.headers["content-length"]) == (206, "10")


def test_small_pictures_are_their_own_thumbnails(stored: Stored) -> None:
    found = content(stored, stored.picture, part="thumbnail")
    assert found.body == stored.content
    assert found.headers["cache-control"] == "private, no-cache", "until there is one"
    for other in (stored.clip, stored.text, stored.large):
        problem(content(stored, other, part="thumbnail"), 404, "thumbnail")


def test_nothing_is_known_of_what_nobody_looked_into(stored: Stored) -> None:
    found = content(stored, stored.picture, part="metadata")
    assert found.json == {"hash": stored.picture, "metadata": None, "found": None, "problems": []}


def test_items_are_what_list_prints(stored: Stored) -> None:
    page = stored.api.ask("/api/v1/items?limit=2&name=A.", headers=as_reader()).json
    assert [item["path"] for item in page["items"]] == ["a.txt", "2026-01-02/a.png"]
    assert page["next"] is None
    first = stored.api.ask("/api/v1/items?limit=1", headers=as_reader()).json
    rest = stored.api.ask(f"/api/v1/items?cursor={first['next']}", headers=as_reader()).json
    assert [item["path"] for item in first["items"] + rest["items"]] == [
        "large.png", "clip.mp4", ODD.decode(), "a.txt", "2026-01-02/a.png"]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "count"),
    [("kind=video", 1), ("kind=video&kind=text", 2), ("source=GEN", 5), ("source=other", 0), ("state=purged", 0),
     ("after=2023-11-14&before=2023-11-14", 5), ("after=2023-11-15", 0), ("before=2023-11-13", 0),
     ("after=9999-12-31", 0), ("after=0001-01-01&before=9999-12-31T23:59:59-23:59", 5),
     ("after=2023-11-14T22:13:20Z&before=2023-11-14T22:13:20Z", 5), ("after=2023-11-15T00:13:20%2B02:00", 5),
     ("name=%27%3B%20DROP%20TABLE%20files", 0)],
)  # fmt: skip
def test_search(query: str, count: int, stored: Stored) -> None:
    found = stored.api.ask(f"/api/v1/items?{query}", headers=as_reader())
    assert found.status == 200, found
    assert len(found.json["items"]) == count


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=-1", "cursor=x", "kind=program",
                                   "after=yesterday", "state=", f"name={'x' * 201}"])  # fmt: skip
def test_a_search_that_cannot_be_meant(query: str, stored: Stored) -> None:
    problem(stored.api.ask(f"/api/v1/items?{query}", headers=as_reader()), 422, query.split("=")[0])


# -- nothing beside the library -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//etc/passwd",
     "/etc/passwd", "%2fetc%2fpasswd", "..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd", "%00", "a%00.png",
     "%252e%252e%252fetc%252fpasswd", ".media-sync/library.json", "gen/2026-01-02/a.png", "z" * 64, "A" * 64, "0" * 63,
     "0" * 65, "0" * 64, f"{'0' * 64}/../{'0' * 64}"],
)  # fmt: skip
def test_a_path_leads_nowhere_but_to_a_hash(path: str, stored: Stored) -> None:
    for part in ("content", "thumbnail", "metadata"):
        found = stored.api.ask(f"/api/v1/items/{path}/{part}", headers=as_control())
        assert found.status in (404, 422), (path, found)
        assert found.headers["content-type"] == "application/problem+json"
        assert b"root:" not in found.body


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/..%2fpyproject.toml", "/page/../app.py", "/%2e%2e/app.py",
                                  "/app.py", "/__init__.py", "//etc/passwd", "/index.html/", "/.%00"])  # fmt: skip
def test_the_page_has_its_own_files_and_no_other(path: str, stored: Stored) -> None:
    problem(stored.api.ask(path), 404)


def test_a_link_in_the_library_is_not_followed(tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("secret") / "a.png"
    secret.write_bytes(media.tiny_png(1))
    with Api(tmp_path_factory.mktemp("links")) as api:
        digest = api.store("gen", b"sub/a.png", secret.read_bytes())
        copy = api.settings.library / "gen" / "sub" / "a.png"
        assert api.ask(f"/api/v1/items/{digest}/content", headers=as_reader()).status == 200
        copy.unlink()
        copy.symlink_to(secret)
        problem(api.ask(f"/api/v1/items/{digest}/content", headers=as_reader()), 404)
        copy.unlink()
        copy.parent.rmdir()
        copy.parent.symlink_to(secret.parent)
        problem(api.ask(f"/api/v1/items/{digest}/content", headers=as_reader()), 404)
        copy.parent.unlink()
        os.mkfifo(copy.parent)
        problem(api.ask(f"/api/v1/items/{digest}/content", headers=as_reader()), 404)


def test_a_copy_of_another_size_is_no_copy(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Api(tmp_path_factory.mktemp("damaged")) as api:
        digest = api.store("gen", b"a.png", media.tiny_png(1))
        with open(api.settings.library / "gen" / "a.png", "ab") as file:
            file.write(b"more")
        problem(api.ask(f"/api/v1/items/{digest}/content", headers=as_reader()), 404, "verify")


def test_no_descriptor_stays_open(stored: Stored) -> None:
    for _ in range(3):
        content(stored, stored.picture, Range="bytes=9999999-")
        content(stored, stored.picture, If_None_Match="*")
        content(stored, stored.picture, method="HEAD")
        content(stored, stored.picture)
    library = os.path.realpath(stored.api.settings.library)

    def held() -> list[str]:
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        names = [os.readlink(link) for link in links if os.path.lexists(link)]
        return [name for name in names if name.startswith(library) and name.endswith(".png")]

    eventually(lambda: held() == [], "the last answer's file to be closed")
