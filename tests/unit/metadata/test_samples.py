"""Real files of real tools, read completely. The table shows, field by field, what was read from where.

The files are not part of this repository: MEDIA_SYNC_SAMPLES names the folder that holds `thirdparty/` and `comfyui/`,
or they lie in ../shared/samples. Elsewhere these tests are skipped, and say so.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sd_parsers import ParserManager

from sidecar.media.metadata.model import Metadata
from sidecar.media.metadata.reading import read_metadata
from tests.rig.program import REPOSITORY

SAMPLES = Path(os.environ.get("MEDIA_SYNC_SAMPLES") or REPOSITORY.parent / "shared" / "samples")
pytestmark = pytest.mark.skipif(
    not (SAMPLES / "thirdparty").is_dir(), reason=f"no samples in {SAMPLES}: set MEDIA_SYNC_SAMPLES"
)

TAGS = "general, masterpiece, best quality, amazing quality, \n1girl, solo, hatsune miku,"
BAD = "bad quality, worst quality, worst detail, sketch, censor,"
MODEL = "waiIllustriousSDXL_v160"


def expected(
    software: str | None, seed: int, steps: int, sampler: str, scheduler: str, cfg: float, **more: Any
) -> dict[str, Any]:
    common = {"prompt": TAGS + " テスト", "negative_prompt": BAD, "width": 1024, "height": 1024, "model": MODEL}
    said = {"software": software, "seed": seed, "steps": steps, "sampler": sampler, "scheduler": scheduler, "cfg": cfg}
    return {**common, **said, **more}


EULER = ("euler_ancestral", "karras")
FILES: dict[str, dict[str, Any]] = {
    "comfyui.png": expected(
        "ComfyUI", 422847914351919, 20, *EULER, 5, clip_skip=2, denoise=1, prompt=TAGS + " テスト,"
    ),
    "comfyui-rgthree.png": expected(
        "ComfyUI", 963381484256655, 20, *EULER, 5, clip_skip=2, denoise=1, prompt=TAGS + " テスト,"
    ),
    "comfyui-animated-webp.webp": expected(
        "ComfyUI", 270932924124066, 20, *EULER, 5, clip_skip=2, denoise=1, prompt=TAGS + " テスト,"
    ),
    "comfyui-saveimagewithmetadata.jpeg": expected(
        "ComfyUI", 347382230306562, 20, *EULER, 5, prompt=TAGS, clip_skip=2, model_hash="45a21ea00a"
    ),
    "forge.png": expected(
        "Forge", 747066619, 25, "Euler", "Karras", 5, model_hash="45a21ea00a",
        version="f2.0.1v1.10.1-previous-669-gdfdcbab6",
    ),
    "forge-classic.jpeg": expected(
        "Forge Classic", 2547514258, 20, "DPM++ 2M", "Karras", 6, model_hash="45a21ea00a", version="classic"
    ),
    "forge-neo.webp": expected(
        "Forge Neo", 2056443400, 24, "Euler a", "Automatic", 6, prompt=TAGS, clip_skip=2, model_hash="45a21ea00a",
        version="neo",
    ),
    "reforge-hires.webp": expected(
        "reForge", 1010990389, 20, "DPM++ 2M", "Karras", 6, denoise=0.3, model_hash="45a21ea00a",
        version="f1.0.0v2-v1.10.1RC-latest-2498-g5120e679",
    ),
    "sd-next.jpg": expected(
        "SD.Next", 899700607, 20, "Euler a", "karras", 6, prompt=TAGS + " #テスト", model_hash="45a21ea00a",
        version="56a8aea",
    ),
    "sd-webui.png": expected(
        "A1111", 3782896554, 20, "DPM++ 2M", "Karras", 7, model_hash="45a21ea00a", version="v1.10.1"
    ),
    "swarmui.png": expected(
        "SwarmUI", 2083100758, 20, *EULER, 7, prompt=TAGS + " #テスト", version="0.9.7.4",
        model_hash="22d8cb95b807b0c242576b676a12b07ae6b782b57ae4fe07a07254801b2d5d61",
    ),
    "empty.jpg": {},
}  # fmt: skip
NOT_COMPARED = {"passes", "raw_text", "raw_graph", "raw_workflow"}


def read(name: str) -> Metadata:
    return read_metadata(SAMPLES / "thirdparty" / name)


def stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


@pytest.mark.parametrize("name", FILES)
def test_everything_in_the_file_is_read(name: str) -> None:
    found = read(name)
    assert {field: stripped(getattr(found, field)) for field in found.origins if field not in NOT_COMPARED} == FILES[
        name
    ]
    assert found.problems == ()
    assert found.size is not None
    assert sum(len(text.value) for text in found.texts) >= len(found.raw_text or found.raw_graph or "")


def test_hires_passes_of_a_real_file() -> None:
    first, last = read("reforge-hires.webp").passes
    assert (first.steps, first.width, last.steps, last.width, last.denoise) == (20, 1024, 10, 1536, 0.3)
    assert read("reforge-hires.webp").size == (1536, 1536)


def test_no_other_file_lies_there() -> None:
    assert {file.name for file in (SAMPLES / "thirdparty").iterdir()} == set(FILES)


def test_what_was_read_from_which_file(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for name in FILES:
        found = read(name)
        lines.append(
            f"\n{name} ({found.format}, {found.size})" + ("" if found.known else ": says nothing of its making")
        )
        for field, origin in found.origins.items():
            value = getattr(found, field)
            text = f"{len(value)} characters" if field.startswith("raw") else repr(value)
            lines.append(f"  {field:15} {text if len(text) <= 70 else text[:69] + '…':70}  {origin}")
        lines += [f"  {'other':15} {f'{key}: {value}'[:70]:70}" for key, value in found.other.items()]
        assert found.known == (name != "empty.jpg")
    with capsys.disabled():
        print("\n".join(lines))


@cache
def opened(name: str) -> Image.Image:
    """A picture that stays: sd-parsers remembers texts by the picture's id(), which the next one may get."""
    return Image.open(SAMPLES / "thirdparty" / name)


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("empty.jpg", "swarmui.png")])
def test_agrees_with_sd_parsers(name: str) -> None:
    """On what it reads: it knows no EXIF of ComfyUI, and its values are texts."""
    theirs = ParserManager().parse(opened(name))
    if theirs is None:
        assert name == "comfyui-animated-webp.webp"
        return
    (sampler,) = theirs.samplers
    ours = read(name)
    assert str(ours.seed) == str(sampler.parameters["seed"])
    assert str(ours.steps) == str(sampler.parameters["steps"])
    assert ours.cfg == float(sampler.parameters["cfg_scale"])
    assert sampler.model is not None
    assert sampler.model.name is not None
    assert sampler.model.name.removesuffix(".safetensors") == ours.model
    for prompt in sampler.prompts:
        assert (ours.prompt or "").strip() == prompt.value.strip()
    assert (ours.negative_prompt or "").strip() == sampler.negative_prompts[0].value.strip()


def test_files_of_a_real_comfyui() -> None:
    files = [file for file in (SAMPLES / "comfyui").rglob("*") if file.is_file()]
    assert files
    for file in files:
        found = read_metadata(file)
        assert found.problems == (), file
        assert found.software == "ComfyUI", file
        assert found.raw_graph, file
    sailor = read_metadata(SAMPLES / "comfyui/portraits/old_sailor/final_00001_.png")
    assert (sailor.prompt, sailor.negative_prompt) == (
        "an astronaut riding a horse, highly detailed",
        "text, watermark, blurry",
    )
    assert (sailor.seed, sailor.steps, sailor.cfg, sailor.sampler) == (1027870236767937, 3, 7.7, "ddim")
    assert (sailor.version, sailor.model, sailor.width, sailor.height) == ("0.3.64", "tiny-random-sd15", 256, 320)


def test_what_a_killed_server_left_is_read_up_to_its_end() -> None:
    found = read_metadata(SAMPLES / "broken/truncated_by_kill.png")
    assert found.raw_graph
    assert found.raw_workflow
    assert found.problems == ("png: the file ends at byte 722758, within a part",)
