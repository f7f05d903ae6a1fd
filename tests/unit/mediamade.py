"""Finished media files of every format, made with Pillow and FFmpeg (PyAV), or by hand where neither can."""

from __future__ import annotations

import io
import random
import struct
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import av
from PIL import Image


def noise(width: int = 96, height: int = 64, seed: int = 1, mode: str = "RGB") -> Image.Image:
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * len(mode)))


def still(format_: str, **options: Any) -> bytes:
    out = io.BytesIO()
    noise().save(out, format_, **options)
    return out.getvalue()


def animated(format_: str, **options: Any) -> bytes:
    more = [noise(seed=n) for n in range(2, 5)]
    return still(format_, save_all=True, append_images=more, duration=80, **options)


def thumbnailed_jpeg() -> bytes:
    """A JPEG inside the EXIF of a JPEG, as cameras and editors make them: EOI comes twice."""
    thumbnail = still("JPEG")[:20_000]
    segment = b"Exif\0\0" + thumbnail
    whole = still("JPEG", quality=95)
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:]


def exif() -> Image.Exif:
    made = Image.Exif()
    made[0x0110] = 'prompt:{"1": {}}'
    return made


COMMENT: Mapping[str, str] = MappingProxyType({"comment": '{"prompt": 1}'})


@dataclass(frozen=True)
class Film:
    """A recipe for one file of FFmpeg's."""

    format: str
    codec: str
    options: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    layout: str = ""  # set for sound

    def write(self, target: Any, *, until: str = "end", tags: Mapping[str, str] = COMMENT) -> None:
        """Write to a file name or object; with `until` of `header` or `content`, stop as a killed writer stops."""
        film = av.open(target, "w", format=self.format, options=self.options)
        for key, text in tags.items():
            film.metadata[key] = text
        stream: Any = film.add_stream(self.codec, rate=48000 if self.layout else 10)
        if self.layout:
            stream.layout = self.layout
        else:
            stream.width, stream.height, stream.pix_fmt = 96, 64, self.pixels
        film.start_encoding()
        if until != "header":
            for frame in tones(self.layout) if self.layout else pictures():
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
        if until == "end":
            film.close()
        else:
            KEPT_OPEN.append(film)

    def finished(self) -> bytes:
        with tempfile.NamedTemporaryFile() as file:  # faststart reads the file again by its name
            self.write(file.name)
            return file.read()

    def unfinished(self, until: str) -> bytes:
        out = io.BytesIO()
        self.write(out, until=until)
        return out.getvalue()


KEPT_OPEN: list[Any] = []  # closing them would write their ends


def pictures() -> Iterator[av.VideoFrame]:
    made: Any = av.VideoFrame
    return (made.from_image(noise(seed=n)) for n in range(30))


def tones(layout: str, seconds: int = 2) -> Iterator[av.AudioFrame]:
    dice = random.Random(3)
    for n in range(seconds * 50):
        frame = av.AudioFrame(format="s16", layout=layout, samples=960)
        frame.planes[0].update(dice.randbytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = 48000, n * 960
        yield frame


def python_wave() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(random.Random(5).randbytes(20_001))
    return out.getvalue()


def box(name: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload) + 8) + name + payload


def jxl_boxes(*, parts: bool) -> bytes:
    data = random.Random(6).randbytes(3000)
    head = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    if not parts:
        return head + box(b"jxlc", data)
    return head + box(b"jxlp", struct.pack(">I", 0) + data) + box(b"jxlp", struct.pack(">I", 0x80000001) + data)


def glb() -> bytes:
    text = b'{"asset":{"version":"2.0"}}'.ljust(28)
    body = struct.pack("<I", len(text)) + b"JSON" + text + struct.pack("<I", 400) + b"BIN\0" + bytes(400)
    return b"glTF" + struct.pack("<II", 2, len(body) + 12) + body


def rf64() -> bytes:
    sound = random.Random(8).randbytes(5000)
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    size = 4 + 8 + 28 + len(fmt) + 8 + len(sound)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, size, len(sound), len(sound) // 2, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + fmt + b"data\xff\xff\xff\xff" + sound


FILMS = {
    "a.mp4": Film("mp4", "libx264"),
    "tagged.mp4": Film("mp4", "mpeg4", {"movflags": "use_metadata_tags"}),
    "faststart.mp4": Film("mp4", "mpeg4", {"movflags": "faststart"}),
    "fragments.mp4": Film("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mov": Film("mov", "mjpeg", pixels="yuvj420p"),
    "a.m4a": Film("ipod", "aac", layout="stereo"),
    "a.webm": Film("webm", "libvpx"),
    "a.mkv": Film("matroska", "libx264"),
    "a.avi": Film("avi", "mpeg4"),
    "a.flac": Film("flac", "flac", layout="stereo"),
    "mono.flac": Film("flac", "flac", layout="mono"),
    "a.mp3": Film("mp3", "libmp3lame", layout="stereo"),
    "tagged.mp3": Film("mp3", "libmp3lame", {"write_id3v1": "1"}, layout="mono"),
    "a.ogg": Film("ogg", "libopus", layout="stereo"),
    "a.opus": Film("opus", "libopus", layout="stereo"),
    "flac.ogg": Film("ogg", "flac", layout="stereo"),
    "a.wav": Film("wav", "pcm_s16le", layout="stereo"),
}

FINISHED: dict[str, Callable[[], bytes]] = {
    "a.png": lambda: still("PNG"),
    "animated.png": lambda: animated("PNG"),
    "a.jpg": lambda: still("JPEG", quality=90),
    "progressive.jpeg": lambda: still("JPEG", progressive=True),
    "restarts.jpg": lambda: still("JPEG", restart_marker_rows=1),
    "thumbnail.jpg": thumbnailed_jpeg,
    "several.jpg": lambda: animated("MPO"),
    "a.gif": lambda: still("GIF"),
    "animated.gif": lambda: animated("GIF"),
    "a.webp": lambda: still("WEBP", exif=exif()),
    "animated.webp": lambda: animated("WEBP"),
    "a.avif": lambda: still("AVIF", exif=exif()),
    "animated.avif": lambda: animated("AVIF"),
    "a.bmp": lambda: still("BMP"),
    "a.tiff": lambda: still("TIFF"),
    "strips.tif": lambda: still("TIFF", strip_size=1024),
    "packed.tif": lambda: still("TIFF", compression="tiff_lzw"),
    "pages.tif": lambda: animated("TIFF"),
    "pages_packed.tif": lambda: animated("TIFF", compression="tiff_deflate"),
    "big.tif": lambda: still("TIFF", big_tiff=True),
    "python.wav": python_wave,
    "rf64.wav": rf64,
    "boxes.jxl": lambda: jxl_boxes(parts=False),
    "parts.jxl": lambda: jxl_boxes(parts=True),
    "a.glb": glb,
    "a.json": lambda: b'{"seed": 1, "loras": [{"name": "\xc3\xa9}", "weight": 0.5}]}',
}


@cache
def finished(name: str) -> bytes:
    """A whole file of this name out of FINISHED or FILMS."""
    return FILMS[name].finished() if name in FILMS else FINISHED[name]()
