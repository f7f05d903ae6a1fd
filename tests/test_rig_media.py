"""The stand-ins' output: real files with metadata that other readers find, laid out and written as generators do."""

from __future__ import annotations

import io
import json
from collections import Counter

import av
import pytest
from generators import layout, media
from generators.media import Recipe
from PIL import Image

from tests.conftest import MakeGenerator


def test_metadata_lies_where_the_generators_put_it() -> None:
    recipe = Recipe(7)
    with Image.open(io.BytesIO(media.comfyui_png(recipe))) as image:
        assert json.loads(image.info["prompt"])["3"]["inputs"]["seed"] == 7
        assert {"KSampler", "SaveImage"} < {node["type"] for node in json.loads(image.info["workflow"])["nodes"]}
    with Image.open(io.BytesIO(media.forge_png(recipe))) as image:
        assert image.info["parameters"] == recipe.parameters()
    for data in (media.forge_jpeg(recipe), media.forge_webp(recipe)):
        with Image.open(io.BytesIO(data)) as image:
            comment = image.getexif().get_ifd(media.EXIF_IFD)[media.USER_COMMENT]
            assert comment == b"UNICODE\0" + recipe.parameters().encode("utf-16-be")
    with Image.open(io.BytesIO(media.comfyui_webp(recipe))) as image:
        assert image.getexif()[media.EXIF_MODEL].startswith("prompt:{")
        assert getattr(image, "n_frames", 1) == 6
    with av.open(io.BytesIO(media.comfyui_mp4(recipe))) as video:
        assert json.loads(video.metadata["prompt"]) == recipe.graph()
    assert media.forge_png(recipe) == media.forge_png(Recipe(7))


@pytest.mark.parametrize("image", ["busybox_image", "python_image"])
def test_trees_arrive_whole(image: str, generator: MakeGenerator, request: pytest.FixtureRequest) -> None:
    comfyui = generator(image=request.getfixturevalue(image), root=layout.COMFYUI_ROOT)
    forge = generator(image=request.getfixturevalue(image), root=layout.FORGE_ROOT)
    kinds: Counter[str] = Counter()
    for made, files in ((comfyui, layout.comfyui()), (forge, layout.forge())):
        layout.write(made.container, made.root, files)
        seen = made.stats()
        inside = [file for file in files if not file.path.startswith("../")]
        assert {file.path.encode() for file in inside} == made.files()
        assert all(made.read(file.path) == file.data for file in inside[:3])
        assert all(seen[file.path.encode()].size == len(file.data) for file in inside)
        kinds.update(file.path.rsplit(".", 1)[-1] for file in files)
    assert forge.exec("ls", f"{layout.FORGE_ROOT}/../log/images").out.split()[-1] == b"log.csv"
    assert kinds["png"] + kinds["jpg"] + kinds["webp"] >= 60
    assert kinds["mp4"] == 1
