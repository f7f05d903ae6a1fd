"""Texts are found in every container, as Pillow and FFmpeg write them."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sidecar.media.metadata.containers import contents
from sidecar.media.metadata.containers.exif import user_comment
from sidecar.media.metadata.model import Contents
from tests.unit.mediamade import Film, noise

GRAPH = json.dumps({"1": {"class_type": "KSampler", "inputs": {"text": "füchse — テスト"}}}, ensure_ascii=False)
DRAWING = json.dumps({"nodes": [{"id": 1, "type": "KSampler"}] * 40})
SIZE = (96, 64)
EXIF_IFD, USER_COMMENT, MAKE, MODEL = 0x8769, 0x9286, 0x010F, 0x0110


def found(raw: bytes) -> Contents:
    return contents(io.BytesIO(raw))


def texts(raw: bytes) -> dict[str, str]:
    read = found(raw)
    assert read.problems == ()
    return {text.key.lower(): text.value for text in read.texts}


def saved(form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    noise().save(out, form, **options)
    return out.getvalue()


def png(fill: Callable[[PngInfo], None]) -> bytes:
    info = PngInfo()
    fill(info)
    return saved("PNG", pnginfo=info)


def exif(*, little: bool = False, comment: bytes = b"", **tags: str) -> bytes:
    made = Image.Exif()
    made.endian = "<" if little else ">"
    for tag, text in tags.items():
        made[{"make": MAKE, "model": MODEL}[tag]] = text
    if comment:
        made.get_ifd(EXIF_IFD)[USER_COMMENT] = comment
    return made.tobytes()


PNGS: dict[str, Callable[[PngInfo], None]] = {
    "tEXt": lambda info: info.add_text("prompt", GRAPH.encode("latin-1", "replace").decode("latin-1")),
    "zTXt": lambda info: info.add_text("prompt", "ä" * 50_000, zip=True),
    "iTXt": lambda info: info.add_itxt("prompt", GRAPH, "de", "Aufgabe"),
    "iTXt, deflated": lambda info: info.add_itxt("prompt", GRAPH, zip=True),
    "comf": lambda info: info.add(b"comf", b"prompt\0" + GRAPH.encode(), after_idat=True),
}


@pytest.mark.parametrize("kind", PNGS)
def test_png(kind: str) -> None:
    raw = png(PNGS[kind])
    expected = {"tEXt": GRAPH.encode("latin-1", "replace").decode("latin-1"), "zTXt": "ä" * 50_000}.get(kind, GRAPH)
    assert texts(raw) == {"prompt": expected}
    assert found(raw).size == SIZE
    assert found(raw).texts[0].origin == f"PNG {kind[:4]}"


def test_png_exif() -> None:
    assert texts(saved("PNG", exif=exif(model="prompt:" + DRAWING))) == {"prompt": DRAWING}


COMMENT = "a fox\nNegative prompt: blurry\nSteps: 1, Seed: 2, Size: 8x8, Model: テスト"
PLAIN = COMMENT.encode("ascii", "replace").decode()
COMMENTS = {
    "UTF-16 big-endian": (b"UNICODE\0" + COMMENT.encode("utf-16-be"), COMMENT),
    "UTF-16 little-endian": (b"UNICODE\0" + COMMENT.encode("utf-16-le"), COMMENT),
    "UTF-16 with a mark": (b"UNICODE\0" + COMMENT.encode("utf-16"), COMMENT),
    "ASCII": (b"ASCII\0\0\0" + PLAIN.encode(), PLAIN),
    "JIS": (b"JIS\0\0\0\0\0" + COMMENT.encode("iso2022_jp"), COMMENT),
    "undefined": (bytes(8) + COMMENT.encode(), COMMENT),
    "no header": (COMMENT.encode(), COMMENT),
}


@pytest.mark.parametrize("little", [False, True], ids=["MM", "II"])
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "PNG"])
@pytest.mark.parametrize("kind", COMMENTS)
def test_user_comment(form: str, kind: str, little: bool) -> None:
    raw, meant = COMMENTS[kind]
    read = found(saved(form, exif=exif(little=little, comment=raw)))
    assert [(text.place, text.value) for text in read.texts] == [("EXIF UserComment", meant)]
    assert read.size == SIZE


def test_user_comment_without_ascii_goes_by_the_header() -> None:
    for order, codec in ((">", "utf-16-be"), ("<", "utf-16-le")):
        assert user_comment(b"UNICODE\0" + "狐狸森林".encode(codec), order) == "狐狸森林"


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_comfyui_in_exif(form: str) -> None:
    raw = saved(form, exif=exif(make="Workflow: " + DRAWING, model="prompt:" + DRAWING))
    assert texts(raw) == {"prompt": DRAWING, "workflow": DRAWING}


def test_jpeg_comment() -> None:
    assert texts(saved("JPEG", comment=COMMENT.encode())) == {"comment": COMMENT}


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description><exif:UserComment><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{"c": "a &lt;lora:x:1&gt; fox"}</rdf:li></rdf:Alt></exif:UserComment>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF"])
def test_xmp(form: str) -> None:
    assert texts(saved(form, xmp=XMP.encode())) == {"usercomment": '{"c": "a <lora:x:1> fox"}'}


FILMS = {
    "mp4, keys": (Film("mp4", "mpeg4", {"movflags": "use_metadata_tags"}), ("prompt", "workflow", "comment")),
    "mp4, keys first": (
        Film("mp4", "mpeg4", {"movflags": "use_metadata_tags+faststart"}),
        ("prompt", "workflow", "comment"),
    ),
    "mp4, iTunes": (Film("mp4", "mpeg4"), ("comment",)),
    "mp4, fragments": (Film("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}), ("comment",)),
    "mov": (Film("mov", "mjpeg", pixels="yuvj420p"), ("comment",)),
    "mov, keys": (Film("mov", "mpeg4", {"movflags": "use_metadata_tags"}), ("prompt", "workflow", "comment")),
    "webm": (Film("webm", "libvpx"), ("prompt", "workflow", "comment")),
    "webm, live": (Film("webm", "libvpx", {"live": "1"}), ("prompt", "workflow", "comment")),
    "mkv": (Film("matroska", "mpeg4"), ("prompt", "workflow", "comment")),
    "flac": (Film("flac", "flac", layout="stereo"), ("prompt", "workflow", "description")),
    "mp3, ID3v2.4": (Film("mp3", "libmp3lame", layout="stereo"), ("prompt", "workflow", "comment")),
    "mp3, ID3v2.3": (
        Film("mp3", "libmp3lame", {"id3v2_version": "3"}, layout="stereo"),
        ("prompt", "workflow", "comment"),
    ),
    "opus": (Film("opus", "libopus", layout="stereo"), ("prompt", "workflow", "description")),
    "ogg flac": (Film("ogg", "flac", layout="stereo"), ("prompt", "workflow", "description")),
}


@pytest.mark.parametrize("name", FILMS)
def test_films_and_sounds(name: str) -> None:
    film, keys = FILMS[name]
    long = DRAWING * 60  # over several Ogg pages
    meant = {"prompt": GRAPH, "workflow": long, "comment": "こんにちは " + GRAPH}
    meant["description"] = meant["comment"]  # what FFmpeg makes of it in Vorbis comments
    with tempfile.NamedTemporaryFile(suffix=".media") as file:
        film.write(file.name, tags={key: meant[key] for key in ("prompt", "workflow", "comment")})
        raw = Path(file.name).read_bytes()
    read = texts(raw)
    assert {key: read.get(key) for key in keys} == {key: meant[key] for key in keys}
    assert found(raw).size == (None if film.layout else SIZE)


def test_flac_behind_an_id3_tag() -> None:
    tag = b"ID3\4\0\0" + bytes((0, 0, 1, 0)) + bytes(128)
    raw = Film("flac", "flac", layout="mono").finished()
    assert found(tag + raw).texts == found(raw).texts != ()


def test_unknown_and_empty_files_are_named() -> None:
    assert found(b"").problems == ("empty",)
    assert found(b"hello, this is text").problems == ("no known image, video or sound",)
    assert found(saved("PNG")) == Contents("png", SIZE)
