"""Settings: who wins, what each mistake gets, and how values are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config import (
    Loaded,
    Percent,
    Settings,
    Wrong,
    every_setting,
    format_duration,
    format_size,
    load,
    parse_duration,
    parse_size,
    parse_source_arg,
    redacted,
    secrets_of,
    shown_values,
)
from sidecar.errors import ConfigError
from sidecar.models import NS

HOUR = 3600 * NS


def loaded(tmp: Path, yaml: str | None = None, cli: dict[str, Any] | None = None, env: dict[str, str] | None = None,
           **more: Any) -> Loaded:  # fmt: skip
    if yaml is not None:
        (tmp / "media-sync.yaml").write_text(yaml)
    return load(cli, env=env or {}, cwd=tmp, system_file=tmp / "etc" / "config.yaml", **more)


def problems(tmp: Path, *args: Any, **named: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp, *args, **named)
    for line in caught.value.problems:
        assert "\n" not in line
        assert not any(word in line.lower() for word in ("pydantic", "traceback", "input_value", "validation error"))
    return caught.value.problems


# precedence


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    yaml = "purge: {older_than: 3h, keep_newest: 3, min_stored: 3s, max_delete: 3}"
    env = {"MEDIA_SYNC_PURGE__OLDER_THAN": "2h", "MEDIA_SYNC_PURGE__KEEP_NEWEST": "2"}
    found = loaded(tmp_path, yaml, {"purge": {"older_than": "1h", "min_stored": None}}, env)
    purge = found.settings.purge
    assert (purge.older_than, purge.keep_newest, purge.min_stored, purge.max_delete) == (HOUR, 2, 3 * NS, 3)
    assert purge.remove_empty_dated is False
    assert found.origin("purge.older_than") == "command line"
    assert found.origin("purge.keep_newest") == "MEDIA_SYNC_PURGE__KEEP_NEWEST"
    assert found.origin("purge.min_stored") == f"{tmp_path}/media-sync.yaml, line 1"
    assert found.origin("purge.remove_empty_dated") == "default"


def test_named_file_wins_over_system_file_over_local_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "named.yaml").write_text("sync: {parallel: 7}")
    assert loaded(tmp_path, "sync: {parallel: 5}").settings.sync.parallel == 5
    (tmp_path / "etc" / "config.yaml").write_text("sync: {parallel: 6}")
    assert loaded(tmp_path).settings.sync.parallel == 6
    found = loaded(tmp_path, config=Path("named.yaml"))
    assert found.settings.sync.parallel == 7
    assert found.file == str(tmp_path / "named.yaml")


def test_defaults_need_nothing_and_read_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY", "/elsewhere")
    monkeypatch.setenv("MEDIA_SYNC_LIBRARY", "/elsewhere")
    found = loaded(tmp_path).settings
    assert found == Settings()
    assert (found.library, found.state) == (Path("/library"), Path("/state"))
    assert (found.sync.settle, found.sync.settle_incomplete, found.sync.max_freeze) == (2 * NS, 600 * NS, NS // 4)
    assert (found.sync.group_files, found.sync.group_bytes, found.sync.stall_timeout) == (1024, 64 * 2**20, 10 * NS)
    assert (found.purge.enabled, found.purge.older_than, found.purge.max_delete) == (False, 24 * HOUR, None)


def test_secret_file_gives_the_value_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("tcp://box:2375\n")
    assert loaded(tmp_path, env={"MEDIA_SYNC_HOST_FILE": "host"}).settings.host == "tcp://box:2375"


def test_every_setting_can_be_given_by_file(tmp_path: Path) -> None:
    for setting in every_setting():
        (tmp_path / "value").write_text(setting.default)
        assert loaded(tmp_path, env={f"{setting.env}_FILE": ""}).settings == Settings()
        if setting.default and "<" not in setting.key:
            assert loaded(tmp_path, env={f"{setting.env}_FILE": "value"}).settings == Settings()


def test_none_in_a_higher_layer_takes_an_optional_value_away(tmp_path: Path) -> None:
    found = loaded(tmp_path, "schedule: {every: 30s}", env={"MEDIA_SYNC_SCHEDULE__EVERY": "none"})
    assert found.settings.schedule.every is None


def test_empty_variable_counts_as_absent(tmp_path: Path) -> None:
    assert loaded(tmp_path, "sync: {parallel: 5}", env={"MEDIA_SYNC_SYNC__PARALLEL": ""}).settings.sync.parallel == 5


def test_folders_are_taken_from_the_working_directory_and_home(tmp_path: Path) -> None:
    found = loaded(tmp_path, "state: ~/s", {"library": "lib"}, {"HOME": "/home/me"}).settings
    assert (found.library, found.state) == (tmp_path / "lib", Path("/home/me/s"))


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().purge.enabled = True  # type: ignore[misc]


# sinks


def test_sinks_from_yaml_and_environment_are_merged_by_key(tmp_path: Path) -> None:
    yaml = "ingest:\n  sinks:\n    PG: {type: postgresql, required: yes, port: 5432, tls: true}\n"
    (tmp_path / "dsn").write_text("postgresql://me:hunter2@box:5432/media\n")
    env = {
        "MEDIA_SYNC_INGEST__SINKS__PG__DSN_FILE": "dsn", "MEDIA_SYNC_INGEST__SINKS__MY__BOX__PATH": "/x/y",
        "MEDIA_SYNC_INGEST__SINKS__MY__BOX__FILE": "z", "MEDIA_SYNC_INGEST__SINKS__MY__BOX__TYPE_FILE": "",
        "MEDIA_SYNC_INGEST__SINKS__MY__BOX__TOKEN": "a-token-of-somebody",
    }  # fmt: skip
    found = loaded(tmp_path, yaml, env=env)
    sinks = found.settings.ingest.sinks
    assert set(sinks) == {"pg", "my__box"}
    assert (sinks["pg"].type, sinks["pg"].required, found.settings.ingest.required) == ("postgresql", True, ("pg",))
    assert sinks["pg"].options == {"port": "5432", "tls": "true", "dsn": "postgresql://me:hunter2@box:5432/media"}
    assert sinks["my__box"].options == {"path": "/x/y", "file": "z", "token": "a-token-of-somebody"}
    assert sinks["my__box"].required is False
    shown = {line.key: (line.value, line.origin) for line in shown_values(found) if line.key.startswith("ingest.")}
    file = f"{tmp_path}/media-sync.yaml, line 3"
    assert shown == {
        "ingest.sinks.pg.type": ("postgresql", file), "ingest.sinks.pg.required": ("true", file),
        "ingest.sinks.pg.port": ("***", file), "ingest.sinks.pg.tls": ("***", file),
        "ingest.sinks.pg.dsn": ("postgresql://box:5432/***", "MEDIA_SYNC_INGEST__SINKS__PG__DSN_FILE"),
        "ingest.sinks.my__box.path": ("/x/y", "MEDIA_SYNC_INGEST__SINKS__MY__BOX__PATH"),
        "ingest.sinks.my__box.file": ("***", "MEDIA_SYNC_INGEST__SINKS__MY__BOX__FILE"),
        "ingest.sinks.my__box.token": ("***", "MEDIA_SYNC_INGEST__SINKS__MY__BOX__TOKEN"),
    }  # fmt: skip
    assert {"hunter2", "a-token-of-somebody"} <= set(secrets_of(found.settings))


# sources


def test_sources_from_yaml_and_environment_are_merged_by_key(tmp_path: Path) -> None:
    yaml = "sources:\n  Comfy: {service: comfyui, path: [/a, '/b;c'], preserve: 'keep/**; *.mp4', purge: no}\n"
    env = {"MEDIA_SYNC_SOURCES__COMFY__OLDER_THAN": "7d", "MEDIA_SYNC_SOURCES__MY__BOX__CONTAINER": "box"}
    found = loaded(tmp_path, yaml, env=env).settings.sources
    assert set(found) == {"comfy", "my__box"}
    comfy = found["comfy"]
    assert (comfy.service, comfy.path, comfy.preserve) == ("comfyui", ("/a", "/b;c"), ("keep/**", "*.mp4"))
    assert (comfy.purge, comfy.older_than) == (False, 7 * 24 * HOUR)


def test_source_flags_replace_all_other_sources_but_keep_what_protects_them(tmp_path: Path) -> None:
    yaml = "sources:\n  comfy: {service: old, preserve: keep/**, enabled: false}\n  other: {container: o}\n"
    found = loaded(tmp_path, yaml, sources=["comfy=new:/out:put"])
    assert set(found.settings.sources) == {"comfy"}
    comfy = found.settings.sources["comfy"]
    assert (comfy.container, comfy.service, comfy.path) == ("new", None, ("/out:put",))
    assert (comfy.preserve, comfy.enabled) == (("keep/**",), True)
    assert found.settings.docker.labels is False
    assert found.origin("docker.labels") == "command line, --source"


def test_higher_layer_that_retargets_a_source_replaces_the_target(tmp_path: Path) -> None:
    found = loaded(tmp_path, "sources: {a: {service: s}}", env={"MEDIA_SYNC_SOURCES__A__CONTAINER": "c"})
    assert (found.settings.sources["a"].container, found.settings.sources["a"].service) == ("c", None)


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True),
       st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
       st.none() | st.text(st.characters(codec="utf-8"), min_size=1))  # fmt: skip
def test_source_flag_is_split_at_its_first_marks_alone(name: str, container: str, path: str | None) -> None:
    text = f"{name}={container}" + (f":{path}" if path is not None else "")
    found, keys = parse_source_arg(text)
    assert (found, keys["container"], keys.get("path")) == (name, container, None if path is None else [path])


@pytest.mark.parametrize("text", ["", "a", "a=", "=c", "a=c:", "a:b=c", ".a=c", "a b=c", "a" * 64 + "=c"])
def test_malformed_source_flags_get_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_source_arg(text)
    assert "--source" in caught.value.line()
    assert caught.value.hint
    assert len(problems(tmp_path, sources=[text])) == 1


# mistakes


def test_three_mistakes_in_yaml_are_three_lines(tmp_path: Path) -> None:
    yaml = "purge:\n  older_then: 3h\n  min_stored: soon\nsync:\n  parallel: many\n"
    at, how = f"{tmp_path}/media-sync.yaml", "24h, 10m, 2s, 250ms, 7d or 1h30m"
    assert problems(tmp_path, yaml) == (
        f"purge.older_then: is no setting ({at}, line 2) — did you mean older_than?",
        f'sync.parallel: "many" is not a whole number from 1 to 64 ({at}, line 5) — write it like 1',
        f'purge.min_stored: "soon" is not a length of time ({at}, line 3) — write it like {how}',
    )


def test_mistakes_of_all_layers_come_together(tmp_path: Path) -> None:
    env = {"MEDIA_SYNC_PRUGE__TYPES": "images", "MEDIA_SYNC_SYNC__SETTLE": "x"}
    found = problems(tmp_path, "lbrary: /x", {"log": {"level": "loud"}}, env, sources=["broken"])
    assert len(found) == 5


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("a: b: c", "line 1 is not YAML"),
        ("sync:\n\tparallel: 2", "line 2 is not YAML"),
        ("sync: {parallel: 2", "is not YAML"),
        ("- a\n- b", "not a mapping"),
        ("just words", "not a mapping"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("sync: &x {parallel: 2, include: *x}", "refers to itself"),
        ("? [a]\n: b", "a key that is not a text"),
        ("sync: {parallel: 2, parallel: 3}", "sync.parallel: is there twice, in lines 1 and 1"),
        ("purge: {}\npurge: {}", "purge: is there twice, in lines 1 and 2"),
        ("purge: 5", 'purge: "5" is a value where a section belongs'),
        ("older_than: 5h", "did you mean purge.older_than?"),
        ("libary: /x", "did you mean library?"),
        ("docker: {pull-only: true}", "did you mean pull_only?"),
        ("sync: {settle: {a: 1}}", "sync.settle: "),
        ("sync: {include: {a: 1}}", "is not a list of texts"),
        ("sync: {include: [[a]]}", "is not a list of texts"),
        ("sync: {include: '[z-a]'}", "is not a glob"),
        ("purge: {max_delete: 120%}", "neither a count nor a percentage"),
        ("purge: {types: 'images, vidoe'}", "did you mean video?"),
        ("purge: {enabled: maybe}", "neither true nor false"),
        ("sync: {group_bytes: 64 bananas}", "is not a size"),
        ("purge: {older_than: 24:00}", 'purge.older_than: "24:00" is not a length of time'),
        ("host: /var/run/docker.sock", "write unix:///var/run/docker.sock"),
        ("host: box:2375", "write it like unix:///var/run/docker.sock"),
        ("host: ftp://me:hunter2@box", "ftp://me:***@box"),
        ("host: foo", 'host: "foo" is not an engine\'s address'),
        ("host: foo", "write it like unix:///var/run/docker.sock or tcp://host:2376"),
        ("host: me:hunter2@box", 'host: "***" is not an engine\'s address'),
        ("host: ssh://me@box", 'host: "ssh://me@box": an engine cannot be reached over ssh yet'),
        ("schedule: {every: 0s}", 'schedule.every: "0s" is shorter than 1s'),
        ("schedule: {every: 999ms}", "is shorter than 1s"),
        ("host: 'tcp://[::1'", "is not an engine's address"),
        ("ingest: {sinks: {a: {}}}", "ingest.sinks.a: has no options"),
        ("ingest: {sinks: {a: }}", "ingest.sinks.a: has no options"),
        ("ingest: {sinks: {'a/b': {path: x}}}", "ingest.sinks: \"a/b\" cannot name a sink"),
        ("ingest: {sinks: {a: {path: x}, A: {path: y}}}", "ingest.sinks.a: is the same name in another spelling"),
        ("ingest: {sinks: {a: {path: [x, y]}}}", "ingest.sinks.a.path: "),
        ("ingest: {sinks: {a: {path: {x: y}}}}", "ingest.sinks.a.path: "),
        ("ingest: {sinks: {a: {required: perhaps}}}", "ingest.sinks.a.required: "),
        ("ingest: {sinks: {a: 5}}", "a value where a section belongs"),
        ("ingest: {sink: {a: {path: x}}}", "did you mean sinks?"),
        ("sources: {a: {}}", "sources.a: names no container"),
        ("sources: {a: }", "sources.a: names no container"),
        ("sources: {a: {kind: forge}}", "sources.a: names no container"),
        ("sources: {a: {container: x, service: y}}", "sources.a: has container and service at once"),
        ("sources: {a: {container: x}, A: {container: y}}", "sources.a: is the same name in another spelling"),
        ("sources: {'a/b': {container: x}}", "cannot name a source"),
        ("sources: {a: {container: x, path: out}}", 'sources.a.path: "out" is not an absolute path'),
        ("sources: {a: {container: x, path: [/a, /b/../c]}}", "climbs with .."),
        ("sources: {a: {container: x, path: /}}", "cannot be an output folder"),
        ("sources: {a: {container: x, path: /ComfyUI/temp/}}", "temporary files"),
        ("sources: {a: {container: x, kind: comfy}}", "did you mean comfyui?"),
        ("sources: {a: {contaner: x}}", "did you mean container?"),
        ("sources: {a: {container: 'a b'}}", "cannot be a container"),
        ("sources: {a: 5}", "a value where a section belongs"),
    ],
)  # fmt: skip
def test_bad_yaml_gets_a_line_that_says_what_to_do(tmp_path: Path, yaml: str, expected: str) -> None:
    found = problems(tmp_path, yaml)
    assert any(expected in line for line in found), found
    assert not any("hunter2" in line for line in found)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"MEDIA_SYNC_LIBARY": "/x"}, "MEDIA_SYNC_LIBARY: is no setting — did you mean MEDIA_SYNC_LIBRARY?"),
        ({"MEDIA_SYNC_LIBARY": ""}, "MEDIA_SYNC_LIBARY: is no setting"),
        ({"media_sync_library": "/x"}, "did you mean MEDIA_SYNC_LIBRARY?"),
        ({"MEDIA_SYNC_PURGE": "x"}, "MEDIA_SYNC_PURGE: is no setting"),
        ({"MEDIA_SYNC_SOURCES__A__NOPE": "x"}, "MEDIA_SYNC_SOURCES__A__NOPE: is no setting"),
        ({"MEDIA_SYNC_SOURCES__-__KIND": "forge"}, "MEDIA_SYNC_SOURCES__-__KIND: is no setting"),
        ({"MEDIA_SYNC_HOST": "tcp://a", "MEDIA_SYNC_HOST_FILE": "f"}, "both MEDIA_SYNC_HOST and MEDIA_SYNC_HOST_FILE"),
        ({"MEDIA_SYNC_HOST_FILE": "not-there"}, 'host: "not-there" cannot be read: no such file'),
        ({"MEDIA_SYNC_HOST_FILE": "."}, "cannot be read: is a directory"),
        ({"MEDIA_SYNC_HOST_FILE": "binary"}, "cannot be read: not utf-8 text"),
        ({"MEDIA_SYNC_PURGE__OLDER_THAN": "-1h"}, "is not a length of time (MEDIA_SYNC_PURGE__OLDER_THAN)"),
    ],
)  # fmt: skip
def test_bad_environment_gets_a_line(tmp_path: Path, env: dict[str, str], expected: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    found = problems(tmp_path, env=env)
    assert len(found) == 1
    assert expected in found[0]


def test_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "sync: {parallel: 2}", config=Path("nope.yaml"))
    assert line.startswith(f"{tmp_path}/nope.yaml: cannot be read: no such file")


@settings(deadline=None)  # files are written; a busy disk is no failure
@given(st.binary(max_size=200) | st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#, \n\t~", max_size=60).map(str.encode))
def test_no_file_makes_anything_but_settings_or_lines(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    tmp = tmp_path_factory.mktemp("any")
    (tmp / "f.yaml").write_bytes(data)
    problems: tuple[str, ...] = ("fine",)
    try:
        load(env={}, cwd=tmp, config=tmp / "f.yaml")
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(line.isprintable() for line in problems), problems


# units


@pytest.mark.parametrize(
    ("text", "ns"),
    [("24h", 24 * HOUR), ("10m", 600 * NS), ("2s", 2 * NS), ("250ms", NS // 4), ("7d", 168 * HOUR), ("2w", 336 * HOUR),
     ("1h30m", 5400 * NS), ("1d12h", 36 * HOUR), ("90", 90 * NS), ("0", 0), ("1.5h", 5400 * NS), (" 1h 30m", 5400 * NS),
     (5, 5 * NS), (0.25, NS // 4), ("10M", 600 * NS)],
)  # fmt: skip
def test_durations(text: object, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "h", "-1h", "1h1h", "30m1h", "1y", "1 2", "\u0661h", "nan", "1e3", True, None, [], "9" * 30]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(Wrong):
        parse_duration(text)


@given(st.integers(0, 2**63 - 1))
def test_durations_and_sizes_survive_being_written(number: int) -> None:
    assert parse_duration(format_duration(number)) == number
    assert parse_size(format_size(number)) == number


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 2**26),
        ("2GB", 2 * 10**9),
        ("64m", 2**26),
        ("1.5KiB", 1536),
        ("0", 0),
        ("17", 17),
        (17, 17),
        ("3 kB", 3000),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5", "1.0001kB", "1PiB", True, None])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(Wrong):
        parse_size(text)


def test_limit_is_a_count_or_a_share(tmp_path: Path) -> None:
    assert loaded(tmp_path, "purge: {max_delete: 500}").settings.purge.max_delete == 500
    assert loaded(tmp_path, "purge: {max_delete: 50%}").settings.purge.max_delete == Percent(50.0)


# config show


def test_values_are_shown_with_their_origin_and_without_passwords(tmp_path: Path) -> None:
    found = loaded(tmp_path, "sources: {a: {container: c, older_than: 48h}}", {"host": "tcp://me:hunter2@box"},
                   {"MEDIA_SYNC_SYNC__SETTLE": "1500ms", "MEDIA_SYNC_PURGE__MAX_DELETE": "50%"})  # fmt: skip
    shown = {line.key: (line.value, line.origin) for line in shown_values(found)}
    assert shown["host"] == ("tcp://me:***@box", "command line")
    assert shown["sync.settle"] == ("1s500ms", "MEDIA_SYNC_SYNC__SETTLE")
    assert shown["purge.max_delete"][0] == "50%"
    assert shown["purge.older_than"] == ("24h", "default")
    assert shown["sources.a.older_than"] == ("2d", f"{tmp_path}/media-sync.yaml, line 1")
    assert "sources.a.kind" not in shown
    fixed = {setting.key for setting in every_setting() if "<" not in setting.key}
    assert fixed <= set(shown)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("", ""), ("word", "***"), ("tcp://u@h:1", "tcp://u@h:1"), ("ssh://u:p@w@h", "ssh://u:***@h")],
)
def test_redaction(secret: str, shown: str) -> None:
    assert redacted(secret) == shown
