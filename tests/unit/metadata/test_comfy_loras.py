"""LoRAs are found in whichever loader or stack they were chosen, with the weights they had, in the order of use."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.media.metadata.model import Lora
from tests.unit.metadata.graphs import graph, node, said, sampler


def loras(loader: dict[str, Any], **more: Any) -> tuple[Lora, ...]:
    """Of the common graph with a loader between its model and its sampler."""
    loader["inputs"].setdefault("model", ["4", 0])
    found: tuple[Lora, ...] = said(graph(**{"3": sampler(model=["40", 0]), "40": loader}, **more)).get("loras", ())
    return found


EFFICIENCY = {
    "lora_name_1": "ink.safetensors", "lora_wt_1": 0.9, "model_str_1": 0.2, "clip_str_1": 1.0,
    "lora_name_2": "wash.safetensors", "lora_wt_2": 0.8, "model_str_2": 0.4, "clip_str_2": 1.0,
    "lora_name_3": "left.safetensors", "lora_wt_3": 1, "model_str_3": 1, "clip_str_3": 1,
}  # fmt: skip
EASY = {
    "lora_1_name": "ink.safetensors", "lora_1_strength": 0.9, "lora_1_model_strength": 0.2,
    "lora_2_name": "wash.safetensors", "lora_2_strength": 0.8, "lora_2_model_strength": 0.4,
    "lora_3_name": "left.safetensors", "lora_3_strength": 1, "lora_3_model_strength": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "stack",
    [
        lambda mode: node("LoRA Stacker", input_mode=mode, lora_count=2, **EFFICIENCY),
        lambda mode: node("easy loraStack", toggle=True, mode=mode, num_loras=["51", 0], **EASY),
    ],
    ids=["Efficiency", "easy-use"],
)
def test_a_stack_has_weights_by_its_mode_and_as_many_slots_as_it_counts(stack: Any) -> None:
    def stacked(mode: str) -> tuple[Lora, ...]:
        loader = node("CR Apply LoRA Stack", lora_stack=["50", 0])
        return loras(loader, **{"50": stack(mode), "51": node("PrimitiveInt", value=2)})

    assert stacked("simple") == (Lora("ink", 0.9), Lora("wash", 0.8))
    assert stacked("advanced") == (Lora("ink", 0.2), Lora("wash", 0.4))


def test_a_stack_that_is_switched_off_has_none() -> None:
    loader = node("easy fullLoader", ckpt_name="dream.safetensors", lora_name="None", optional_lora_stack=["50", 0])
    stack = node("easy loraStack", toggle=False, mode="simple", num_loras=2, **EASY)
    assert loras(loader, **{"50": stack}) == ()
    stack["inputs"]["toggle"] = True
    assert loras(loader, **{"50": stack}) == (Lora("ink", 0.9), Lora("wash", 0.8))


def test_loras_that_a_model_loader_takes_in_a_chain_of_their_own() -> None:
    loader = node("WanVideoModelLoader", model="Wan2_1.safetensors", lora=["50", 0])
    chain = {
        "50": node("WanVideoLoraSelect", lora="WanVideo/ink.safetensors", strength=0.8, prev_lora=["51", 0]),
        "51": node("WanVideoLoraSelectMulti", lora_0="wash.safetensors", strength_0=0.5, lora_1="none", strength_1=1),
    }
    assert loras(loader, **chain) == (Lora("wash", 0.5), Lora("ink", 0.8))


@pytest.mark.parametrize(
    "loader",
    [
        node("LoraTagLoader", text="a fox <lora:ink:0.7> <lora:sub/wash.safetensors:0.5:1>"),
        node("LoraTagLoader", text=["52", 0]),
        node("ImpactWildcardEncode", wildcard_text="<lora:other:1>",
             populated_text="a fox <lora:ink:0.7><lora:wash:0.5>"),
        node("Lora Loader (LoraManager)", text="<lora:ink:0.7> <lora:wash:0.5>"),
        node("Lora Loader (LoraManager)", text="<lora:ink:1> <lora:off:1> <lora:wash:1>",
             loras={"__value__": [{"name": "ink", "strength": "0.7", "active": True},
                                  {"name": "off", "strength": 1, "active": False},
                                  {"name": "wash", "strength": 0.5, "active": True}]}),
    ],
    ids=["tags", "linked tags", "what a wildcard became", "LoraManager's text", "LoraManager's list"],
)  # fmt: skip
def test_loras_that_a_loader_takes_from_a_text(loader: dict[str, Any]) -> None:
    text = node("PrimitiveString", value="<lora:ink:0.7> <lora:wash:0.5>")
    assert loras(loader, **{"52": text}) == (Lora("ink", 0.7), Lora("wash", 0.5))


def test_a_tag_in_a_prompt_that_no_loader_reads_is_none() -> None:
    tagged = node("CLIPTextEncode", text="a fox <lora:ink:0.7>", clip=["4", 1])
    assert "loras" not in said(graph(**{"6": tagged}))
