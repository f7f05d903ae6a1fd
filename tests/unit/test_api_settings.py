"""The settings of the HTTP side: what they take, what they refuse, and by which names the service is then known."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.api.guards import Places
from sidecar.config import ApiSettings, load, shown_values
from sidecar.errors import ConfigError


def loaded(tmp_path: Path, **env: str) -> ApiSettings:
    named = {f"MEDIA_SYNC_API__{name.upper()}": value for name, value in env.items()}
    return load(env=named, cwd=tmp_path, system_file=tmp_path / "none").settings.api


@pytest.mark.parametrize("listen", ["127.0.0.1:8787", "0.0.0.0:1", "[::1]:65535", "[::]:8787", "nas.lan:80"])
def test_where_it_listens(listen: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, listen=listen).listen == listen


@pytest.mark.parametrize(
    ("key", "value"),
    [("listen", "8787"), ("listen", ":8787"), ("listen", "127.0.0.1"), ("listen", "127.0.0.1:0"), ("listen", "a:70000"),
     ("listen", "http://127.0.0.1:8787"), ("listen", "::1:8787"), ("allowed_hosts", "http://nas.lan"),
     ("allowed_hosts", "nas.lan/"), ("allowed_hosts", "*"), ("allowed_hosts", "a b"), ("allowed_origins", "nas.lan"),
     ("allowed_origins", "https://nas.lan/"), ("allowed_origins", "null"), ("allowed_origins", "*"),
     ("allowed_origins", "https://a@nas.lan"), ("metrics_open", "maybe")],
)  # fmt: skip
def test_what_cannot_be_meant(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"api.{key}"):
        loaded(tmp_path, **{key: value})


@pytest.mark.parametrize("token", ["short", "with spaces in it and long", "x" * 257, "ünïcödé-and-long-enough"])
def test_a_bad_token_is_refused_and_not_told(token: str, tmp_path: Path) -> None:
    for key in ("token", "read_token"):
        with pytest.raises(ConfigError) as refused:
            loaded(tmp_path, **{key: token})
        assert token not in refused.value.line()
        assert f"api.{key}: is not a token" in refused.value.line()


def test_a_token_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    secret = "a-token-of-some-length"
    (tmp_path / "token").write_text(secret + "\n")
    found = load(env={"MEDIA_SYNC_API__TOKEN_FILE": "token"}, cwd=tmp_path, system_file=tmp_path / "none")
    assert found.settings.api.token == secret
    (line,) = [value for value in shown_values(found) if value.key == "api.token"]
    assert (line.value, line.origin) == ("***", "MEDIA_SYNC_API__TOKEN_FILE")


def known(host: str, **settings: object) -> bool:
    return not Places.of(ApiSettings(**settings)).refusal("GET", "/", {"host": host})


def test_the_names_that_follow_from_where_it_listens() -> None:
    assert known("localhost:8787")
    assert not known("192.168.1.5:8787")
    assert known("192.168.1.5:8787", listen="192.168.1.5:8787")
    assert known("[::1]:8787", listen="[::]:8787")
    assert not known("0.0.0.0:8787", listen="0.0.0.0:8787"), "nobody's name"
    assert not known("localhost")
    assert known("localhost", listen="127.0.0.1:80"), "browsers leave port 80 out"


def test_a_name_that_is_allowed_stands_for_its_ports() -> None:
    for host in ("nas.lan", "nas.lan:8787"):  # a proxy's own port, and the one that is listened on
        assert known(host, allowed_hosts="NAS.lan")
    assert not known("nas.lan:9000", allowed_hosts="nas.lan")
    assert known("nas.lan:9000", allowed_hosts="nas.lan:9000")
    assert not known("nas.lan", allowed_hosts="nas.lan:9000")
    assert known("[fd00::1]:8787", allowed_hosts="[fd00::1]")
