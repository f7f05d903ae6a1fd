"""Real pictures and videos with real generation metadata, as ComfyUI and Forge write them.

The same seed gives the same bytes (the video's encoder does not promise that). The pictures are smooth colour fields
with a little grain, so that they compress as generated pictures do.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
from PIL import Image, ImageChops, ImageEnhance
from PIL.PngImagePlugin import PngInfo

SIZE = (512, 768)
EXIF_IFD, USER_COMMENT, EXIF_MAKE, EXIF_MODEL = 0x8769, 0x9286, 0x010F, 0x0110
NEGATIVE = "blurry, low quality,\nextra fingers"
PROMPTS = (
    "a lighthouse on a cliff at dusk, oil painting",
    "portrait of an old sailor, film grain, 85mm",
    "café in the rain, neon reflections, wide shot",
    "isometric greenhouse, soft light, (intricate:1.2)",
    "a fox asleep in tall grass, watercolour",
    "futuristic tram depot, morning fog\nhighly detailed",
)
SAMPLERS = (("Euler a", "euler_ancestral", "normal"), ("DPM++ 2M", "dpmpp_2m", "karras"), ("UniPC", "uni_pc", "simple"))


@dataclass(frozen=True)
class Recipe:
    """What one picture was asked for; everything follows from its seed."""

    seed: int
    size: tuple[int, int] = SIZE

    @cached_property
    def prompt(self) -> str:
        """The words, possibly several lines."""
        return PROMPTS[self.seed % len(PROMPTS)]

    @cached_property
    def steps(self) -> int:
        """Sampling steps."""
        return 20 + self.seed % 11

    @cached_property
    def cfg(self) -> float:
        """Guidance."""
        return 4.0 + self.seed % 8 / 2

    def parameters(self) -> str:
        """A1111's and Forge's text, with a quoted value in it."""
        return (
            f"{self.prompt}, <lora:grain_v2:0.6>\nNegative prompt: {NEGATIVE}\n"
            f"Steps: {self.steps}, Sampler: {SAMPLERS[self.seed % 3][0]}, Schedule type: Karras, "
            f"CFG scale: {self.cfg:g}, Seed: {self.seed}, Size: {self.size[0]}x{self.size[1]}, "
            f'Model hash: 6ce0161689, Model: dreamscape_v8, Lora hashes: "grain_v2: 1f2e3d4c5b6a", '
            "Version: f2.0.1v1.10.1-previous-664-gd557aef9"
        )

    def graph(self) -> dict[str, Any]:
        """ComfyUI's `prompt`: the graph as the API takes it, a link being [node, slot]."""
        _, sampler, scheduler = SAMPLERS[self.seed % 3]
        return {
            "3": _node("KSampler", seed=self.seed, steps=self.steps, cfg=self.cfg, sampler_name=sampler,
                       scheduler=scheduler, denoise=1.0, model=["10", 0], positive=["6", 0], negative=["7", 0],
                       latent_image=["5", 0]),
            "4": _node("CheckpointLoaderSimple", ckpt_name="dreamscape_v8.safetensors"),
            "5": _node("EmptyLatentImage", width=self.size[0], height=self.size[1], batch_size=1),
            "6": _node("CLIPTextEncode", text=self.prompt, clip=["10", 1]),
            "7": _node("CLIPTextEncode", text=NEGATIVE, clip=["10", 1]),
            "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
            "9": _node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
            "10": _node("LoraLoader", lora_name="grain_v2.safetensors", strength_model=0.6, strength_clip=0.6,
                        model=["4", 0], clip=["4", 1]),
        }  # fmt: skip

    def workflow(self) -> dict[str, Any]:
        """ComfyUI's `workflow`: the same graph as its page draws it, links by number."""
        nodes: list[dict[str, Any]] = []
        links: list[list[Any]] = []
        for key, node in self.graph().items():
            taken = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
            for slot, (name, (origin, out)) in enumerate(taken.items()):
                links.append([len(links) + 1, int(origin), out, int(key), slot, name.upper()])
            widgets = [value for value in node["inputs"].values() if not isinstance(value, list)]
            nodes.append({"id": int(key), "type": node["class_type"], "pos": [200 * len(nodes), 180], "flags": {},
                          "mode": 0, "widgets_values": widgets})  # fmt: skip
        return {"last_node_id": 10, "last_link_id": len(links), "nodes": nodes, "links": links, "groups": [],
                "config": {}, "extra": {"ds": {"scale": 1.0}}, "version": 0.4}  # fmt: skip


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"inputs": inputs, "class_type": kind, "_meta": {"title": kind}}


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Colour fields of three scales with grain on top."""
    dice = random.Random(seed)
    whole = Image.new("RGB", size)
    for share, cells in ((1.0, 3), (0.45, 9), (0.2, 40)):
        across, down = cells, cells * size[1] // size[0]
        field = Image.frombytes("RGB", (across, down), dice.randbytes(across * down * 3))
        whole = Image.blend(whole, field.resize(size, Image.Resampling.BICUBIC), share)
    grain = Image.frombytes("L", size, dice.randbytes(size[0] * size[1])).point(lambda value: value >> 5)
    return ImageEnhance.Contrast(ImageChops.add(whole, Image.merge("RGB", (grain,) * 3))).enhance(1.3)


def comfyui_png(recipe: Recipe, *, workflow: bool = True) -> bytes:
    """SaveImage: text chunks `prompt` and `workflow`; API jobs have no workflow."""
    texts = {"prompt": json.dumps(recipe.graph())}
    if workflow:
        texts["workflow"] = json.dumps(recipe.workflow())
    return png(picture(recipe.seed, recipe.size), texts)


def comfyui_webp(recipe: Recipe, *, frames: int = 6) -> bytes:
    """SaveAnimatedWEBP: EXIF Model `prompt:…`, Make `workflow:…`."""
    exif = Image.Exif()
    exif[EXIF_MODEL] = "prompt:" + json.dumps(recipe.graph())
    exif[EXIF_MAKE] = "workflow:" + json.dumps(recipe.workflow())
    first, *rest = [picture(recipe.seed + frame, (256, 256)) for frame in range(frames)]
    out = io.BytesIO()
    first.save(out, "WEBP", save_all=True, append_images=rest, duration=125, exif=exif, quality=80, method=2)
    return out.getvalue()


def comfyui_mp4(recipe: Recipe, *, frames: int = 24) -> bytes:
    """SaveVideo and VideoHelperSuite: H.264 (or MPEG-4), container tags `prompt` and `workflow`."""
    out = io.BytesIO()
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(out, "w", format="mp4", options={"movflags": "use_metadata_tags", "fflags": "bitexact"}) as container:
        container.metadata["prompt"] = json.dumps(recipe.graph())
        container.metadata["workflow"] = json.dumps(recipe.workflow())
        stream: Any = container.add_stream(codec, rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 320, 480, "yuv420p"
        start, end = picture(recipe.seed, (320, 480)), picture(recipe.seed + 1, (320, 480))
        for number in range(frames):
            frame = av.VideoFrame.from_image(Image.blend(start, end, number / frames))  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def forge_png(recipe: Recipe) -> bytes:
    """Forge and A1111: one text chunk `parameters`."""
    return png(picture(recipe.seed, recipe.size), {"parameters": recipe.parameters()})


def forge_jpeg(recipe: Recipe) -> bytes:
    """The same text in EXIF UserComment."""
    return with_comment(picture(recipe.seed, recipe.size), recipe, "JPEG", quality=88)


def forge_webp(recipe: Recipe) -> bytes:
    """The same text in EXIF UserComment."""
    return with_comment(picture(recipe.seed, recipe.size), recipe, "WEBP", quality=85, method=2)


def with_comment(image: Image.Image, recipe: Recipe, form: str, **options: Any) -> bytes:
    """Any picture with a recipe's text in EXIF UserComment."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + recipe.parameters().encode("utf-16-be")
    out = io.BytesIO()
    image.save(out, form, exif=exif, **options)
    return out.getvalue()


def png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    """A PNG with text chunks: tEXt, or iTXt where latin-1 does not do."""
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info, compress_level=4)
    return out.getvalue()


def tiny_png(seed: int = 0, size: int = 8) -> bytes:
    """A whole, valid PNG of a few hundred bytes, for tests that need many."""
    image = Image.frombytes("RGB", (size, size), random.Random(seed).randbytes(size * size * 3))
    return png(image, {"parameters": f"p{seed}\nSteps: 1, Seed: {seed}, Size: {size}x{size}"})
