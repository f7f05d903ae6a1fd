"""The token's file, and what tokens and sessions prove."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.api.throttle import ADDRESSES, FAILURES, WINDOW, Throttle
from sidecar.api.tokens import SESSION_NS, Keys, Scope, Sessions, kept_token, keys_of
from sidecar.config import ApiSettings
from sidecar.errors import ConfigError, LibraryUnsafe

CONTROL, READ = "c" * 20, "r" * 20


def test_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    os.umask(os.umask(0))
    token = kept_token(tmp_path)
    assert len(token) >= 40
    assert kept_token(tmp_path) == token
    assert os.listdir(tmp_path) == ["token"], "nothing else is left behind"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    (tmp_path / "token").chmod(0o644)
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_who_starts_at_the_same_time_gets_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: kept_token(tmp_path), range(32)))
    assert len(found) == 1
    assert os.listdir(tmp_path) == ["token"]


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("t" * 40)
    state = tmp_path / "state"
    state.mkdir()
    (state / "token").symlink_to(elsewhere)
    with pytest.raises(LibraryUnsafe, match="token"):
        kept_token(state)
    (state / "token").unlink()
    (state / "token").symlink_to(tmp_path / "not there")
    with pytest.raises(LibraryUnsafe):
        kept_token(state)
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize("content", ["", "short", "with spaces in it, and more", "x" * 300])
def test_what_is_no_token_is_not_taken_for_one(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigError, match="no token"):
        kept_token(tmp_path)


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    with pytest.raises(ConfigError):
        kept_token(tmp_path)


def test_a_token_of_the_settings_needs_no_file(tmp_path: Path) -> None:
    assert keys_of(ApiSettings(token=CONTROL, read_token=READ), tmp_path).scope_of(READ) is Scope.READ
    assert os.listdir(tmp_path) == []
    with pytest.raises(ConfigError, match="read_token"):
        keys_of(ApiSettings(token=CONTROL, read_token=CONTROL), tmp_path)


def test_tokens_tell_what_their_holders_may() -> None:
    keys = Keys(CONTROL, READ)
    assert keys.scope_of(CONTROL) is Scope.CONTROL
    assert keys.scope_of(READ) is Scope.READ
    for wrong in ("", "\0", CONTROL[:-1], CONTROL + "c", "\xff"):
        assert keys.scope_of(wrong) is None
        assert Keys(CONTROL).scope_of(wrong) is None


def test_a_session_ends_with_its_time_or_its_token() -> None:
    now = [1_000]
    sessions = Sessions(Keys(CONTROL, READ), lambda: now[0])
    made = sessions.begin(Scope.READ)
    assert sessions.check(made.cookie) == made
    assert Sessions(Keys("other" * 4, READ), lambda: now[0]).check(made.cookie) == made, "not signed with that token"
    assert Sessions(Keys(CONTROL, "other" * 4), lambda: now[0]).check(made.cookie) is None
    assert Sessions(Keys(CONTROL), lambda: now[0]).check(made.cookie) is None
    now[0] += SESSION_NS
    assert sessions.check(made.cookie) is None


def test_wrong_tokens_of_many_addresses_take_no_more_memory() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(FAILURES):
        throttle.failed("a")
    assert throttle.wait("a") == WINDOW
    assert throttle.wait("b") == 0
    now[0] += WINDOW
    assert throttle.wait("a") == 0
    for n in range(3 * ADDRESSES):
        throttle.failed(str(n))
    assert len(throttle._failures) == ADDRESSES
