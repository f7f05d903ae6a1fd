"""Graphs as people build them: prompts, passes and models are found wherever the links lead."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.media.metadata.comfy import api, workflow
from sidecar.media.metadata.comfy.graph import MOST_NODES, Graph, Link
from sidecar.media.metadata.comfy.walk import Recipe, walk
from sidecar.media.metadata.model import Lora
from tests.unit.metadata.graphs import PLAIN, graph, node, read, said, sampler


def test_the_common_graph() -> None:
    assert said(graph()) == PLAIN
    assert read(graph()).said["prompt"].place == "node 6 CLIPTextEncode.text"


def test_primitives_and_reroutes() -> None:
    nodes = graph(
        **{
            "3": sampler(seed=["20", 0], steps=["21", 0], model=["22", 0], positive=["23", 0]),
            "20": node("Seed (rgthree)", seed=["24", 0]),
            "24": node("PrimitiveInt", value=7),
            "21": node("INTConstant", value=20),
            "22": node("Reroute", **{"": ["4", 0]}),
            "23": node("Reroute", **{"": ["6", 0]}),
            "6": node("CLIPTextEncode", text=["25", 0], clip=["4", 1]),
            "25": node("StringConcatenate", string_a=["26", 0], string_b="fox", delimiter=" "),
            "26": node("PrimitiveString", value="a"),
        }
    )
    assert said(nodes) == PLAIN


def test_a_sampler_behind_a_guider() -> None:
    nodes = graph(
        **{
            "3": node("SamplerCustomAdvanced", noise=["30", 0], guider=["31", 0], sampler=["32", 0], sigmas=["33", 0],
                      latent_image=["5", 0]),
            "30": node("RandomNoise", noise_seed=7),
            "31": node("CFGGuider", model=["4", 0], positive=["34", 0], negative=["7", 0], cfg=5.5),
            "32": node("KSamplerSelect", sampler_name="euler"),
            "33": node("SplitSigmas", sigmas=["35", 0], step=3),
            "35": node("BasicScheduler", model=["4", 0], scheduler="karras", steps=20, denoise=1.0),
            "34": node("FluxGuidance", conditioning=["6", 0], guidance=3.5),
        }
    )  # fmt: skip
    assert said(nodes) == PLAIN | {"guidance": 3.5}


def test_a_basic_guider_has_one_conditioning() -> None:
    nodes = graph(
        **{
            "3": node("SamplerCustomAdvanced", noise=["30", 0], guider=["31", 0], sampler=["32", 0], sigmas=["33", 0]),
            "30": node("RandomNoise", noise_seed=7),
            "31": node("BasicGuider", model=["4", 0], conditioning=["6", 0]),
            "32": node("KSamplerSelect", sampler_name="euler"),
            "33": node("BasicScheduler", model=["4", 0], scheduler="simple", steps=4, denoise=1.0),
        }
    )
    found = said(nodes)
    assert (found["prompt"], found["steps"], found["scheduler"], found["seed"]) == ("a fox", 4, "simple", 7)
    assert "negative_prompt" not in found
    assert "cfg" not in found


def test_loras_in_a_chain_in_a_stack_and_in_rgthrees_loader() -> None:
    nodes = graph(
        **{
            "3": sampler(model=["40", 0]),
            "40": node("LoraLoader", model=["41", 0], clip=["41", 1], lora_name="b.safetensors", strength_model=0.5,
                       strength_clip=1),
            "41": node("Power Lora Loader (rgthree)", model=["42", 0],
                       lora_1={"on": True, "lora": "c.pt", "strength": 2},
                       lora_2={"on": False, "lora": "no.pt", "strength": 1}),
            "42": node("CR Apply LoRA Stack", model=["4", 0], clip=["4", 1], lora_stack=["43", 0]),
            "43": node("CR LoRA Stack", switch_1="On", lora_name_1="d.safetensors", model_weight_1=0.25, switch_2="Off",
                       lora_name_2="no.safetensors", model_weight_2=1, lora_name_3="None", lora_stack=["44", 0]),
            "44": node("LoRA Stacker", lora_name_1="e.safetensors", lora_wt_1=["45", 0], lora_count=1),
            "45": node("PrimitiveFloat", value=0.75),
        }
    )  # fmt: skip
    found = said(nodes)
    assert {lora.name: lora.weight for lora in found["loras"]} == {"b": 0.5, "c": 2.0, "d": 0.25, "e": 0.75}
    assert found["loras"][-1] == Lora("b", 0.5), "applied last"
    assert found["model"] == "dream"


def test_first_and_last_pass_are_told_apart() -> None:
    nodes = graph(
        **{
            "8": node("VAEDecode", samples=["50", 0], vae=["51", 0]),
            "51": node("VAELoader", vae_name="fine.safetensors"),
            "50": sampler(latent_image=["52", 0], steps=10, denoise=0.4, seed=8, sampler_name="dpmpp_2m"),
            "52": node("LatentUpscaleBy", samples=["3", 0], scale_by=1.5, upscale_method="bilinear"),
            "2": node("PreviewImage", images=["1", 0]),
            "1": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        }
    )
    recipe = read(nodes)
    first, last = recipe.passes
    assert (first.steps, first.denoise, first.seed, first.width, first.height) == (20, 1.0, 7, 512, 768)
    assert (last.steps, last.denoise, last.seed, last.width, last.height) == (10, 0.4, 8, 768, 1152)
    assert (first.sampler, last.sampler) == ("euler", "dpmpp_2m")
    assert said(nodes) == PLAIN | {"denoise": 0.4, "vae": "fine"}


def test_a_save_node_that_is_told_the_settings_is_no_sampler() -> None:
    told = {"steps": 20, "cfg": 5.5, "sampler_name": "euler", "scheduler": "karras", "positive": "a fox"}
    nodes = graph(**{"9": node("Image Saver", images=["8", 0], modelname="dream", **told)})
    assert len(read(nodes).passes) == 1
    assert said(nodes) == PLAIN
    alone = {"1": node("LoadImage", image="x.png"), "9": node("Image Saver", images=["1", 0], seed_value=7, **told)}
    assert read(alone).passes == ()
    saving = sampler(positive="a fox")
    nodes = {
        "4": node("CheckpointLoaderSimple", ckpt_name="dream.safetensors"),
        "3": saving | {"class_type": "SampleAndSave"},
    }
    assert len(read(nodes).passes) == 1


def test_base_and_refiner_of_ksampler_advanced() -> None:
    common = {"steps": 20, "cfg": 5.5, "sampler_name": "euler", "scheduler": "karras", "positive": ["6", 0],
              "negative": ["7", 0]}  # fmt: skip
    nodes = graph(
        **{
            "60": node("KSamplerAdvanced", noise_seed=7, start_at_step=0, end_at_step=15, model=["4", 0],
                       latent_image=["5", 0], **common),
            "3": node("KSamplerAdvanced", noise_seed=0, start_at_step=15, end_at_step=20, model=["61", 0],
                      latent_image=["60", 0], **common),
            "61": node("UNETLoader", unet_name="refiner.safetensors"),
        }
    )  # fmt: skip
    recipe = read(nodes)
    assert [one.model for one in recipe.passes] == ["dream", "refiner"]
    assert [one.denoise for one in recipe.passes] == [None, 0.25]
    assert said(nodes)["seed"] == 7


def test_loras_of_several_samplers_are_in_the_order_of_use() -> None:
    nodes = graph(
        **{
            "3": sampler(model=["62", 0]),
            "60": sampler(model=["63", 0], latent_image=["3", 0]),
            "62": node("LoraLoaderModelOnly", model=["4", 0], lora_name="high.safetensors", strength_model=1),
            "63": node("LoraLoaderModelOnly", model=["64", 0], lora_name="high.safetensors", strength_model=0.1),
            "64": node("LoraLoaderModelOnly", model=["4", 0], lora_name="low.safetensors", strength_model=0.9),
            "8": node("VAEDecode", samples=["60", 0], vae=["4", 2]),
        }
    )
    assert said(nodes)["loras"] == (Lora("high", 1.0), Lora("low", 0.9))


def test_a_sampler_that_scales_up_makes_the_size_after_it() -> None:
    scaling = sampler(image=["8", 0], upscale_by=["65", 0], upscale_model=["66", 0], tile_width=256, tile_height=256)
    nodes = graph(
        **{
            "60": {**scaling, "class_type": "UltimateSDUpscale"},
            "65": node("PrimitiveFloat", value=2),
            "66": node("UpscaleModelLoader", model_name="4x.pth"),
            "67": {**sampler(image=["60", 0]), "class_type": "FaceDetailer"},
            "9": node("SaveImage", images=["67", 0]),
        }
    )
    del scaling["inputs"]["latent_image"]
    del nodes["67"]["inputs"]["latent_image"]
    sizes = [(one.width, one.height) for one in read(nodes).passes]
    assert sizes == [(512, 768), (1024, 1536), (1024, 1536)]


def test_conditionings_that_are_combined_patched_and_zeroed() -> None:
    nodes = graph(
        **{
            "3": sampler(positive=["70", 0], negative=["70", 1]),
            "70": node("ControlNetApplyAdvanced", positive=["71", 0], negative=["72", 0], control_net=["73", 0]),
            "71": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["74", 0]),
            "74": node("CLIPTextEncodeSDXL", text_g="in snow", text_l="in snow", width=1024, height=1024),
            "72": node("ConditioningZeroOut", conditioning=["6", 0]),
            "73": node("ControlNetLoader", control_net_name="x"),
        }
    )
    assert said(nodes)["prompt"] == "a fox\nin snow"
    assert "negative_prompt" not in said(nodes)


def test_a_text_that_a_wildcard_became_stands_for_its_template() -> None:
    wildcard = node("ImpactWildcardEncode", wildcard_text="a {fox|cat}", populated_text="a fox", clip=["4", 1])
    assert said(graph(**{"6": wildcard}))["prompt"] == "a fox"
    wildcard["inputs"]["populated_text"] = ""
    assert said(graph(**{"6": wildcard}))["prompt"] == "a {fox|cat}"


def test_what_a_node_showed_in_an_earlier_run_is_no_prompt() -> None:
    nodes = graph(
        **{
            "6": node("CLIPTextEncode", text=["75", 0], clip=["4", 1]),
            "75": node("ShowText|pysssss", text_0="a stale cat", text_1="of old", text=["76", 0]),
            "76": node("StringConcatenate", string_a=["77", 0], string_b="fox", delimiter=" "),
            "77": node("PrimitiveString", value="a"),
        }
    )
    assert said(nodes) == PLAIN


def test_both_prompts_in_one_encoder_of_texts() -> None:
    wan = node("WanVideoSampler", seed=7, steps=20, cfg=5.5, scheduler="unipc", text_embeds=["6", 0])
    both = said(graph(**{"3": wan, "6": node("WanVideoTextEncode", positive_prompt="a fox", negative_prompt="bad")}))
    assert (both["prompt"], both["negative_prompt"]) == ("a fox", "bad")
    one = said(graph(**{"3": wan, "6": node("WanVideoTextEncodeSingle", prompt="a fox")}))
    assert one["prompt"] == "a fox"
    assert "negative_prompt" not in one


def test_loaders_and_pipes_that_carry_everything() -> None:
    nodes = {
        "1": node("Efficient Loader", ckpt_name="dream.safetensors", vae_name="Baked VAE", clip_skip=-2,
                  lora_name="None", positive="a fox", negative="blurry", empty_latent_width=512,
                  empty_latent_height=768),
        "2": node("KSampler (Efficient)", seed=7, steps=20, cfg=5.5, sampler_name="euler", scheduler="karras",
                  denoise=1.0, model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["1", 3]),
        "9": node("SaveImage", images=["2", 5]),
    }  # fmt: skip
    assert said(nodes) == PLAIN | {"clip_skip": 2}
    piped = graph(
        **{
            "3": node("ImpactKSamplerBasicPipe", basic_pipe=["80", 0], seed=7, steps=20, cfg=5.5, sampler_name="euler",
                      scheduler="karras", denoise=1.0, latent_image=["5", 0]),
            "80": node("ToBasicPipe", model=["4", 0], clip=["4", 1], positive=["6", 0], negative=["7", 0]),
        }
    )  # fmt: skip
    assert said(piped) == PLAIN


def test_no_sampler_at_all() -> None:
    nodes = {"1": node("SomeService", prompt="a fox", seed=7), "2": node("SaveImage", images=["1", 0])}
    assert said(nodes) == {"prompt": "a fox", "seed": 7}
    assert read(nodes).passes == ()


def test_circles_and_dead_ends_end() -> None:
    nodes = graph(
        **{
            "3": sampler(model=["4", 0], positive=["6", 0], latent_image=["5", 0], seed=["90", 0], negative=["99", 0]),
            "4": node("LoraLoaderModelOnly", model=["4", 0], lora_name=["4", 0]),
            "6": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["7", 0]),
            "7": node("Reroute", **{"": ["6", 0]}),
            "5": node("LatentUpscaleBy", samples=["3", 0], scale_by=2),
            "90": node("A", value=["91", 0]),
            "91": node("B", value=["90", 0]),
        }
    )
    assert set(said(nodes)) == {"steps", "cfg", "sampler", "scheduler", "denoise"}


def test_a_long_chain_of_reroutes_ends() -> None:
    chain = {str(number): node("Reroute", **{"": [str(number + 1), 0]}) for number in range(1000, 6000)}
    nodes = graph(**chain, **{"6000": node("CLIPTextEncode", text="far")}) | {"3": sampler(positive=["1000", 0])}
    assert said(nodes)["seed"] == 7


@pytest.mark.parametrize("value", [None, [], "x", {}, {"1": 2}, {"1": {"class_type": 3}}, {"nodes": []}])
def test_what_is_no_graph(value: Any) -> None:
    assert api.read(value) is None
    assert workflow.read(value) is None


def test_too_many_nodes_are_none() -> None:
    one = node("A")
    assert api.read({str(number): one for number in range(MOST_NODES + 1)}) is None
    assert workflow.read({"nodes": [{"id": number, "type": "A"} for number in range(MOST_NODES + 2)]}) is None


# -- the page's notation ------------------------------------------------------------------------------------------


def drawn(ident: Any, kind: str, values: Any = None, *inputs: Any, mode: int = 0, outputs: Any = ()) -> dict[str, Any]:
    """A node of a workflow; inputs are (name, link) or (name, link, type)."""
    sockets = [{"name": one[0], "link": one[1], "type": one[2] if len(one) > 2 else "X"} for one in inputs]
    kinds = [{"name": one, "type": one} for one in outputs]
    return {
        "id": ident,
        "type": kind,
        "mode": mode,
        "inputs": sockets,
        "outputs": kinds,
        "widgets_values": values or [],
    }


SAMPLING = [7, "randomize", 20, 5.5, "euler", "karras", 1.0]


def whole(workflow_: dict[str, Any]) -> Recipe:
    made = workflow.read(workflow_)
    assert made is not None
    return walk(made)


def drawing() -> dict[str, Any]:
    return {
        "nodes": [
            drawn(3, "KSampler", SAMPLING, ("model", 1), ("positive", 2), ("negative", 3), ("latent_image", 4)),
            drawn(4, "CheckpointLoaderSimple", ["dream.safetensors"]),
            drawn(5, "EmptyLatentImage", [512, 768, 1]),
            drawn(6, "CLIPTextEncode", ["a fox"], ("clip", 5)),
            drawn(7, "CLIPTextEncode", ["blurry"], ("clip", 6)),
            drawn(8, "VAEDecode", [], ("samples", 7), ("vae", 8)),
            drawn(9, "SaveImage", ["x"], ("images", 9)),
        ],
        "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 6, 0, 3, 1, "C"], [3, 7, 0, 3, 2, "C"], [4, 5, 0, 3, 3, "LATENT"],
                  [5, 4, 1, 6, 0, "CLIP"], [6, 4, 1, 7, 0, "CLIP"], [7, 3, 0, 8, 0, "LATENT"], [8, 4, 2, 8, 1, "VAE"],
                  [9, 8, 0, 9, 0, "IMAGE"]],
    }  # fmt: skip


def test_the_drawing_says_the_same_as_the_graph() -> None:
    assert {name: found.value for name, found in whole(drawing()).said.items()} == PLAIN


def test_widgets_by_their_sockets_and_as_an_object() -> None:
    made = drawing()
    made["nodes"][0] = drawn(
        3, "MyKSampler", SAMPLING, ("model", 1), ("positive", 2), ("negative", 3), ("latent_image", 4)
    )
    made["nodes"][0]["inputs"] += [
        {"name": name, "link": None, "widget": {"name": name}}
        for name in ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    ]
    made["nodes"][2] = drawn(5, "MyLatent", {"width": 512, "height": 768})
    assert {name: found.value for name, found in whole(made).said.items()} == PLAIN


def test_muted_and_bypassed_nodes() -> None:
    made = drawing()
    made["nodes"] += [
        drawn(20, "LoraLoaderModelOnly", ["off.safetensors", 1], ("model", 20, "MODEL"), mode=4, outputs=("MODEL",)),
        drawn(21, "KSampler", [1, "fixed", 99, 1, "x", "y", 1], ("latent_image", 7), mode=2),
    ]
    made["links"][0] = [1, 20, 0, 3, 0, "MODEL"]
    made["links"].append([20, 4, 0, 20, 0, "MODEL"])
    assert {name: found.value for name, found in whole(made).said.items()} == PLAIN


@pytest.mark.parametrize("kinds", [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_nodes_that_are_joined_by_a_name(kinds: tuple[str, str]) -> None:
    made = drawing()
    made["nodes"][:0] = [
        drawn(20, kinds[1], ["m"], outputs=("MODEL",)),
        drawn(21, kinds[0], ["m"], ("MODEL", 20), outputs=("*",)),
        drawn(22, kinds[1], ["c"], outputs=("CLIP",)),
        drawn(23, kinds[0], ["c"], ("CLIP", 21), outputs=("*",)),
        drawn(24, kinds[1], ["nobody's"], outputs=("VAE",)),
        drawn(25, kinds[0], [["odd"]], ("VAE", 22), outputs=("*",)),
    ]
    made["links"][0] = [1, 20, 0, 3, 0, "MODEL"]
    made["links"][4:6] = [[5, 22, 0, 6, 0, "CLIP"], [6, 23, 0, 7, 0, "CLIP"]]
    made["links"] += [[20, 4, 0, 21, 0, "M"], [21, 4, 1, 23, 0, "C"], [22, 4, 2, 25, 0, "V"], [8, 24, 0, 8, 1, "V"]]
    assert {name: found.value for name, found in whole(made).said.items()} == PLAIN


def test_names_that_join_nodes_in_a_circle_end() -> None:
    made = drawing()
    made["nodes"] += [drawn(20, "GetNode", ["m"]), drawn(21, "SetNode", ["m"], ("MODEL", 20))]
    made["links"] += [[20, 20, 0, 21, 0, "M"], [1, 21, 0, 3, 0, "MODEL"]]
    assert "model" not in whole(made).said


def test_a_name_in_a_subgraph_is_its_own_or_that_around_it() -> None:
    inner = {
        "id": "in-ner",
        "nodes": [
            drawn(1, "KSampler", SAMPLING, ("model", 1), ("positive", 2)),
            drawn(2, "GetNode", ["m"]),
            drawn(3, "GetNode", ["p"]),
            drawn(4, "SetNode", ["p"], ("CONDITIONING", 3)),
            drawn(5, "CLIPTextEncode", ["a fox"]),
        ],
        "links": [[1, 2, 0, 1, 0, "M"], [2, 3, 0, 1, 1, "C"], [3, 5, 0, 4, 0, "C"], [4, 1, 0, -20, 0, "L"]],
    }
    made = {
        "nodes": [
            drawn(1, "CheckpointLoaderSimple", ["dream.safetensors"]),
            drawn(2, "SetNode", ["m"], ("MODEL", 1)),
            drawn(3, "SetNode", ["p"], ("CONDITIONING", 2)),
            drawn(4, "CLIPTextEncode", ["a cat"]),
            drawn(5, "in-ner"),
            drawn(6, "SaveImage", ["x"], ("images", 3)),
        ],
        "links": [[1, 1, 0, 2, 0, "M"], [2, 4, 0, 3, 0, "C"], [3, 5, 0, 6, 0, "L"]],
        "definitions": {"subgraphs": [inner]},
    }
    found = whole(made).said
    assert (found["model"].value, found["prompt"].value) == ("dream", "a fox")


def test_subgraphs_are_unfolded() -> None:
    """The sampler, its prompt and its size lie in a subgraph, the prompt in one within that."""
    inner = {
        "id": "in-ner",
        "nodes": [drawn(1, "CLIPTextEncode", ["a fox"], ("clip", 1))],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
            {"id": 2, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    outer = {
        "id": "out-er",
        "nodes": [
            drawn(1, "KSampler", SAMPLING, ("model", 1), ("positive", 2), ("negative", 3), ("latent_image", 4)),
            drawn(2, "in-ner", [], ("clip", 5)),
            drawn(3, "CLIPTextEncode", ["blurry"], ("clip", 6)),
            drawn(4, "EmptyLatentImage", [512, 768, 1]),
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
            {"id": 2, "origin_id": 2, "origin_slot": 0, "target_id": 1, "target_slot": 1},
            {"id": 3, "origin_id": 3, "origin_slot": 0, "target_id": 1, "target_slot": 2},
            {"id": 4, "origin_id": 4, "origin_slot": 0, "target_id": 1, "target_slot": 3},
            {"id": 5, "origin_id": -10, "origin_slot": 1, "target_id": 2, "target_slot": 0},
            {"id": 6, "origin_id": -10, "origin_slot": 1, "target_id": 3, "target_slot": 0},
            {"id": 7, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0},
        ],
    }
    made = {
        "nodes": [
            drawn(1, "CheckpointLoaderSimple", ["dream.safetensors"]),
            drawn(2, "out-er", [], ("model", 1), ("clip", 2)),
            drawn(3, "VAEDecode", [], ("samples", 3)),
            drawn(4, "SaveImage", ["x"], ("images", 4)),
        ],
        "links": [[1, 1, 0, 2, 0, "M"], [2, 1, 1, 2, 1, "C"], [3, 2, 0, 3, 0, "L"], [4, 3, 0, 4, 0, "I"]],
        "definitions": {"subgraphs": [inner, outer]},
    }
    recipe = whole(made)
    assert {name: found.value for name, found in recipe.said.items()} == PLAIN
    assert recipe.said["prompt"].place == "node 2:2:1 CLIPTextEncode.text"


def test_a_subgraph_within_itself_ends() -> None:
    loop = {"id": "loop", "nodes": [drawn(1, "loop"), drawn(2, "loop"), drawn(3, "KSampler", SAMPLING)], "links": []}
    made = {"nodes": [drawn(1, "loop")], "links": [], "definitions": {"subgraphs": [loop]}}
    assert whole(made).said["seed"].value == 7


def test_group_nodes_are_unfolded_with_the_values_they_show() -> None:
    group = {
        "nodes": [
            drawn(None, "CLIPTextEncode", ["stale"], ("clip", None), outputs=("CONDITIONING",)),
            drawn(None, "KSampler", [1, "fixed", 2, 3, "a", "b", 1], ("model", None), ("positive", None),
                  outputs=("LATENT",)),
        ],
        "links": [[0, 0, 1, 1, "CONDITIONING"]],
    }  # fmt: skip
    made = {
        "nodes": [
            drawn(1, "CheckpointLoaderSimple", ["dream.safetensors"]),
            drawn(2, "workflow>mine", ["a fox", *SAMPLING], ("clip", 1), ("model", 2)),
            drawn(3, "VAEDecode", [], ("samples", 3)),
            drawn(4, "SaveImage", ["x"], ("images", 4)),
        ],
        "links": [[1, 1, 1, 2, 0, "C"], [2, 1, 0, 2, 1, "M"], [3, 2, 0, 3, 0, "L"], [4, 3, 0, 4, 0, "I"]],
        "extra": {"groupNodes": {"mine": group}},
    }
    found = {name: one.value for name, one in whole(made).said.items()}
    assert found == {key: PLAIN[key] for key in PLAIN if key not in ("width", "height", "negative_prompt")}


def test_upstream_lists_what_comes_earlier_first() -> None:
    made = api.read(graph())
    assert made is not None
    order = [one.id for one in made.upstream(["9"])]
    assert order.index("5") < order.index("3") < order.index("8") < order.index("9") == 6
    assert list(Graph({}).upstream(["1"])) == []
    assert Link("1", 0) in made.nodes["9"].links() or Link("8", 0) in made.nodes["9"].links()
