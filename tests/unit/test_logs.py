"""Log lines: one event each, JSON or text, never a control character."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from sidecar import logs
from sidecar.config import load, secrets_of, shown_values
from sidecar.models import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logger.remove()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def said(do: Callable[[], Any], form: str = "json", level: str = "debug", stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    logs.setup(level, form, stream)
    do()
    return stream.getvalue()


def test_json_carries_job_source_and_file() -> None:
    def do() -> None:
        with logger.contextualize(job="j1", source="comfy"):
            logger.bind(file=b"a/caf\xe9.png", bytes=12).warning("not stored: {}", "empty")

    line = json.loads(said(do))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "message": "not stored: empty", "job": "j1", "source": "comfy",
                    "file": "a/caf%E9.png", "bytes": 12}  # fmt: skip


def test_text_says_where() -> None:
    def do() -> None:
        logger.bind(source="comfy", file=b"a.png", job="j1").info("stored")

    assert said(do, "text")[8:] == " info    [j1] comfy a.png: stored\n"


def test_job_and_source_are_on_every_line() -> None:
    line = json.loads(said(lambda: logger.info("serving")))
    assert (line["job"], line["source"]) == (None, None)


def test_people_can_read_json_lines() -> None:
    assert "café — done" in said(lambda: logger.info("café — done"))


@pytest.mark.parametrize("form", ["json", "text"])
@given(name=st.binary(max_size=40), text=st.text(max_size=40))
def test_no_name_and_no_message_reaches_the_terminal_raw(form: str, name: bytes, text: str) -> None:
    line = said(lambda: logger.bind(file=name, note=text).info("{}", text), form)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["message"] == text


@pytest.mark.parametrize("form", ["json", "text"])
def test_ansi_does_not_get_through(form: str) -> None:
    line = said(lambda: logger.bind(file=b"\x1b[31m\x9b2Jx\ny").error("bad \x1b]0;x\x07 \u2028\u202e"), form)
    assert line[:-1].isprintable()


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    assert said(lambda: logger.info("x"), "auto").startswith("{")
    assert "info    x" in said(lambda: logger.info("x"), "auto", stream=Terminal())


def test_levels() -> None:
    assert said(lambda: logger.info("x"), level="warning") == ""
    assert said(lambda: logger.error("x"), level="warning")


def test_libraries_speak_the_same_way() -> None:
    def do() -> None:
        logging.getLogger("urllib3").warning("pool %s", "full\x1b[1m")
        logging.getLogger("odd").log(35, "between the levels")

    lines = [json.loads(line) for line in said(do).splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [("warning", "urllib3"), ("warning", "odd")]
    assert lines[0]["message"] == "pool full\x1b[1m"


def test_what_libraries_caught_is_told() -> None:
    def do() -> None:
        try:
            raise OSError(5, "disk\nbroke")
        except OSError:
            logging.getLogger("asyncio").exception("never retrieved")

    (line,) = said(do).splitlines()
    assert json.loads(line)["error"] == "OSError(5, 'disk\\nbroke')"


def test_an_exception_is_one_line() -> None:
    def do() -> None:
        try:
            raise OSError(5, "disk\nbroke")
        except OSError:
            logger.exception("it broke")

    (line,) = said(do).splitlines()
    assert json.loads(line)["error"] == "OSError(5, 'disk\\nbroke')"


def test_text_says_what_went_wrong_in_the_same_line() -> None:
    def do() -> None:
        try:
            raise OSError(5, "disk\nbroke \x1b[31m")
        except OSError:
            logger.exception("it broke")

    (line,) = said(do, "text").splitlines()
    assert line.endswith("it broke: OSError(5, 'disk\\nbroke \\x1b[31m')")


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> logs.Secrets:
    known = logs.Secrets()
    monkeypatch.setattr(logs, "SECRETS", known)
    return known


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_is_registered_is_hidden_wherever_it_stands(form: str, hidden: logs.Secrets) -> None:
    token = 'tok/"en+0123456789'
    hidden.add(token, None, "abc", "")

    def do() -> None:
        logger.info("abc: sent {}", token)
        logger.bind(file=token.encode(), url=f"http://x/?t={quote(token, safe='')}", more=[token]).info("kept")
        try:
            raise ValueError(f"no: {token}")
        except ValueError:
            logger.exception("it broke")

    lines = said(do, form)
    assert "0123456789" not in lines
    assert lines.count("***") == (5 if form == "json" else 3), "text shows no other fields than job, source and file"
    assert "abc: sent" in lines, "what is too short is no secret"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("tcp://me:hunter22@host:2376/x refused", "tcp://me:***@host:2376/x refused"),
        ("got Authorization: Bearer abcdef.ghij-klm", "got Authorization: Bearer ***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic ***'}"),
        ("GET /ws?token=abcdef123&since=1", "GET /ws?token=***&since=1"),
        ('{"password": "hunter22"}', '{"password": "***"}'),
        ("MEDIA_SYNC_NOTIFY__SECRET=0123456789abcdef", "MEDIA_SYNC_NOTIFY__SECRET=***"),
        ("the token lies in /state/token", "the token lies in /state/token"),
        ("a password: none", "a password: none"),
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, left: str, hidden: logs.Secrets) -> None:
    assert hidden.hide(text) == left


def test_a_long_word_is_no_trap() -> None:
    """A form that may begin anywhere in a word took minutes for a name of some thousand letters."""
    for word in ("x", "token", "a-"):
        text = word * 50_000
        assert logs.Secrets().hide(f"{text} password=geheim1") == f"{text} password=***"


def test_the_settings_name_their_secrets(tmp_path: Path) -> None:
    env = {
        "MEDIA_SYNC_HOST": "tcp://me:hunter22@engine:2376",
        "MEDIA_SYNC_API__TOKEN": "a-token-of-16-chars",
        "MEDIA_SYNC_NOTIFY__SECRET": "another-one-of-them",
        "MEDIA_SYNC_NOTIFY__HEARTBEAT_URL": "https://hc-ping.com/0123-4567-89ab",
        "MEDIA_SYNC_NOTIFY__WEBHOOK_URL": "https://u:passw0rd@hooks.example/T000/B000?key=k123456",
    }
    loaded = load(env=env, cwd=tmp_path, system_file=tmp_path / "none")
    found = set(secrets_of(loaded.settings))
    assert found == {"hunter22", "a-token-of-16-chars", "another-one-of-them", "0123-4567-89ab", "passw0rd",
                     "T000/B000", "key=k123456"}  # fmt: skip
    shown_text = " ".join(line.value for line in shown_values(loaded))
    assert not [secret for secret in found if secret in shown_text]
    assert "https://hc-ping.com/***" in shown_text


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_reader_that_went_away_does_not_stop_the_work(form: str) -> None:
    said(lambda: logger.info("nobody hears"), form, stream=Closed())


def test_a_complaint_is_said_once_until_it_was_gone() -> None:
    now = [0.0]
    repeats = logs.Repeats(lambda: now[0], remind=100)
    stream = io.StringIO()
    logs.setup("debug", "json", stream, repeats)

    def next_pass(*complaints: str, source: str = "a") -> list[str]:
        stream.seek(0)
        stream.truncate()
        repeats.next_pass()
        for complaint in complaints:
            logger.bind(source=source).error(complaint)
        logger.info("pass")
        return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]

    assert next_pass("gone") == ["gone", "pass"]
    assert next_pass("gone") == ["pass"]
    assert next_pass("gone", "full") == ["full", "pass"]
    assert next_pass("gone", source="b") == ["gone", "pass"], "of another source it is another one"
    assert next_pass() == ["pass"]
    assert next_pass("gone") == ["gone", "pass"], "it had gone, and is back"
    now[0] = 99
    assert next_pass("gone") == ["pass"]
    now[0] = 101
    assert next_pass("gone") == ["gone", "pass"], "a reminder"
    assert next_pass("gone", "gone") == ["pass"]


def test_plain_names_are_shown_as_they_are_and_encoded_ones_can_be_decoded() -> None:
    plain = (b"%41.png", b"100%.png", b"%date:yyyy-MM-dd%/a.png", "caf\u00e9.png".encode())
    assert [shown(name).encode() for name in plain] == list(plain)
    encoded = (b"caf\xe9%41.png", b"\xc3\xa9%0a\n.png", b"\x1b[31m%zz", b"\xff%25")
    assert [unquote_to_bytes(shown(name)) for name in encoded] == list(encoded)
    assert all(shown(name).isprintable() for name in encoded)
