"""Which containers become sources, with which roots and rules, and what is said of the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import load, parse_duration
from sidecar.errors import EngineRefused, EngineUnreachable
from sidecar.models import NS, LeftOut, Rules, Source
from sidecar.transports.base import Discovery
from sidecar.transports.docker.discovery import default_name, discover
from sidecar.transports.docker.inspected import Container, default_user, own_container_id, python_candidates
from sidecar.transports.docker.labels import Wish, narrow, read_labels
from sidecar.transports.docker.presets import KIND_MARKS, PRESETS

HOUR = 3600 * NS
ENABLED = {"media-sync.enable": "true"}

# `docker inspect` of a container with a volume and both kinds of tmpfs, from Engine 20.10.24, cut to what is read
# and what surrounds it.
RECORDED: dict[str, Any] = {
    "Id": "a36c7425498e3ad277859a6609df8659ac4c61fc8e7fbf7250f63d98bfa7519e",
    "Created": "2026-11-22T15:44:48.977183037Z",
    "Path": "sleep",
    "Args": ["1000"],
    "State": {"Status": "running", "Running": True, "Paused": False, "Restarting": False, "Dead": False, "Pid": 20861,
              "StartedAt": "2026-11-22T15:44:49.134013588Z", "FinishedAt": "0001-01-01T00:00:00Z"},
    "Image": "sha256:0b7fd2e0e38e21b3a7bef3dabdff503e055979301a81cda38d2f6e0347cfc1be",
    "Name": "/generator",
    "HostConfig": {"Binds": ["models:/data/ComfyUI/output"], "NetworkMode": "none", "Tmpfs": {"/app/tmpfsout": ""},
                   "Mounts": [{"Type": "tmpfs", "Target": "/app/t2"}]},
    "Mounts": [
        {"Type": "volume", "Name": "models", "Source": "/var/lib/docker/volumes/models/_data",
         "Destination": "/data/ComfyUI/output", "Driver": "local", "Mode": "z", "RW": True, "Propagation": ""},
        {"Type": "tmpfs", "Source": "", "Destination": "/app/t2", "Mode": "", "RW": True, "Propagation": ""},
    ],
    "Config": {"Hostname": "a36c7425498e", "User": "", "Env": ["CLI_ARGS=--output-directory /data/ComfyUI/output"],
               "Cmd": ["sleep", "1000"], "Image": "yanwk/comfyui-boot:cu124", "Volumes": None, "WorkingDir": "",
               "Entrypoint": None, "Labels": {"media-sync.enable": "true"}},
}  # fmt: skip
BARE: dict[str, Any] = {"Mounts": [], "HostConfig": {"Tmpfs": None}}


def inspect(name: str = "generator", *, id: str = "", state: str = "running", image: str = "box",  # noqa: A002
            labels: dict[str, str] | None = None, env: tuple[str, ...] = (), argv: tuple[str, ...] = ("run",),
            created: str = "2026-11-22T15:44:48Z", **over: Any) -> dict[str, Any]:  # fmt: skip
    """A recorded answer with the given parts changed."""
    answer = copy.deepcopy(RECORDED) | copy.deepcopy(BARE)
    answer |= {"Name": f"/{name}", "Id": id or name.encode().hex().ljust(64, "0")[:64], "Created": created,
               "Path": argv[0], "Args": list(argv[1:]), "State": {"Status": state}}  # fmt: skip
    answer["Config"] |= {"Image": image, "Labels": labels, "Env": list(env), "Cmd": list(argv)}
    answer["Config"] |= {key: over.pop(key) for key in list(over) if key in answer["Config"]}
    return answer | over


@dataclass(frozen=True)
class Info:
    is_dir: bool = True
    link_target: str = ""


class Tree:
    """What HEAD archive answers for a fixed set of folders, as seen on Engine 20.10.24: parents are followed, the last
    part is not, and a link's target comes fully resolved."""

    def __init__(self, *folders: str, links: Mapping[str, str] | None = None, files: tuple[str, ...] = ()) -> None:
        self.links = dict(links or {})
        self.files = set(files)
        self.folders = {"/"}
        for path in (*folders, *files):
            parts = path.split("/")
            self.folders |= {"/".join(parts[:i]) for i in range(2, len(parts) + (path in folders))}

    def _resolved(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(link + "/"):
                return self._resolved(target + path[len(link) :])
        return path

    async def __call__(self, container: str, path: bytes) -> Info | None:
        text = path.decode()
        if text in self.links:
            return Info(False, self._resolved(text))
        real = self._resolved(text)
        if real in self.folders:
            return Info()
        return Info(False) if real in self.files else None


NOWHERE = Path("/nowhere")


async def found(*inspects: dict[str, Any], tree: Tree | None = None, yaml: str = "", own: str = "",
                tmp: Path = NOWHERE, **more: Any) -> Discovery:  # fmt: skip
    if yaml:
        (tmp / "c.yaml").write_text(yaml)
    loaded = load(env={}, cwd=tmp, config=tmp / "c.yaml" if yaml else None, system_file=tmp / "none", **more)
    return await discover(loaded.settings, inspects, tree or Tree("/out"), own=own)


async def one(*inspects: dict[str, Any], **named: Any) -> Source:
    answer = await found(*inspects, **named)
    assert [source.name for source in answer.sources] != [], answer.left_out
    (source,) = answer.sources
    return source


async def left(*inspects: dict[str, Any], **named: Any) -> LeftOut:
    answer = await found(*inspects, **named)
    (only,) = answer.left_out
    assert answer.sources == ()
    return only


# what becomes a source


async def test_recorded_container_becomes_a_source() -> None:
    source = await one(RECORDED, tree=Tree("/data/ComfyUI/output", "/root/ComfyUI/output"))
    assert source == Source(
        name="generator", kind="comfyui", transport="docker", generation=RECORDED["Id"], container="generator",
        roots=(b"/data/ComfyUI/output",), state="running", rules=Rules(), mounts=("volume",), group="",
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
    assert not answer.faulty


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


# narrowing


@pytest.mark.parametrize(
    ("operator", "label", "effective", "warns"),
    [("24h", "48h", "48h", False), ("1h", "60m", "1h", False), ("24h", "1h", "24h", True), ("7d", "0s", "7d", True)],
)  # fmt: skip
async def test_label_only_lengthens_the_age(
    operator: str, label: str, effective: str, warns: bool, tmp_path: Path
) -> None:
    labels = ENABLED | {"media-sync.path": "/out", "media-sync.older-than": label}
    answer = await found(inspect(labels=labels), tmp=tmp_path, yaml=f"purge: {{older_than: {operator}}}")
    assert answer.sources[0].rules.older_than_ns == parse_duration(effective)
    assert bool(answer.warnings) is warns
    if warns:
        assert "generator" in answer.warnings[0]
        assert f"media-sync.older-than={label} is not followed" in answer.warnings[0]


@pytest.mark.parametrize(
    ("operator", "label", "effective"),
    [("true", "true", True), ("true", "false", False), ("false", "true", False), ("false", "false", False)],
)
async def test_label_only_switches_purge_off(operator: str, label: str, effective: bool, tmp_path: Path) -> None:
    yaml = f"sources: {{x: {{container: generator, path: /out, purge: {operator}}}}}"
    answer = await found(inspect(labels={"media-sync.purge": label}), tmp=tmp_path, yaml=yaml)
    assert answer.sources[0].rules.purge is effective
    assert bool(answer.warnings) is (label == "true" and operator == "false")


def test_label_patterns_only_take_away() -> None:
    operator = Rules(exclude=("a",), preserve=("b",))
    narrowed, warnings = narrow(operator, Wish(include=("*.png",), exclude=("c",), preserve=("d", "b")), "g")
    assert narrowed == Rules(("*.png",), ("a", "c"), ("b", "d"))
    assert warnings == ()
    operator = Rules(include=("*.png", "*.jpg"))
    assert narrow(operator, Wish(include=("*.jpg",)), "g")[0].include == ("*.jpg",)
    kept, warnings = narrow(operator, Wish(include=("**",)), "g")
    assert kept == operator
    assert "the operator pulls only *.png; *.jpg" in warnings[0]


_globs = st.tuples() | st.lists(st.sampled_from(["*.png", "*.jpg", "a/**", "**"]), max_size=3).map(tuple)


@given(st.builds(Rules, _globs, _globs, _globs, st.integers(0, 10), st.booleans()),
       st.builds(Wish, include=_globs, exclude=_globs, preserve=_globs, older_than=st.none() | st.integers(0, 10),
                 purge=st.none() | st.booleans()))  # fmt: skip
def test_no_labels_ever_widen(operator: Rules, wish: Wish) -> None:
    narrowed, _ = narrow(operator, wish, "g")
    assert narrowed.older_than_ns >= operator.older_than_ns
    assert narrowed.purge <= operator.purge
    assert set(narrowed.exclude) >= set(operator.exclude)
    assert set(narrowed.preserve) >= set(operator.preserve)
    assert not operator.include or (narrowed.include and set(narrowed.include) <= set(operator.include))


_labels = st.sampled_from(["enable", "older-than", "path", "name", "x", "Purge"]).map("media-sync.".__add__)


@given(st.dictionaries(_labels, st.text(max_size=20)))
def test_labels_of_any_content_are_read_without_an_error(labels: dict[str, str]) -> None:
    wish = read_labels("c", labels)
    for line in (*wish.warnings, *(part for problem in wish.problems for part in problem)):
        assert "\n" not in line


# roots


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
