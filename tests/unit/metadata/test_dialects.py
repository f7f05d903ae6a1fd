"""What each tool writes becomes the same model, and what has no field is kept."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from generators import media

from sidecar.media.metadata.dialects import interpret
from sidecar.media.metadata.model import Contents, Lora, Metadata, Text
from sidecar.media.metadata.reading import read_metadata

RECIPE = media.Recipe(seed=41)


def read(origin: str = "PNG tEXt", **texts: Any) -> Metadata:
    made = [Text(key, value if isinstance(value, str) else json.dumps(value), origin) for key, value in texts.items()]
    return interpret(Contents("png", (8, 8), tuple(made)))


LAST = "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6, Seed: 5, Size: 512x768, Model: dream"


@pytest.mark.parametrize(
    ("version", "software"),
    [
        ("v1.10.1", "A1111"),
        ("1.6.0-2-g4afaaf8a", "A1111"),
        ("f2.0.1v1.10.1-previous-669-gdfdcbab6", "Forge"),
        ("f0.0.17v1.8.0rc-latest-277-g0af28699", "Forge"),
        ("f1.0.0v2-v1.10.1RC-latest-2498-g5120e679", "reForge"),
        ("classic", "Forge Classic"),
        ("neo", "Forge Neo"),
        ("ComfyUI", "ComfyUI"),
        ("56a8aea, App: SD.Next", "SD.Next"),
        ("something else", None),
    ],
)
def test_infotext_names_its_software(version: str, software: str | None) -> None:
    found = read(parameters=f"a fox\n{LAST}, Version: {version}")
    assert (found.software, found.version) == (software, version.partition(",")[0])


def test_every_field_of_an_infotext() -> None:
    found = read(
        parameters=f"a <lora:grain:0.6> fox <lora:te:1:0.5>, <lyco:gone>\nNegative prompt: blurry\n{LAST}, "
        "Model hash: 6ce0161689, VAE: fine.pt, Clip skip: 2, Denoising strength: 0.4, "
        'Lora hashes: "grain: 1f2e, x: 3d", '
        'RNG: CPU, Note: "a, b: c", RNG: GPU'
    )
    assert found.loras == (
        Lora("grain", 0.6, "1f2e"), Lora("te", 1.0), Lora("gone", 1.0), Lora("x", None, "3d")
    )  # fmt: skip
    assert (found.model, found.model_hash, found.vae) == ("dream", "6ce0161689", "fine")
    assert (found.clip_skip, found.denoise, found.steps, found.seed, found.cfg) == (2, 0.4, 20, 5, 6.0)
    assert (found.sampler, found.scheduler, found.width, found.height) == ("DPM++ 2M", "Karras", 512, 768)
    assert dict(found.other) == {"RNG": "CPU", "RNG (2)": "GPU", "Note": "a, b: c"}
    assert found.origins["seed"] == "PNG tEXt parameters: Seed"
    assert found.raw_text is not None
    assert found.raw_text.endswith("GPU")
    assert len(found.passes) == 1


def test_templates_behind_an_infotext_cost_nothing_of_it() -> None:
    found = read(parameters=f"a fox\nNegative prompt: bad\n{LAST}\nTemplate: a {{fox|cat}}\nNegative Template: bad")
    assert (found.prompt, found.negative_prompt, found.seed, found.model) == ("a fox", "bad", 5, "dream")
    assert dict(found.other) == {"Template": "a {fox|cat}", "Negative Template": "bad"}


def test_hires_fix_is_a_second_pass() -> None:
    found = read(
        parameters=f"a fox\n{LAST}, Denoising strength: 0.3, Hires upscale: 1.5, Hires steps: 10, Hires CFG Scale: 4, "
        "Hires upscaler: R-ESRGAN 4x+, Hires sampler: Euler a, Hires checkpoint: other"
    )
    first, last = found.passes
    assert (first.steps, first.width, first.height, first.denoise, first.sampler) == (20, 512, 768, None, "DPM++ 2M")
    assert (last.steps, last.width, last.height, last.denoise, last.sampler) == (10, 768, 1152, 0.3, "Euler a")
    assert (last.cfg, last.model, last.seed) == (4.0, "other", 5)
    assert (found.steps, found.width, found.denoise) == (20, 512, 0.3)


def test_values_that_make_no_sense_are_kept_and_fill_no_field() -> None:
    found = read(parameters="a fox\nSteps: many, Seed: 1e999, CFG scale: NaN, Size: big, Clip skip: 9" + "9" * 99)
    assert (found.steps, found.seed, found.cfg, found.width, found.clip_skip) == (None,) * 5
    assert list(found.other) == ["Steps", "Seed", "CFG scale", "Size", "Clip skip"]
    graph = RECIPE.graph()
    graph["3"]["inputs"] |= {"seed": 2**64, "steps": 10**400, "cfg": 10**400}
    assert told(read(prompt=graph)) == GRAPH | {"seed": None, "steps": None, "cfg": None}
    graph["3"]["inputs"]["seed"] = 2**64 - 1
    assert read(prompt=graph).seed == 2**64 - 1, "the largest that ComfyUI makes"


def test_a_chunk_without_parameters_is_a_prompt_and_a_remark_is_not() -> None:
    assert read(parameters="just a fox").prompt == "just a fox"
    assert not read(UserComment="taken at the lake, 1: 2").known


def test_samplers_that_hold_their_scheduler() -> None:
    old = read(parameters="x\nSteps: 20, Sampler: DPM++ 2M Karras, Seed: 5")
    assert (old.sampler, old.scheduler, old.software) == ("DPM++ 2M", "Karras", None)
    saved = read(parameters="x\nSteps: 20, Sampler: dpmpp_2m_sgm_uniform, Seed: 5")
    assert (saved.sampler, saved.scheduler, saved.software) == ("dpmpp_2m", "sgm_uniform", "ComfyUI")


def drawing() -> dict[str, Any]:
    """The recipe's workflow with the input sockets that ComfyUI's page writes, and the rig leaves out."""
    made = RECIPE.workflow()
    for node in made["nodes"]:
        wires = [link for link in made["links"] if link[3] == node["id"]]
        node["inputs"] = [{"name": link[5].lower(), "type": link[5], "link": link[0]} for link in wires]
    return made


GRAPH = {
    "software": "ComfyUI", "prompt": RECIPE.prompt, "negative_prompt": media.NEGATIVE, "seed": 41,
    "steps": RECIPE.steps,
    "cfg": RECIPE.cfg, "sampler": media.SAMPLERS[41 % 3][1], "scheduler": media.SAMPLERS[41 % 3][2], "width": 512,
    "height": 768, "model": "dreamscape_v8", "loras": (Lora("grain_v2", 0.6),), "denoise": 1.0,
}  # fmt: skip


def told(found: Metadata) -> dict[str, Any]:
    return {name: getattr(found, name) for name in GRAPH}


@pytest.mark.parametrize("make", [media.comfyui_png, media.comfyui_webp, media.comfyui_mp4])
def test_comfyui_in_files(make: Any) -> None:
    found = read_metadata(io.BytesIO(make(RECIPE)))
    assert told(found) == GRAPH
    assert (found.raw_graph, found.raw_workflow) == (json.dumps(RECIPE.graph()), json.dumps(RECIPE.workflow()))
    assert found.problems == ()


@pytest.mark.parametrize("make", [media.forge_png, media.forge_jpeg, media.forge_webp])
def test_forge_in_files(make: Any) -> None:
    found = read_metadata(io.BytesIO(make(RECIPE)))
    assert (found.software, found.seed, found.model, found.width) == ("Forge", 41, "dreamscape_v8", 512)
    assert found.prompt == f"{RECIPE.prompt}, <lora:grain_v2:0.6>"
    assert found.loras == (Lora("grain_v2", 0.6, "1f2e3d4c5b6a"),)
    assert found.raw_text == RECIPE.parameters()


@pytest.mark.parametrize(
    "texts",
    [
        {"workflow": drawing()},
        {"PROMPT": json.dumps(json.dumps(RECIPE.graph())), "WORKFLOW": json.dumps(json.dumps(RECIPE.workflow()))},
        {"comment": {"prompt": json.dumps(RECIPE.graph()), "workflow": RECIPE.workflow()}},
        {"UserComment": {"prompt": RECIPE.graph(), "workflow": json.dumps(RECIPE.workflow())}},
        {"UserComment": {**RECIPE.graph(), "extra": {}, "extraMetadata": "{}"}},
        {"prompt": "{broken", "workflow": drawing()},
    ],
    ids=["workflow alone", "encoded twice", "one comment", "EXIF comment", "graph with extras", "broken graph"],
)
def test_where_save_nodes_put_the_graph(texts: dict[str, Any]) -> None:
    assert told(read(**texts)) == GRAPH


def test_infotext_beside_a_graph_is_believed_first() -> None:
    found = read(parameters=f"a fox\n{LAST}", prompt=RECIPE.graph(), workflow=RECIPE.workflow())
    assert (found.prompt, found.seed, found.software) == ("a fox", 5, "ComfyUI")
    assert found.negative_prompt == media.NEGATIVE, "which the infotext leaves open"
    assert found.raw_graph == json.dumps(RECIPE.graph())


def test_passes_that_an_infotext_leaves_out_come_from_the_graph() -> None:
    graph = RECIPE.graph()
    (first,) = (key for key, node in graph.items() if node["class_type"] == "KSampler")
    inputs = graph[first]["inputs"]
    later = {"class_type": "KSampler", "inputs": {**inputs, "latent_image": [first, 0], "steps": 9, "denoise": 0.4}}
    for node in graph.values():
        node["inputs"] = {name: ["90", 0] if one == [first, 0] else one for name, one in node["inputs"].items()}
    found = read(parameters=f"a fox\n{LAST}", prompt=graph | {"90": later})
    assert [one.denoise for one in found.passes] == [1.0, 0.4]
    assert (found.denoise, found.steps, found.seed) == (0.4, 20, 5)
    assert found.origins["passes"] == "PNG tEXt prompt"
    hires = read(parameters=f"a fox\n{LAST}, Hires upscale: 2, Denoising strength: 0.3", prompt=graph | {"90": later})
    assert (hires.denoise, hires.origins["passes"]) == (0.3, "PNG tEXt parameters")


def test_comfyuis_version() -> None:
    drawing = RECIPE.workflow()
    drawing["nodes"][0]["properties"] = {"cnr_id": "comfy-core", "ver": "0.3.64"}
    assert read(prompt=RECIPE.graph(), workflow=drawing).version == "0.3.64"


def test_nan_costs_its_value_and_is_named() -> None:
    graph = json.dumps(RECIPE.graph()).replace(f'"cfg": {RECIPE.cfg}', '"cfg": NaN')
    found = read(prompt=graph)
    assert (found.cfg, found.seed) == (None, 41)
    assert found.problems == ("PNG tEXt prompt: NaN is no JSON, read as null",)


def test_swarmui() -> None:
    found = read(
        parameters={
            "sui_image_params": {
                "prompt": "a fox", "negativeprompt": "blurry", "model": "SDXL/dream", "seed": 5, "steps": 20,
                "cfgscale": 6.5, "width": 512, "height": 768, "sampler": "euler", "scheduler": "karras",
                "clipstopatlayer": -2, "vae": "fine", "loras": ["a/grain", "ink"], "loraweights": ["0.6", "1"],
                "refinercontrolpercentage": 0.2, "refinerupscale": 1.5, "swarm_version": "0.9.7", "styles": ["x"],
            },
            "sui_models": [
                {"name": "dream.safetensors", "param": "model", "hash": "0xab"},
                {"name": "grain.safetensors", "param": "loras", "hash": "0xcd"},
            ],
        },
        prompt=RECIPE.graph(),
    )  # fmt: skip
    assert (found.software, found.version, found.model, found.model_hash) == ("SwarmUI", "0.9.7", "dream", "ab")
    assert (found.prompt, found.seed, found.cfg, found.clip_skip, found.vae) == ("a fox", 5, 6.5, 2, "fine")
    assert found.loras == (Lora("grain", 0.6, "cd"), Lora("ink", 1.0))
    assert [(one.width, one.height, one.denoise) for one in found.passes] == [(512, 768, None), (768, 1152, 0.2)]
    assert found.other["styles"] == '["x"]'
    assert found.raw_graph


@pytest.mark.parametrize("vae", ["Automatic", "None", "none", ""])
def test_swarmui_without_a_vae_of_its_own(vae: str) -> None:
    assert read(parameters={"sui_image_params": {"prompt": "a fox", "vae": vae}}).vae is None


def test_invokeai() -> None:
    found = read(
        invokeai_metadata={
            "app_version": "5.4.2", "positive_prompt": "a fox", "negative_prompt": "blurry", "seed": 5, "steps": 20,
            "cfg_scale": 6.5, "width": 512, "height": 768, "scheduler": "euler_k", "clip_skip": 1, "strength": 0.7,
            "model": {"name": "dream", "hash": "blake3:abcd"}, "vae": {"name": "fine"}, "rand_device": "cpu",
            "loras": [{"model": {"name": "grain"}, "weight": 0.6}, {"lora": {"model_name": "ink"}, "weight": 1}],
        }
    )  # fmt: skip
    assert (found.software, found.version, found.model, found.model_hash) == ("InvokeAI", "5.4.2", "dream", "abcd")
    assert (found.prompt, found.negative_prompt, found.sampler, found.denoise) == ("a fox", "blurry", "euler_k", 0.7)
    assert found.loras == (Lora("grain", 0.6), Lora("ink", 1.0))
    assert dict(found.other) == {"rand_device": "cpu"}


def test_invokeai_of_old() -> None:
    image = {"prompt": [{"prompt": "a fox [blurry] asleep", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "seed": 5,
             "sampler": "k_lms", "width": 512, "height": 768}  # fmt: skip
    whole = {"model_weights": "sd-1.5", "model_hash": "cc6c", "app_version": "2.3", "image": image}
    found = interpret(Contents("png", None, (Text("sd-metadata", json.dumps(whole), "PNG tEXt"),)))
    assert (found.prompt, found.negative_prompt, found.seed) == ("a fox  asleep", "blurry", 5)
    assert (found.model, found.model_hash, found.sampler) == ("sd-1.5", "cc6c", "k_lms")


def test_novelai() -> None:
    found = read(
        Title="NovelAI generated image", Software="NovelAI", Source="NovelAI Diffusion V4 37442FCA",
        Description="a fox", Comment={
            "prompt": "a fox", "uc": "blurry", "steps": 28, "scale": 5.0, "seed": 5, "sampler": "k_euler_ancestral",
            "noise_schedule": "karras", "width": 832, "height": 1216, "sm": False,
        },
    )  # fmt: skip
    assert (found.software, found.model, found.model_hash) == ("NovelAI", "NovelAI Diffusion V4", "37442FCA")
    assert (found.prompt, found.negative_prompt, found.seed, found.cfg) == ("a fox", "blurry", 5, 5.0)
    assert (found.sampler, found.scheduler, found.width, found.height) == ("k_euler_ancestral", "karras", 832, 1216)
    assert dict(found.other) == {"sm": "false"}


@pytest.mark.parametrize("wrong", [None, 1, "x", [], [[]], {}, {"a": 1}, True, 1e400, "9" * 5000, "\ud800\x00"])
@pytest.mark.parametrize("tool", ["comfyui", "workflow", "swarmui", "invokeai", "sd-metadata", "novelai"])
def test_values_of_any_type_in_any_place_do_not_raise(tool: str, wrong: Any) -> None:
    for text in bent(tool, wrong):
        found = interpret(Contents("png", None, text))
        assert not [line for line in found.problems if "Error" in line], found.problems
        json.dumps(found.prompt, ensure_ascii=False).encode()


def bent(tool: str, wrong: Any) -> list[tuple[Text, ...]]:
    """A tool's texts with one value after the other replaced."""
    whole: dict[str, Any] = {
        "comfyui": RECIPE.graph(),
        "workflow": drawing(),
        "swarmui": {"sui_image_params": {"prompt": "x", "loras": ["a"], "loraweights": ["1"], "width": 1},
                    "sui_models": [{"name": "a", "param": "model", "hash": "0x"}]},
        "invokeai": {"positive_prompt": "x", "model": {"name": "a"}, "loras": [{"model": {"name": "b"}, "weight": 1}]},
        "sd-metadata": {"image": {"prompt": [{"prompt": "x"}], "seed": 1}, "model_weights": "x"},
        "novelai": {"prompt": "x", "seed": 1, "v4_negative_prompt": {"caption": {"base_caption": "x"}}},
    }[tool]  # fmt: skip
    key = {"comfyui": "prompt", "swarmui": "parameters", "invokeai": "invokeai_metadata", "novelai": "Comment"}
    more = (Text("Software", "NovelAI", "PNG"),) if tool == "novelai" else ()
    return [(Text(key.get(tool, tool), json.dumps(one), "PNG"), *more) for one in replaced(whole, wrong)]


def replaced(value: Any, wrong: Any) -> list[Any]:
    made = [wrong]
    if isinstance(value, dict):
        for key in value:
            made += [{**value, key: one} for one in replaced(value[key], wrong)]
    if isinstance(value, list):
        for at in range(len(value)):
            made += [[*value[:at], one, *value[at + 1 :]] for one in replaced(value[at], wrong)]
    return made
