"""A container whose lock somebody holds answers no inspect: it is missed, and the others are pulled."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import MakeGenerator
from tests.engine.commands import heavy_png
from tests.rig.generator import Generator
from tests.rig.program import Program
from tests.rig.proxy import connect

IMPATIENT = {"MEDIA_SYNC_DOCKER__TIMEOUT": "2s"}
WORDS = "did not answer in time"


@contextmanager
def lock_held(one: Generator, host: str) -> Iterator[None]:
    """Somebody asked for an archive and does not read it (`docker cp` into a pager): the engine waits with its lock."""
    one.big("big.bin", 64_000_000)
    with connect(host) as link:
        link.sendall(f"GET /containers/{one.id}/archive?path={one.root} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        assert link.recv(100).startswith(b"HTTP/1.1 200")
        yield


@pytest.mark.parametrize("asked", ["named", "labelled"])
def test_a_source_that_does_not_answer_is_missed(asked: str, cli: Program, generator: MakeGenerator) -> None:
    names = [f"{word}-{secrets.token_hex(4)}" for word in ("quiet", "other")]
    wishes = {"media-sync.enable": "true", "media-sync.path": "/output"}
    labels: list[dict[str, str]] = [{**wishes, "media-sync.name": n} if asked == "labelled" else {} for n in names]
    quiet, other = generator(labels=labels[0]), generator(labels=labels[1])
    args: list[str] = []
    for name, one in zip(names, (quiet, other), strict=True):
        one.put({"a.png": heavy_png(100, 1)}, age=60)
        if asked == "named":
            args += ["--source", f"{name}={one.name}:/output"]
    with lock_held(quiet, cli.host):
        done = cli("sync", *names, *args, "--json", env=IMPATIENT)
        assert done.code == 3, done.err
        found = {s["name"]: s for s in done.json["sources"]}
        assert not done.json["ok"]
        assert found[names[1]]["stored"] == 1
        assert WORDS in done.err
        left = cli("sources", *args, "--json", env=IMPATIENT).json["left_out"]
        (mine,) = [one for one in left if one["name"] == names[0]]
        assert (mine["reason"], mine["faulty"]) == (WORDS, True)
    done = cli("sync", *names, *args, "--json").ok()
    assert {s["name"]: s["stored"] for s in done.json["sources"]} == dict(zip(names, (1, 0), strict=True))


def test_one_that_nobody_asked_for_may_be_silent(cli: Program, generator: MakeGenerator) -> None:
    quiet, other = generator(), generator()
    other.put({"a.png": heavy_png(100, 1)}, age=60)
    with lock_held(quiet, cli.host):
        cli("sync", "b", "--source", f"b={other.name}:/output", env=IMPATIENT).ok()
