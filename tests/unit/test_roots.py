"""Where output is found, what holds it, and which interpreters a container has."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.transports.docker.inspected import Container, default_user, python_candidates
from sidecar.transports.docker.presets import KIND_MARKS, PRESETS
from tests.unit.inspects import ENABLED, RECORDED, Tree, found, inspect, left, one


@pytest.mark.parametrize(
    ("container", "tree", "roots"),
    [
        # the container's own command line
        ({"image": "comfyui", "argv": ("python", "main.py", "--output-directory", "/o/x")}, ["/o/x"], ["/o/x"]),
        ({"image": "comfyui", "argv": ("python", "main.py", "--output-directory=/o/x/")}, ["/o/x"], ["/o/x"]),
        ({"image": "comfyui", "argv": ("python", "main.py", "--output-directory", "o"), "WorkingDir": "/app"},
         ["/app/o"], ["/app/o"]),
        ({"image": "comfyui", "argv": ("sh", "-c", "cd /x && exec python main.py --output-directory '/o/a b'")},
         ["/o/a b"], ["/o/a b"]),
        ({"image": "comfyui", "argv": ("sh", "-c", "python main.py --output-directory $OUT"), "env": ("OUT=/o",)},
         ["/o"], ["/o"]),
        ({"image": "comfyui", "argv": ("m", "--output-directory", "/a", "--output-directory", "/b")},
         ["/a", "/b"], ["/b"]),
        ({"image": "comfyui", "argv": ("m", "--base-directory", "/b", "--output-directory", "/o")},
         ["/b/output", "/o"], ["/o"]),
        ({"image": "comfyui", "argv": ("m", "--base-directory", "/b")}, ["/b/output"], ["/b/output"]),
        ({"image": "sd-webui-forge", "argv": ("launch.py", "--data-dir", "/d")}, ["/d/outputs"], ["/d/outputs"]),
        ({"image": "sd-webui-forge", "argv": ("launch.py", "--data-dir", "/d")},
         ["/d/outputs", "/d/output"], ["/d/outputs", "/d/output"]),
        ({"image": "sd-webui-forge", "argv": ("launch.py", "--data-dir=/d")},
         ["/d/output", "/d/log/images"], ["/d/output", "/d/log/images"]),
        ({"image": "comfyui", "argv": ("python", "/srv/ComfyUI/main.py")},
         ["/srv/ComfyUI/output"], ["/srv/ComfyUI/output"]),
        ({"image": "comfyui", "argv": ("python", "main.py"), "WorkingDir": "/srv"}, ["/srv/output"], ["/srv/output"]),
        ({"image": "a1111", "argv": ("/srv/webui/webui.sh",)}, ["/srv/webui/outputs"], ["/srv/webui/outputs"]),
        # its environment
        ({"image": "mmartial/comfyui-nvidia-docker", "env": ("BASE_DIRECTORY=/basedir",)},
         ["/basedir/output", "/comfy/mnt/ComfyUI/output"], ["/basedir/output"]),
        ({"image": "x/comfyui", "env": ("CLI_ARGS=--lowvram --output-directory '/o'",)},
         ["/o", "/comfyui/output"], ["/o"]),
        ({"image": "x/sd-webui", "env": ("COMMANDLINE_ARGS=--data-dir /d",)}, ["/d/outputs"], ["/d/outputs"]),
        ({"image": "x/forge", "env": ('FORGE_ARGS=--data-dir "/d',)}, ["/d/outputs"], ["/d/outputs"]),
        ({"image": "ai-dock/comfyui", "env": ("WORKSPACE=/ws",)}, ["/ws/ComfyUI/output"], ["/ws/ComfyUI/output"]),
        ({"image": "ai-dock/stable-diffusion-webui-forge", "env": ("WORKSPACE=/ws/",)},
         ["/ws/stable-diffusion-webui-forge/outputs"], ["/ws/stable-diffusion-webui-forge/outputs"]),
        # what is known of images
        ({"image": "mmartial/comfyui-nvidia-docker:x"},
         ["/comfy/mnt/ComfyUI/output"], ["/comfy/mnt/ComfyUI/output"]),
        ({"image": "yanwk/comfyui-boot"}, ["/root/ComfyUI/output"], ["/root/ComfyUI/output"]),
        ({"image": "ghcr.io/ai-dock/comfyui:v2"}, ["/opt/ComfyUI/output"], ["/opt/ComfyUI/output"]),
        ({"image": "sd-auto:78"}, ["/output"], ["/output"]),
        ({"image": "sd-comfy:7"}, ["/output/comfy"], ["/output/comfy"]),
        ({"image": "runpod/worker-comfyui:5"}, ["/comfyui/output"], ["/comfyui/output"]),
        ({"image": "universonic/stable-diffusion-webui"}, ["/app/stable-diffusion-webui/outputs"],
         ["/app/stable-diffusion-webui/outputs"]),
        ({"image": "sammrai/sd-forge-docker"}, ["/app/data/outputs", "/app/data/log/images"],
         ["/app/data/outputs", "/app/data/log/images"]),
        ({"image": "catspeedcc/sd-webui-forge-docker"}, ["/app/webui/outputs"], ["/app/webui/outputs"]),
        ({"image": "zeroclue/comfyui"}, ["/workspace/output"], ["/workspace/output"]),
        ({"image": "me/sd-webui-forge-neo"}, ["/sd-webui-forge-neo/output"], ["/sd-webui-forge-neo/output"]),
        ({"image": "me/forge-neo"}, ["/sd-webui-forge-neo/output"], ["/sd-webui-forge-neo/output"]),
        ({"image": "swarmui:latest"}, ["/SwarmUI/Output"], ["/SwarmUI/Output"]),
        ({"image": "me/unknown"}, ["/comfyui/output"], ["/comfyui/output"]),
        ({"image": "me/comfyui"}, ["/ComfyUI/temp", "/ComfyUI/output"], ["/ComfyUI/output"]),
    ],
)  # fmt: skip
async def test_roots_are_detected(container: dict[str, Any], tree: list[str], roots: list[str]) -> None:
    source = await one(inspect(labels=ENABLED, **container), tree=Tree(*tree))
    assert [root.decode() for root in source.roots] == roots


@pytest.mark.parametrize(
    ("container", "tree", "reason"),
    [
        ({"image": "me/comfyui"}, [], "no output folder found"),
        ({"image": "me/unknown"}, ["/output", "/workspace/output"], "no output folder found"),
        ({"image": "comfyui", "argv": ("m", "--output-directory", "/x/temp")}, ["/x/temp"], "no output folder found"),
        ({"image": "me/comfyui", "argv": ("m", "--output-directory", "/o")}, ["/comfyui/output"],
         "root /o (from --output-directory in its command line) does not exist"),
    ],
)  # fmt: skip
async def test_roots_that_are_not_found(container: dict[str, Any], tree: list[str], reason: str) -> None:
    answer = await left(inspect(labels=ENABLED, **container), tree=Tree(*tree))
    assert (answer.reason, answer.faulty) == (reason, True)
    assert answer.hint.endswith("name the output folder with the label media-sync.path")


async def test_explicit_root_must_be_a_folder() -> None:
    container = inspect("gen")
    tree = Tree("/out", links={"/in": "/out", "/gone": "/nowhere", "/text": "/a/file"}, files=("/a/file",))
    assert (await one(container, tree=tree, sources=["x=gen:/in"])).roots == (b"/in",)
    for path, reason in (("/a/file", "is not a directory"), ("/text", "is not a directory"),
                         ("/gone", "is not a directory"), ("/nope", "does not exist")):  # fmt: skip
        assert (await left(container, tree=tree, sources=[f"x=gen:{path}"])).reason == f"root {path} {reason}"


async def test_kind_told_by_the_preset_that_fits() -> None:
    source = await one(inspect(labels=ENABLED), tree=Tree("/sd-webui-forge/outputs", "/sd-webui-forge/log/images"))
    assert source.kind == "forge"
    assert source.roots == (b"/sd-webui-forge/outputs", b"/sd-webui-forge/log/images")


# mounts


@pytest.mark.parametrize(
    ("root", "mount"),
    [("/data/ComfyUI/output", "volume"), ("/data/ComfyUI/output/sub", "volume"), ("/data/ComfyUI/outputs", "layer"),
     ("/app/tmpfsout", "tmpfs"), ("/app/tmpfsout/deep", "tmpfs"), ("/app/t2", "tmpfs"), ("/app", "layer"),
     ("/opt/output", "volume"), ("/link", "tmpfs")],
)  # fmt: skip
async def test_mount_of_a_root(root: str, mount: str) -> None:
    tree = Tree("/data/ComfyUI/output/sub", "/data/ComfyUI/outputs", "/app/tmpfsout", "/app/t2",
                links={"/opt": "/data/ComfyUI", "/link": "/app/t2"})  # fmt: skip
    assert (await one(RECORDED, tree=tree, sources=[f"x=generator:{root}"])).mounts == (mount,)


async def test_deepest_mount_counts_and_later_kinds_of_mount_are_volumes() -> None:
    mounts = [{"Type": "bind", "Destination": "/a"}, {"Type": "volume", "Destination": "/a/b/"},
              {"Type": "cluster", "Destination": "/c"}]  # fmt: skip
    container = Container.of(inspect(Mounts=mounts))
    assert [container.mount_of(path) for path in ("/a", "/a/x", "/a/b", "/a/b/c", "/ab", "/c")] == [
        "bind", "bind", "volume", "volume", "layer", "volume"]  # fmt: skip


async def test_what_lies_below_a_tmpfs_is_believed_when_told_and_not_guessed() -> None:
    mounts: dict[str, Any] = {"HostConfig": {"Tmpfs": {"/comfyui": ""}}}
    told = inspect(labels=ENABLED, image="comfyui", argv=("m", "--output-directory", "/comfyui/out"), **mounts)
    assert (await one(told, tree=Tree("/comfyui"))).roots == (b"/comfyui/out",)
    guessed = inspect(labels=ENABLED, image="worker-comfyui", **mounts)
    assert (await left(guessed, tree=Tree("/comfyui"))).reason == "no output folder found"


async def test_same_folder_by_two_names_is_pulled_once() -> None:
    labels = ENABLED | {"media-sync.path": "/out/sub;/link;/out;/other"}
    answer = await found(inspect(labels=labels), tree=Tree("/out/sub", "/other", links={"/link": "/out"}))
    assert answer.sources[0].roots == (b"/out", b"/other")
    assert len(answer.warnings) == 2


# interpreters and users


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, []),
        ({"argv": ("/venv/bin/python", "main.py")}, ["/venv/bin/python"]),
        ({"argv": ("sh", "-c", "exec /opt/conda/bin/python3.11 -u main.py")}, ["/opt/conda/bin/python3.11"]),
        ({"argv": ("venv/bin/python3", "x"), "WorkingDir": "/app"}, ["/app/venv/bin/python3"]),
        ({"argv": ("python3", "x"), "env": ("VIRTUAL_ENV=/v/", "CONDA_PREFIX=/c")}, ["/v/bin/python", "/c/bin/python"]),
        ({"argv": ("/opt/pythonista", "python-x")}, []),
    ],
)
def test_interpreters(container: dict[str, Any], expected: list[str]) -> None:
    assert python_candidates(inspect(**container)) == ["python3", "python", *expected]


def test_default_user() -> None:
    assert default_user(inspect(User="1024:100")) == "1024:100"
    assert default_user(RECORDED) == ""


def test_presets_are_folders_that_an_operator_could_name() -> None:
    for preset in PRESETS:
        assert preset.roots
        for root in preset.roots:
            assert Container.of({}).absolute(root) == root
            assert not root.endswith("/temp")
    assert [kind for kind, _ in KIND_MARKS].index("forge") < [kind for kind, _ in KIND_MARKS].index("a1111")
