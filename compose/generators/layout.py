"""Whole output trees, named and written as ComfyUI and Forge do it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from docker.models.containers import Container

from generators import container as inside
from generators import media
from generators.media import Recipe

COMFYUI_ROOT = "/basedir/output"
FORGE_ROOT = "/opt/stable-diffusion-webui-forge/outputs"
DAY = 24 * 3600
OLD, FRESH = 1.5 * DAY, 600.0

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Planned:
    """A file to come: path under the root (`../` leads out of it, as Forge's log folder is), how old in seconds."""

    path: str
    make: Make
    age: float = OLD
    temporary: bool = False


@dataclass(frozen=True)
class File:
    """A file to write. With `temporary` as `<path>.tmp` that is then renamed."""

    path: str
    data: bytes
    age: float
    temporary: bool


def day(age: float) -> str:
    """The date that a dated folder of that age carries."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - age))


def comfyui(*, scale: int = 1, seed: int = 1) -> list[File]:
    """ComfyUI's `output/`: counters, prefix folders, dated prefixes, VideoHelperSuite's pair, an API-only PNG, the
    placeholder, a latent. About 30 pictures for a scale of 1; most are a day and a half old, a few are new.
    """

    def pictures(prefix: str, count: int, age: float = OLD, start: int = 1) -> list[Planned]:
        base = seed * 10_000 + sum(prefix.encode()) + start
        return [
            Planned(f"{prefix}_{start + n:05d}_.png", lambda n=n: media.comfyui_png(Recipe(base + n)), age)  # type: ignore[misc]
            for n in range(count)
        ]

    plan = [
        Planned("_output_images_will_be_put_here", bytes),
        *pictures("ComfyUI", 10 * scale),
        *pictures("ComfyUI", 3, FRESH, start=10 * scale + 1),
        *pictures("portraits/old_sailor/final", 6 * scale),
        *pictures(f"{day(OLD)}/render", 6 * scale),
        *pictures("%date:yyyy-MM-dd%/api", 2),
        Planned("anim/ComfyUI_00001_.webp", lambda: media.comfyui_webp(Recipe(seed + 70))),
        Planned("anim/ComfyUI_00002_.webp", lambda: media.comfyui_webp(Recipe(seed + 71))),
        Planned("video/AnimateDiff_00001.png", lambda: media.comfyui_png(Recipe(seed + 80, (320, 480)))),
        Planned("video/AnimateDiff_00001.mp4", lambda: media.comfyui_mp4(Recipe(seed + 80))),
        Planned("latents/ComfyUI_00001_.latent", latent),
    ]
    return made(plan)


def forge(*, scale: int = 1, seed: int = 500) -> list[File]:
    """Forge's `outputs/`: kinds and dates as folders, counter and seed as names, JPEG and WebP beside PNG, text
    companions, a grid, an init image by hash, a `.tmp` that a killed server left; the Save button's `../log/images`.
    """
    forms = {"png": media.forge_png, "jpg": media.forge_jpeg, "webp": media.forge_webp}

    def pictures(kind: str, form: str, count: int, start: int = 0, age: float = OLD) -> list[Planned]:
        plan = []
        for number in range(start, start + count):
            recipe = Recipe(seed * 10_000 + sum(kind.encode()) + int(age) % 1000 + number)
            stem = f"{kind}/{day(age)}/{number:05d}-{recipe.seed}"
            plan.append(Planned(f"{stem}.{form}", lambda recipe=recipe: forms[form](recipe), age, temporary=True))  # type: ignore[misc]
            if number % 4 == 0:
                plan.append(Planned(f"{stem}.txt", lambda recipe=recipe: recipe.parameters().encode() + b"\n", age))  # type: ignore[misc]
        return plan

    init = media.forge_png(Recipe(seed + 40))
    saved = Recipe(seed + 41)
    plan = [
        *pictures("txt2img-images", "png", 10 * scale),
        *pictures("txt2img-images", "jpg", 6 * scale, start=10 * scale),
        *pictures("txt2img-images", "webp", 6 * scale, start=16 * scale),
        *pictures("txt2img-images", "png", 3, age=FRESH),
        *pictures("img2img-images", "png", 5 * scale),
        Planned(f"txt2img-grids/{day(OLD)}/grid-0000.jpg", lambda: grid(seed), temporary=True),
        Planned("extras-images/00000.png", lambda: media.forge_png(Recipe(seed + 42, (1024, 1024))), temporary=True),
        Planned(f"init-images/{hashlib.md5(init).hexdigest()}.png", lambda: init, temporary=True),
        Planned(f"txt2img-images/{day(OLD)}/00099-{seed}.png.tmp", lambda: init[: len(init) // 3]),
        Planned(f"../log/images/{saved.seed}.png", lambda: media.forge_png(saved), temporary=True),
        Planned("../log/images/log.csv", lambda: log_csv(saved)),
    ]
    return made(plan)


def made(plan: Iterable[Planned]) -> list[File]:
    """The files of a plan; encoders release the interpreter, so threads help."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda one: File(one.path, one.make(), one.age, one.temporary), plan))


def grid(seed: int) -> bytes:
    """Four pictures in one, as a batch's overview."""
    whole = media.picture(seed, (1024, 1536))
    for number in range(4):
        whole.paste(media.picture(seed + number), (512 * (number % 2), 768 * (number // 2)))
    return media.with_comment(whole, Recipe(seed), "JPEG", quality=80)


def latent() -> bytes:
    """ComfyUI's saved latent: a safetensors file with one tensor."""
    shape = [1, 4, 8, 8]
    data = bytes(4 * 4 * 8 * 8)
    head = {"latent_tensor": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}}
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def log_csv(recipe: Recipe) -> bytes:
    """What the Save button appends to."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["prompt", "seed", "width", "height", "sampler", "cfgs", "steps", "filename", "negative_prompt"])
    rows.writerow([recipe.prompt, recipe.seed, *recipe.size, "Euler a", recipe.cfg, recipe.steps, f"{recipe.seed}.png",
                   media.NEGATIVE])  # fmt: skip
    return out.getvalue().encode()


WRITER = """cd "$1" || exit 1
while read -r size stamp first path; do
    case $path in */*) mkdir -p -- "${path%/*}" ;; esac
    if [ "$first" = - ]; then target=$path; else target=$path.tmp; fi
    if [ "$size" = 0 ]; then : > "$target"; else dd bs="$size" count=1 iflag=fullblock of="$target" 2>/dev/null; fi
    if [ "$first" != - ]; then mv -f -- "$target" "$path"; fi
    touch -c -d "@$stamp" -- "$path"
done"""


def write(container: Container, root: str, files: Iterable[File]) -> None:
    """Write files from inside a running container, one after the other, then give each its age.

    `root` must exist. Names are plain text in one line, as the layouts above make them.
    """
    out = bytearray()
    now = time.time()
    for file in files:
        first = "tmp" if file.temporary else "-"
        out += f"{len(file.data)} {int(now - file.age)} {first} {file.path}\n".encode() + file.data
    inside.run(container, ["sh", "-c", WRITER, "-", root], stdin=bytes(out))
