"""Pixels, within bounds. Only for processes that may be lost: see `worker.py`."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from sidecar.errors import MediaSyncError
from sidecar.models import shown

Image.MAX_IMAGE_PIXELS = None  # Pillow has a bound of its own, for all at once; here each call has one
LONGEST = 512  # pixels of a thumbnail's longer side
_QUALITY, _EFFORT = 80, 0  # more effort makes it a tenth smaller, and takes three times as long
_OPAQUE = 250  # of 255; some programs write into the lowest bits of alpha


class Undecodable(MediaSyncError):
    """The pixels cannot be had: the file is broken, or larger than is decoded here."""


def still(path: bytes, pixels: int) -> Image.Image:
    """The first frame of a picture, decoded to its last byte. Raises Undecodable."""
    try:
        picture = Image.open(path)  # the caller closes it
        _bounded(picture.size, pixels)
        picture.load()
    except Undecodable:
        raise
    except UnidentifiedImageError as error:
        raise Undecodable("no picture that can be decoded") from error
    except MemoryError as error:
        raise Undecodable("decoding it takes more memory than it may") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise Undecodable(f"cannot be decoded: {shown(str(error).encode())[:200]}") from error
    return picture


def first_frame(path: bytes, pixels: int) -> Image.Image:
    """The poster of a film: its first frame. Raises Undecodable."""
    import av

    try:
        with av.open(path.decode("utf-8", "surrogateescape"), mode="r") as film:
            streams = film.streams.video
            if not streams:
                raise Undecodable("a film without pictures")
            _bounded((streams[0].width, streams[0].height), pixels)
            streams[0].thread_count = 1
            for frame in film.decode(streams[0]):
                picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
                return picture
    except Undecodable:
        raise
    except MemoryError as error:
        raise Undecodable("decoding it takes more memory than it may") from error
    except Exception as error:  # as with pictures
        raise Undecodable(f"cannot be decoded: {shown(str(error).encode())[:200]}") from error
    raise Undecodable("a film without a single frame")


def _bounded(size: tuple[int, int], pixels: int) -> None:
    if size[0] * size[1] > pixels:
        raise Undecodable(f"{size[0]} x {size[1]} pixels are not decoded", hint=f"the bound is {pixels} pixels")


def thumbnail(picture: Image.Image) -> bytes:
    """A WebP whose longer side has at most LONGEST pixels, upright as its Exif says. The picture is used up."""
    small = ImageOps.exif_transpose(_smaller(_plain(picture)))
    out = BytesIO()
    small.save(out, "WEBP", quality=_QUALITY, method=_EFFORT)
    return out.getvalue()


def _plain(picture: Image.Image) -> Image.Image:
    """In colours that can be averaged; without alpha where all of it is opaque, which is most of the work with it."""
    if picture.mode.startswith("I;16"):  # converting it at once would make it white
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if picture.mode == "RGBA" and not any(picture.getchannel("A").histogram()[:_OPAQUE]):
        picture = picture.convert("RGB")
    return picture


def _smaller(picture: Image.Image) -> Image.Image:
    """By a whole factor as far as that goes, which is cheap, and by the rest."""
    if (factor := max(picture.width, picture.height) // LONGEST) > 1:
        picture = picture.reduce(factor)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BICUBIC)
    return picture
