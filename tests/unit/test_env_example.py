"""`.env.example` names every setting, and nothing that it says is wrong."""

from __future__ import annotations

import re
from pathlib import Path

from sidecar.config import Settings, SinkSettings, every_setting, load

FILE = Path(__file__).parents[2] / ".env.example"
HEADER = """\
# Every setting of media-sync, with its default. Take the # away from what you change.
#
# Each name also exists with _FILE behind it: the value is then read from that file (for secrets). A variable without a
# value counts as absent. Lengths of time: 24h, 10m, 250ms, 7d, 1h30m. Sizes: 64MiB, 2GB. Several globs: a;b;c.
# The same keys can stand in media-sync.yaml: MEDIA_SYNC_PURGE__OLDER_THAN is purge.older_than.
"""
COMPOSE = """
# --- compose/compose.yaml alone, not the program: what it mounts, and whose files these are

# The library's folder on this machine, best in full: `..` starts at compose/. MEDIA_SYNC_LIBRARY below is a path
# INSIDE the container: with compose, leave it unset.
#LIBRARY=../library

# The engine's socket on this machine; of a rootless engine it is $XDG_RUNTIME_DIR/docker.sock, in full.
#DOCKER_SOCKET=/var/run/docker.sock

# User and group, by number, that own the library; 99 and 100 on Unraid, 0 and 0 with a rootless engine.
#PUID=1000
#PGID=1000

# What others may not do with new files: 022 lets them read, 077 nothing.
#UMASK=022

# --- compose/postgres.yaml alone: the file that holds the server's password; best in full

#POSTGRES_PASSWORD_FILE=../postgres-password

# --- the program
"""
NAMED = ("MEDIA_SYNC_SOURCES__", "MEDIA_SYNC_INGEST__SINKS__")  # of things that are there when they have a setting
SECTIONS = {
    "ingest": "Who is told of every file; NAME is the sink's name, and any number can stand here",
    "sources": "Sources that containers' labels do not name; NAME is the source's name, and any number can stand here",
}


def rendered() -> str:
    """The file as it must be. After a change to the settings, this is what belongs into it."""
    lines, section = [HEADER, COMPOSE], ""
    for setting in every_setting():
        first = setting.key.split(".")[0] if "." in setting.key else ""
        if first != section:
            section = first
            lines.append(f"\n# --- {SECTIONS.get(section, section)}\n")
        lines.append(f"\n# {setting.description}\n#{setting.env}={setting.default}\n")
    return "".join(lines)


def named() -> dict[str, str]:
    return dict(re.findall(r"^#(MEDIA_SYNC_\w+)=(.*)$", FILE.read_text(), re.MULTILINE))


def test_file_is_what_the_settings_say() -> None:
    assert FILE.read_text() == rendered()


def test_file_names_exactly_every_setting() -> None:
    assert set(named()) == {setting.env for setting in every_setting()}


def test_what_compose_puts_in_is_named_with_its_default() -> None:
    text = "".join((FILE.parent / "compose" / name).read_text() for name in ("compose.yaml", "postgres.yaml"))
    used = {name: value for name, value in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text)
            if not name.startswith("MEDIA_SYNC_") and not name.endswith("_IMAGE")}  # fmt: skip
    assert dict(re.findall(r"^#([A-LN-Z]\w+)=(.*)$", FILE.read_text(), re.MULTILINE)) == used


def test_every_setting_is_explained_in_one_sentence() -> None:
    for setting in every_setting():
        assert setting.description.endswith("."), setting.key
        assert len(setting.description) <= 118, setting.key


def test_every_default_in_the_file_is_the_models_own(tmp_path: Path) -> None:
    for name, value in named().items():
        env = {name: value}
        if name.startswith("MEDIA_SYNC_SOURCES__"):
            env["MEDIA_SYNC_SOURCES__NAME__CONTAINER"] = value if name.endswith("__CONTAINER") and value else "x"
            plain = load(env={"MEDIA_SYNC_SOURCES__NAME__CONTAINER": "x"}, cwd=tmp_path, system_file=tmp_path / "none")
            assert load(env=env, cwd=tmp_path, system_file=tmp_path / "none").settings == plain.settings, name
        elif name.startswith(NAMED):
            env |= {"MEDIA_SYNC_INGEST__SINKS__NAME__TYPE": "x"}
            (sink,) = load(env=env, cwd=tmp_path, system_file=tmp_path / "none").settings.ingest.sinks.values()
            assert sink == SinkSettings(type="x"), name
        else:
            assert load(env=env, cwd=tmp_path, system_file=tmp_path / "none").settings == Settings(), name


def test_all_defaults_together_change_nothing(tmp_path: Path) -> None:
    env = {name: value for name, value in named().items() if not name.startswith(NAMED)}
    assert load(env=env, cwd=tmp_path, system_file=tmp_path / "none").settings == Settings()
