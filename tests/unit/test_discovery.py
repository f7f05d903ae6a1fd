"""Which containers become sources, and what is said of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import load
from sidecar.errors import EngineRefused, EngineUnreachable
from sidecar.models import LeftOut, Rules, Source
from sidecar.transports.base import Discovery
from sidecar.transports.docker.discovery import default_name, discover
from sidecar.transports.docker.inspected import Container, own_container_id
from sidecar.transports.docker.labels import Wish
from tests.unit.inspects import ENABLED, HOUR, RECORDED, Tree, found, inspect, left, one

# what becomes a source


async def test_recorded_container_becomes_a_source() -> None:
    source = await one(RECORDED, tree=Tree("/data/ComfyUI/output", "/root/ComfyUI/output"))
    assert source == Source(
        name="generator", kind="comfyui", transport="docker", generation=RECORDED["Id"], container="generator",
        roots=(b"/data/ComfyUI/output",), state="running", rules=Rules(), mounts=("volume",), group="",
        places=("/var/lib/docker/volumes/models/_data",),
    )  # fmt: skip


async def test_labels_say_all() -> None:
    labels = ENABLED | {"media-sync.name": "Studio", "media-sync.kind": "custom", "media-sync.path": "/a;/b/./c/",
                        "media-sync.include": "*.png;*.mp4", "media-sync.exclude": "tmp/**\n*.part",
                        "media-sync.preserve": "keep/**", "media-sync.older-than": "3d", "media-sync.purge": "false",
                        "media-sync.group": "gpu"}  # fmt: skip
    source = await one(inspect(labels=labels), tree=Tree("/a", "/b/c"))
    assert (source.name, source.kind, source.group, source.roots) == ("studio", "custom", "gpu", (b"/a", b"/b/c"))
    assert source.rules == Rules(("*.png", "*.mp4"), ("tmp/**", "*.part"), ("keep/**",), 72 * HOUR, purge=False)


@pytest.mark.parametrize("switch", ["true", "True", "yes", "1", "on"])
async def test_ways_to_say_true(switch: str) -> None:
    labels = {"media-sync.enable": switch, "media-sync.path": "/out"}
    assert (await one(inspect(labels=labels))).roots == (b"/out",)


async def test_names_come_from_label_then_service_then_container() -> None:
    path = ENABLED | {"media-sync.path": "/out"}
    service = path | {"com.docker.compose.service": "Comfy_UI", "com.docker.compose.project": "p"}
    assert (await one(inspect("p-Comfy-1", labels=service))).name == "comfy_ui"
    assert (await one(inspect("Box", labels=path))).name == "box"
    assert (await one(inspect("Box", labels=service | {"media-sync.name": "mine"}))).name == "mine"


@given(st.text(max_size=90))
def test_any_container_name_gives_a_usable_source_name(name: str) -> None:
    made = default_name(Container.of(inspect(name or "x")), Wish())
    assert 0 < len(made) <= 63
    assert made[0].isalnum()
    assert made == made.lower()


async def test_recreated_container_is_the_same_source_in_a_new_generation() -> None:
    labels = ENABLED | {"media-sync.path": "/out", "com.docker.compose.service": "comfy"}
    old = inspect("p-comfy-1", id="1" * 64, labels=labels, state="exited")
    new = inspect("p-comfy-2", id="2" * 64, labels=labels, created="2026-11-23T00:00:00Z")
    before, after = await one(old), await one(new)
    assert before.name == after.name == "comfy"
    assert before.generation != after.generation


@pytest.mark.parametrize(
    ("states", "chosen"),
    [(("exited", "running", "paused"), 1), (("exited", "paused", "exited"), 1), (("exited", "exited", "created"), 1),
     (("running", "running", "running"), 2), (("exited", "dead", "removing"), 0)],
)  # fmt: skip
async def test_best_container_of_a_name_is_taken_and_the_others_are_named(states: tuple[str, ...], chosen: int) -> None:
    labels = ENABLED | {"media-sync.path": "/out", "media-sync.name": "one"}
    times = ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.5Z", "2026-11-22T10:00:01+00:00")
    answer = await found(
        *(inspect(f"c{i}", labels=labels, state=state, created=times[i]) for i, state in enumerate(states))
    )
    assert answer.sources[0].container == f"c{chosen}"
    assert len(answer.left_out) == 2
    for other in answer.left_out:
        assert other.reason.startswith(f"source one is container c{chosen}, which is ")
        state = states[int(other.container[1:])]
        assert other.faulty is (state in ("running", "paused"))


async def test_container_being_removed_is_no_source() -> None:
    labels = ENABLED | {"media-sync.path": "/out"}
    assert (await left(inspect(labels=labels, state="removing"))).reason == "is removing"


# what settings name


@pytest.mark.parametrize(
    ("flag", "expected"),
    [("comfy", "comfy"), ("c0ffee000000", "comfy"), ("c0ffee", "comfy"), ("web", "p-web-1"), ("p/web", "p-web-1")],
)
async def test_source_flag_finds_by_name_id_and_service(flag: str, expected: str) -> None:
    service = {"com.docker.compose.service": "web", "com.docker.compose.project": "p"}
    inspects = [inspect("comfy", id="c0ffee".ljust(64, "0")), inspect("p-web-1", labels=service),
                inspect("labelled", labels=ENABLED | {"media-sync.path": "/out"})]  # fmt: skip
    source = await one(*inspects, sources=[f"x={flag}:/out"])
    assert (source.name, source.container) == ("x", expected)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("service: web", "p-web-1"), ("service: p/web", "p-web-1"), ("label: role=gen", "gen"), ("label: role", "gen"),
     ("container: /gen", "gen")],
)  # fmt: skip
async def test_yaml_finds_by_service_label_and_name(target: str, expected: str, tmp_path: Path) -> None:
    web, other = ({"com.docker.compose.service": service, "com.docker.compose.project": project}
                  for service, project in (("web", "p"), ("web2", "q")))  # fmt: skip
    inspects = [
        inspect("gen", labels={"role": "gen"}),
        inspect("p-web-1", labels=web),
        inspect("q-web-1", labels=other),
    ]
    source = await one(*inspects, tmp=tmp_path, yaml=f"sources:\n  x:\n    {target}\n    path: /out\n")
    assert source.container == expected


async def test_unknown_container_is_an_error_with_near_names() -> None:
    answer = await left(inspect("comfyui"), inspect("forge"), sources=["x=comfyiu"])
    assert answer == LeftOut("x", "comfyiu", "no such container: comfyiu", "did you mean comfyui?", faulty=True)
    assert (await left(inspect("a"), inspect("b"), sources=["x=zzz"])).hint == "there are a, b"
    assert (await left(sources=["x=zzz"])).hint == "there are none at all"


async def test_ambiguous_id_is_an_error() -> None:
    inspects = [inspect("a", id="abcd1" + "0" * 59), inspect("b", id="abcd2" + "0" * 59)]
    answer = await left(*inspects, sources=["x=abcd:/out"])
    assert answer.faulty
    assert answer.reason == "abcd begins the IDs of several containers: a, b"
    assert (await one(*inspects, sources=["x=abcd2:/out"])).container == "b"


async def test_exact_name_wins_over_an_id_that_begins_so() -> None:
    inspects = [inspect("beef", id="1" * 64), inspect("b", id="beef".ljust(64, "0"))]
    assert (await one(*inspects, sources=["x=beef:/out"])).container == "beef"


async def test_settings_claim_a_labelled_container_once(tmp_path: Path) -> None:
    labels = ENABLED | {"media-sync.path": "/label", "media-sync.preserve": "a/**"}
    yaml = "purge: {preserve: c/**}\nsources: {mine: {container: gen, preserve: b/**, older_than: 1h, group: g}}\n"
    source = await one(inspect("gen", labels=labels), tree=Tree("/label"), yaml=yaml, tmp=tmp_path)
    assert (source.name, source.group, source.roots) == ("mine", "g", (b"/label",))
    assert source.rules.preserve == ("c/**", "b/**", "a/**")
    assert source.rules.older_than_ns == HOUR


async def test_name_taken_by_settings_is_not_given_to_a_labelled_container(tmp_path: Path) -> None:
    other = inspect("gen", labels=ENABLED | {"media-sync.path": "/out"})
    answer = await found(inspect("a"), other, yaml="sources: {gen: {container: a, path: /out}}", tmp=tmp_path)
    assert [source.container for source in answer.sources] == ["a"]
    assert answer.left_out[0].faulty
    assert answer.left_out[0].reason == "the settings give the name gen to container a"


async def test_source_switched_off_stays_off_even_when_labelled(tmp_path: Path) -> None:
    labels = ENABLED | {"media-sync.path": "/out"}
    answer = await found(
        inspect("gen", labels=labels), tmp=tmp_path, yaml="sources: {x: {container: gen, enabled: no}}"
    )
    assert answer.sources == ()
    assert [(left.name, left.reason, left.faulty) for left in answer.left_out] == [
        ("x", "switched off in the settings", False)
    ]


async def test_labels_can_be_switched_off(tmp_path: Path) -> None:
    answer = await left(inspect(labels=ENABLED), tmp=tmp_path, yaml="docker: {labels: false}")
    assert answer.reason == "labels are not followed, and no source names it"
    assert answer.hint.endswith("or in the settings' sources")
    assert not answer.faulty
    named = "docker: {labels: false}\nsources: {x: {container: elsewhere}}"
    assert [one.name for one in (await found(inspect(labels=ENABLED), tmp=tmp_path, yaml=named)).left_out] == ["x"]


async def test_label_of_refusal_stands_against_the_settings() -> None:
    answer = await left(inspect("gen", labels={"media-sync.enable": "false"}), sources=["x=gen:/out"])
    assert (answer.reason, answer.faulty) == ("label media-sync.enable=false", True)


# what is left out, and why


@pytest.mark.parametrize(
    "looks",
    [{"image": "yanwk/comfyui-boot:cu124"}, {"argv": ("python", "/opt/ComfyUI/main.py")},
     {"labels": {"com.docker.compose.service": "forge"}}, {"image": "sammrai/sd-forge-docker"},
     {"labels": {"org.opencontainers.image.title": "stable-diffusion-webui"}}, {"env": ("COMFYUI_ARGS=",)},
     {"labels": {"media-sync.name": "x"}}],
)  # fmt: skip
async def test_what_looks_like_a_generator_is_named(looks: dict[str, Any]) -> None:
    answer = await left(inspect(**looks))
    assert answer.reason == "no label media-sync.enable=true"
    assert answer.hint == "add the label media-sync.enable=true to pull from it"
    assert not answer.faulty


@pytest.mark.parametrize("image", ["postgres:16", "codeberg.org/forgejo/forgejo:9", "itzg/minecraft-server",
                                   "forge-media-sync:latest", "ghcr.io/me/forge-media-sync@sha256:1"])  # fmt: skip
async def test_what_is_no_generator_is_not_named(image: str) -> None:
    assert await found(inspect(image=image)) == Discovery((), (), ())


async def test_own_container_is_left_out_silently() -> None:
    mine = inspect("sidecar", id="5" * 64, labels=ENABLED, image="comfyui")
    assert await found(mine, own="5" * 64) == Discovery((), (), ())


def test_own_container_is_known_by_its_mounts() -> None:
    hash_ = "ab" * 32
    line = f"1 2 8:1 /var/lib/docker/containers/{hash_}/hostname /etc/hostname rw - ext4 /dev/sda1 rw"
    on_host = f"1 2 0:9 / /var/lib/docker/containers/{hash_}/mounts/shm rw - tmpfs shm rw"
    assert own_container_id(f"{on_host}\n{line}", "custom") == hash_
    assert own_container_id(on_host, "workstation") == ""
    assert own_container_id("", "0123456789ab") == "0123456789ab"


async def test_refusal_by_label_is_told() -> None:
    answer = await left(inspect(labels={"media-sync.enable": "false"}))
    assert (answer.reason, answer.faulty) == ("label media-sync.enable=false", False)


@pytest.mark.parametrize(
    ("label", "value", "reason", "hint"),
    [
        ("older-than", "tomorrow", '"tomorrow" is not a length of time', "write it like 24h"),
        ("purge", "nope", '"nope" is neither true nor false', "write true or false"),
        ("kind", "comfy", '"comfy" is not known here', "did you mean comfyui?"),
        ("path", "outputs", '"outputs" is not an absolute path', "full path"),
        ("path", "/a;/b/../c", "climbs with ..", "full path"),
        ("path", "/", "cannot be an output folder", "folder that holds"),
        ("name", "a/b", "cannot name a source", "begin with a letter"),
        ("group", "", "cannot name a source", "begin with a letter"),
        ("exclude", "[z-a]", "is not a glob", "write it like"),
    ],
)
async def test_bad_label_leaves_its_container_out_with_a_line(label: str, value: str, reason: str, hint: str) -> None:
    labels = ENABLED | {"media-sync.path": "/out"} | {f"media-sync.{label}": value}
    answer = await left(inspect(labels=labels))
    assert answer.faulty
    assert answer.container == "generator"
    assert answer.reason.startswith(f"label media-sync.{label}: ")
    assert reason in answer.reason
    assert hint in answer.hint
    assert "\n" not in answer.reason + answer.hint


async def test_bad_label_stops_a_source_of_the_settings_too() -> None:
    answer = await left(inspect("gen", labels={"media-sync.older-than": "7 dayz"}), sources=["x=gen:/out"])
    assert answer.faulty


async def test_each_bad_label_is_a_line_and_a_bad_switch_is_an_error() -> None:
    labels = ENABLED | {"media-sync.older-than": "x", "media-sync.purge": "x"}
    assert len((await found(inspect(labels=labels))).left_out) == 2
    assert (await left(inspect(labels={"media-sync.enable": "ture"}))).faulty


async def test_misspelt_label_is_a_warning_with_the_right_name() -> None:
    answer = await found(inspect(labels={"media-sync.enabled": "true"}))
    assert answer.warnings == (
        "container generator: label media-sync.enabled is not known — did you mean media-sync.enable?",
    )
    assert answer.left_out[0].reason == "no label media-sync.enable=true"


async def test_one_faulty_container_hides_no_other() -> None:
    good = inspect("good", labels=ENABLED | {"media-sync.path": "/out"})
    bad = inspect("bad", labels=ENABLED | {"media-sync.path": "/nope"})
    answer = await found(bad, good)
    assert [source.name for source in answer.sources] == ["good"]
    assert answer.left_out == (
        LeftOut(
            "bad", "bad", "root /nope does not exist", "correct the path, or start the generator once", faulty=True
        ),
    )


async def test_engine_that_refuses_one_look_costs_one_source_and_a_dead_one_all() -> None:
    container = inspect(labels=ENABLED | {"media-sync.path": "/out"})

    async def refuse(_id: str, _path: bytes) -> None:
        raise EngineRefused("no HEAD here", hint="allow it")

    async def die(_id: str, _path: bytes) -> None:
        raise EngineUnreachable("gone")

    settings = load(env={}, cwd=Path("/nowhere")).settings
    answer = await discover(settings, [container], refuse)
    assert answer.left_out == (LeftOut("generator", "generator", "no HEAD here", "allow it", faulty=True),)
    with pytest.raises(EngineUnreachable):
        await discover(settings, [container], die)


@pytest.mark.parametrize(
    "answer",
    [{}, {"Id": None, "Config": None, "Mounts": None, "HostConfig": None, "State": None},
     {"Id": "1", "Config": {"Labels": [], "Env": "x", "Cmd": "sh"}, "Mounts": [3], "Name": 5}],
)  # fmt: skip
async def test_odd_answers_make_nothing(answer: dict[str, Any]) -> None:
    assert (await found(answer)).sources == ()
