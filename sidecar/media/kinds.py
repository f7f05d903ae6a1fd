"""What is media, judged by its path alone, and what a generator's file names say.

Paths are bytes relative to a root, as in a scan. Nothing here touches a file; whether the bytes are what the name
says is for `endings`. Suffixes and the special names count without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from sidecar.values import dataclass

PRIVATE_PREFIX = b".media-sync-"
"""Names that a purge moves originals to before it hashes and unlinks them."""


class Kind(StrEnum):
    """What a file is to this program. TEXT is a companion: it matters beside the media of its own stem."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    MESH = "mesh"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Classification:
    """The verdict on one path. `reason` is a short stable text where the file is not to be pulled, else ""."""

    kind: Kind
    reason: str = ""

    @property
    def pulled(self) -> bool:
        """Whether this is media or a companion."""
        return not self.reason


def _table(text: str) -> frozenset[bytes]:
    return frozenset(b"." + word.encode() for word in text.split())


_MEDIA = {
    Kind.IMAGE: _table("png apng jpg jpeg jfif webp avif gif bmp tif tiff jxl heic heif"),
    Kind.VIDEO: _table("mp4 m4v mov mkv webm avi"),
    Kind.AUDIO: _table("flac mp3 wav ogg oga opus m4a"),
    # ComfyUI's SaveGLB writes .glb, one file that holds all. glTF and OBJ need files that they name inside (.bin,
    # .mtl, textures); half of such a set is worse than none, so they wait for a rule of their own.
    Kind.MESH: _table("glb"),
    Kind.TEXT: _table("txt json"),
}
_NEVER = {
    "model file": _table("safetensors sft ckpt pt pth pkl gguf ggml onnx engine bin"),
    "latent": _table("latent npy npz"),
    "database": _table("db sqlite sqlite3 ldb db-wal db-shm db-journal"),
    "table": _table("csv tsv xlsx"),
    "log": _table("log"),
    # An SVG is text that may run script in a browser.
    "program or script": _table("py pyc sh bash bat cmd ps1 exe dll so js html htm xhtml svg php"),
    "archive": _table("zip tar gz xz zst 7z rar"),
    "needs other files": _table("gltf obj mtl"),
    "temporary name": _table("tmp temp part partial crdownload download swp lock"),
}
_PLACEHOLDERS = frozenset((b"_output_images_will_be_put_here",))
_VERDICTS = {suffix: Classification(kind) for kind, table in _MEDIA.items() for suffix in table} | {
    suffix: Classification(Kind.OTHER, reason) for reason, table in _NEVER.items() for suffix in table
}


_PRIVATE = Classification(Kind.OTHER, "private purge name")
_PLACEHOLDER = Classification(Kind.OTHER, "placeholder")
_HIDDEN = Classification(Kind.OTHER, "hidden")
_TEMPORARY = Classification(Kind.OTHER, "temporary name")
_UNKNOWN = Classification(Kind.OTHER, "not a media type")
_NAMELESS = Classification(Kind.OTHER, "no suffix")


def classify(path: bytes) -> Classification:
    """Say what the file is and, where it is not to be pulled, why. Asked several times of every file there is."""
    if path.startswith(b".") or b"/." in path:
        return _PRIVATE if path.startswith(PRIVATE_PREFIX, path.rfind(b"/") + 1) else _HIDDEN
    suffix = _suffix(path)
    if not suffix:
        if path.endswith(b"~"):
            return _TEMPORARY
        return _PLACEHOLDER if path[path.rfind(b"/") + 1 :].lower() in _PLACEHOLDERS else _NAMELESS
    return _VERDICTS.get(suffix) or _VERDICTS.get(suffix.lower()) or (_TEMPORARY if path.endswith(b"~") else _UNKNOWN)


def media_suffixes(kind: Kind) -> frozenset[bytes]:
    """The suffixes of a kind, lower case, each with its dot; none for OTHER."""
    return _MEDIA.get(kind, frozenset())


# -- companions ---------------------------------------------------------------------------------------------------

# VideoHelperSuite writes x_00001.png (workflow), x_00001.mp4 and, with sound, x_00001-audio.mp4.
_WITH_AUDIO = re.compile(rb".*_\d{5,}-audio", re.DOTALL)


def group_key(path: bytes) -> bytes:
    """Folder and stem: files with the same key belong together and are pulled, and purged, as one.

    >>> group_key(b"video/a_00001-audio.mp4") == group_key(b"video/a_00001.png")
    True
    """
    stem = path[: len(path) - len(_suffix(path))]
    if stem.endswith(b"-audio") and _WITH_AUDIO.fullmatch(stem, stem.rfind(b"/") + 1):
        return stem.removesuffix(b"-audio")
    return stem


def group_ranges(paths: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Where files of the groups of these paths lie among all sorted paths, from the first of each pair to the second.

    They are behind the dot of `stem.` and `stem-audio.`; so are those of a stem that goes on behind a dot.
    """
    groups = {group_key(path) for path in paths}
    return [(group + tail + b".", group + tail + b"/") for group in sorted(groups) for tail in (b"", b"-audio")]


# -- counters and dates -------------------------------------------------------------------------------------------


class Counter(NamedTuple):
    """A generator's running number in a name: `folder/prefix` number `suffix`.

    Numbers of one (folder, prefix) come from one counter, which is highest + 1 of what is there, whatever the
    suffixes are. `prefix` is without the separator; b"" where Forge numbers without one.
    """

    folder: bytes
    prefix: bytes
    number: int
    suffix: bytes


# ComfyUI (folder_paths.get_save_image_path) prefix_00001_.png; VideoHelperSuite prefix_00001.mp4, -audio.mp4.
_COMFY = re.compile(rb"(.*)_(\d{5,12})((?:_|-audio|_[^0-9.][^.]*)?\.[^.]+)", re.DOTALL)
# Forge and A1111 (images.get_next_sequence_number): 00012.png, 00012-1234567.png; grids carry a name: grid-0003.png.
_FORGE = re.compile(rb"(\d{5,12})((?:-.*)?\.[^.]+)", re.DOTALL)
_GRID = re.compile(rb"(grid)-(\d{4,12})((?:-.*)?\.[^.]+)", re.DOTALL)


def counter(path: bytes) -> Counter | None:
    """Parse the number that ComfyUI, VideoHelperSuite, Forge or A1111 counted into the name; None without one.

    >>> counter(b"a/ComfyUI_00012_.png")
    Counter(folder=b'a', prefix=b'ComfyUI', number=12, suffix=b'_.png')
    """
    folder, name = _split(path)
    if match := _FORGE.fullmatch(name):
        return Counter(folder, b"", int(match[1]), match[2])
    if match := _GRID.fullmatch(name) or _COMFY.fullmatch(name):
        return Counter(folder, match[1], int(match[2]), match[3])
    return None


_DATE = re.compile(rb"(?:^|/)(\d{4})-(\d\d)-(\d\d)(?=/|$)")


def is_dated_folder(path: bytes) -> date | None:
    """The day that a component of the path is named for (YYYY-MM-DD), the innermost of several; None without one.

    Takes a folder, or a file in it: no media file is named by a date alone.
    """
    for year, month, day in reversed(_DATE.findall(path)):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue  # 2024-13-45 is only a name
    return None


def _split(path: bytes) -> tuple[bytes, bytes]:
    folder, _, name = path.rpartition(b"/")
    return folder, name


def _suffix(path: bytes) -> bytes:
    """From the name's last dot on, as given; b"" where there is none or it starts the name."""
    at = path.rfind(b".", path.rfind(b"/") + 2)
    return path[at:] if at >= 0 else b""
