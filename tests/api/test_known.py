"""What was found out about files, over HTTP: search by words, their metadata, their thumbnails."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from PIL import Image

from sidecar.config import MediaSettings
from sidecar.media.pipeline import MediaPipeline
from tests.api.running import Api, as_reader, problem
from tests.unit.media.test_workers import INFO, picture


@dataclass(frozen=True, slots=True)
class Known:
    """A library that was looked into. Hashes of a fox, a cat and a file that is none."""

    api: Api
    fox: str
    cat: str
    broken: str

    def found(self, query: str) -> list[str]:
        """The paths that a query finds."""
        reply = self.api.ask(f"/api/v1/items?q={quote(query)}", "GET", as_reader())
        assert reply.status == 200, reply
        return [item["path"] for item in reply.json["items"]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("known")
    fox = picture(folder / "fox.png", (1024, 768)).read_bytes()
    cat = picture(folder / "cat.png", text="a tabby cat\nSteps: 4, Sampler: LCM, CFG scale: 1, Seed: 9, Model: tiny")
    with Api(folder) as api:
        hashes = [
            api.store("gen", b"2026-01-02/fox.png", fox),
            api.store("gen", b"cat.png", cat.read_bytes()),
            api.store("other", b"broken.png", fox[:5000]),
        ]
        asyncio.run(look(api))
        yield Known(api, *hashes)


async def look(api: Api) -> None:
    async with MediaPipeline(api.library, api.manifest, api.settings.state, MediaSettings(), api.bus) as pipeline:
        await pipeline.catch_up()


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("fox", ["broken.png", "2026-01-02/fox.png"]),
        ('"red fox" -source', ["broken.png", "2026-01-02/fox.png"]),
        ("seed:9", ["cat.png"]),
        ("9 tabby", ["cat.png"]),
        ("seed:9 seed:5", ["broken.png", "cat.png", "2026-01-02/fox.png"]),
        ("seed:-9", []),
        ("-tabby", ["broken.png", "2026-01-02/fox.png"]),
        ("source:gen -tabby -snow", ["2026-01-02/fox.png"]),
        ("model:tin prompt:tabby", ["cat.png"]),
        ("fox source:gen", ["2026-01-02/fox.png"]),
        ("fox kind:video", []),
        ("cat -tabby", []),
        ("name:FOX", ["2026-01-02/fox.png"]),
        ("a", ["broken.png", "cat.png", "2026-01-02/fox.png"]),
    ],
)
def test_words_and_keys(query: str, paths: list[str], known: Known) -> None:
    assert known.found(query) == paths


def test_a_parameter_goes_before_the_query(known: Known) -> None:
    reply = known.api.ask("/api/v1/items?q=fox%20source:gen&source=other", "GET", as_reader())
    assert [item["path"] for item in reply.json["items"]] == ["broken.png"]


@pytest.mark.parametrize(
    ("query", "word"),
    [("sead:5", "sead"), ("after:soon", "soon"), ("-kind:video", "left out"), ("kind:movie", "movie")],
)
def test_a_query_that_means_nothing_is_told(query: str, word: str, known: Known) -> None:
    problem(known.api.ask(f"/api/v1/items?q={quote(query)}", "GET", as_reader()), 422, word)


def test_items_have_what_the_file_says_and_no_raw_texts(known: Known) -> None:
    (item,) = known.api.ask("/api/v1/items?q=seed:5&source=gen", "GET", as_reader()).json["items"]
    said = item["metadata"]
    assert (said["prompt"], said["negative_prompt"], said["seed"], said["steps"]) == ("a red fox", "dull", 5, 20)
    assert not [name for name in said if name.startswith("raw")]


def test_metadata_is_all_of_it(known: Known) -> None:
    told = known.api.ask(f"/api/v1/items/{known.fox}/metadata", "GET", as_reader()).json
    assert told["metadata"]["raw_text"] == INFO
    assert told["found"]["type"] == {"format": "png", "mime": "image/png", "size": [1024, 768]}
    assert told["found"]["integrity"] == {"ends": True, "decodes": True}
    assert told["problems"] == []
    broken = known.api.ask(f"/api/v1/items/{known.broken}/metadata", "GET", as_reader()).json
    assert broken["metadata"]["prompt"] == "a red fox", "what is before the damage is read"
    assert any(line.startswith("integrity") for line in broken["problems"])


def test_a_thumbnail_is_small(known: Known) -> None:
    reply = known.api.ask(f"/api/v1/items/{known.fox}/thumbnail", "GET", as_reader())
    assert reply.headers["content-type"] == "image/webp"
    assert reply.headers["content-security-policy"].startswith("sandbox")
    assert reply.headers["etag"] == f'"{known.fox}-thumbnail"', "it is another file than the original that stood in"
    with Image.open(io.BytesIO(reply.body)) as small:
        assert (small.format, small.size) == ("WEBP", (512, 384))
