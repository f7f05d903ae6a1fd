"""Where known images keep their output, as data. Detection from a container's own command line comes first."""

from __future__ import annotations

import re

from sidecar.values import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """Output folders of one image or family. The first of `roots` that exists is taken.

    `image` is searched in the image's name. A row without it serves every container of its kind; `general` rows hold
    names that any container may have, so they need the kind to be known.
    """

    kind: str
    roots: tuple[str, ...]
    image: str = ""
    general: bool = False


# Rows of an image come before those of a kind, the more specific before the general.
PRESETS: tuple[Preset, ...] = (
    Preset("comfyui", ("/basedir/output", "/comfy/mnt/ComfyUI/output"), image=r"comfyui-nvidia-docker"),
    Preset("comfyui", ("/root/ComfyUI/output",), image=r"comfyui-boot"),
    Preset("comfyui", ("/opt/ComfyUI/output", "/workspace/ComfyUI/output"), image=r"ai-dock/comfyui"),
    Preset("comfyui", ("/stable-diffusion/output", "/output/comfy"), image=r"sd-comfy\b"),
    Preset("comfyui", ("/comfyui/output",), image=r"worker-comfyui"),
    Preset("comfyui", ("/app/comfyui/output",), image=r"universonic/comfyui"),
    Preset("comfyui", ("/workspace/ComfyUI/output", "/workspace/output"), image=r"(ashleykleynhans|zeroclue)/comfyui"),
    Preset("custom", ("/SwarmUI/Output",), image=r"swarmui"),
    Preset("forge", ("/sd-webui-forge-neo/output",), image=r"forge[-_.]?neo"),
    Preset(
        "forge",
        ("/opt/stable-diffusion-webui-forge/outputs", "/workspace/stable-diffusion-webui-forge/outputs"),
        image=r"ai-dock/.*forge",
    ),
    Preset("forge", ("/app/data/outputs",), image=r"sd-forge-docker"),
    Preset("forge", ("/app/webui/outputs",), image=r"sd-webui-forge-docker"),
    Preset(
        "forge", ("/workspace/stable-diffusion-webui-forge/outputs", "/workspace/output"), image=r"zeroclue/.*forge"
    ),
    Preset(
        "a1111",
        ("/opt/stable-diffusion-webui/outputs", "/workspace/stable-diffusion-webui/outputs"),
        image=r"ai-dock/stable-diffusion-webui",
    ),
    Preset("a1111", ("/output",), image=r"sd-auto\b"),
    Preset("a1111", ("/app/stable-diffusion-webui/outputs",), image=r"universonic/stable-diffusion-webui"),
    Preset(
        "comfyui",
        (
            "/basedir/output",
            "/comfy/mnt/ComfyUI/output",
            "/root/ComfyUI/output",
            "/opt/ComfyUI/output",
            "/comfyui/output",
            "/app/comfyui/output",
            "/app/ComfyUI/output",
            "/ComfyUI/output",
            "/workspace/ComfyUI/output",
        ),
    ),
    Preset(
        "forge",
        (
            "/opt/stable-diffusion-webui-forge/outputs",
            "/workspace/stable-diffusion-webui-forge/outputs",
            "/app/stable-diffusion-webui-forge/outputs",
            "/stable-diffusion-webui-forge/outputs",
            "/sd-webui-forge/outputs",
            "/sd-webui-forge/output",
            "/sd-webui-forge-neo/output",
            "/sd-webui-forge-classic/output",
        ),
    ),
    Preset(
        "a1111",
        (
            "/opt/stable-diffusion-webui/outputs",
            "/workspace/stable-diffusion-webui/outputs",
            "/app/stable-diffusion-webui/outputs",
            "/stable-diffusion-webui/outputs",
        ),
    ),
    Preset("comfyui", ("/stable-diffusion/output", "/output/comfy", "/workspace/output"), general=True),
    Preset("forge", ("/app/data/outputs", "/app/webui/outputs", "/workspace/output", "/output"), general=True),
    Preset("a1111", ("/app/data/outputs", "/app/webui/outputs", "/output"), general=True),
)

# What an image's name, a command line, a compose service or a title label says of the kind. Order matters: Forge's
# names contain A1111's. `forge` alone is not here, because Forgejo and a game's mod loader are called so too.
KIND_MARKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("custom", re.compile(r"swarm-?ui", re.IGNORECASE)),
    ("comfyui", re.compile(r"comfy", re.IGNORECASE)),
    (
        "forge",
        re.compile(
            r"(?:webui|sd|diffusion)[-_.]forge|forge[-_.](?:neo|classic|docker|webui|sd)\b|forge[-_.]?neo|(?:^|/)forge(?:[:@]|$)|forge_args",
            re.IGNORECASE,
        ),
    ),
    (
        "a1111",
        re.compile(r"stable-diffusion-webui|sd-?webui|automatic1111|a1111|\bsd-auto\b|webui-docker", re.IGNORECASE),
    ),
)

# This project's own image is no generator, though its name contains one's.
OWN_IMAGE = re.compile(r"(?:^|/)forge-media-sync(?:[:@]|$)", re.IGNORECASE)

# Variables whose value is a command line of its own.
ARGUMENT_VARIABLES = (
    "COMFYUI_ARGS",
    "CLI_ARGS",
    "COMMANDLINE_ARGS",
    "FORGE_ARGS",
    "WEBUI_ARGS",
    "COMFY_CMDLINE_EXTRA",
)

# What follows a workspace or a data folder, by kind.
WORKSPACE_ROOTS: dict[str, tuple[str, ...]] = {
    "comfyui": ("ComfyUI/output",),
    "forge": ("stable-diffusion-webui-forge/outputs",),
    "a1111": ("stable-diffusion-webui/outputs",),
}
DATA_ROOTS = ("outputs", "output")  # Forge Classic and Neo dropped the s

# A1111 and Forge keep what the Save button copies beside their output folder.
SAVED_SIBLING = "log/images"
SAVING_KINDS = frozenset({"forge", "a1111"})
