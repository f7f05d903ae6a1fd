"""How agents begin, answer, and end, with whatever tools are there."""

from __future__ import annotations

import ast
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from sidecar.errors import AgentFailed
from sidecar.models import PurgeOutcome
from sidecar.transports.docker import scanwire, wire
from tests.unit.agent.harness import OLD, Agent, finished, names, put, python_agent, shell_agent, wanted


def test_several_requests_in_one_process(agent: Agent, root: Path) -> None:
    put(root, b"a")
    tokens = [wire.new_token() for _ in range(4)]
    top = os.fsencode(root)
    out, err = agent.run(
        scanwire.stat_request(tokens[0], top + b"/no", [b"x" * 200] * 50)
        + scanwire.stat_request(tokens[1], top, [b"a"])
        + wire.purge_request(tokens[2], top, [])
        + scanwire.scan_request(tokens[3], top)
    )
    assert err == b""
    ends = [out.index(b"end ", out.index(token)) for token in tokens]
    assert ends == sorted(ends)
    assert b"noroot missing" in out[: ends[0]]
    assert out[ends[0] : ends[1]].count(b" e ") + out[ends[0] : ends[1]].count(b" t ") == 1
    assert len(finished(tokens[3], b"\n" + out[out.index(tokens[3]) :])) == 3


def test_end_of_input_ends_the_agent(agent: Agent) -> None:
    assert agent.run(b"") == (b"", b"")


def test_a_request_cut_short_touches_no_other_name(agent: Agent, root: Path) -> None:
    for name in ("day", "day-1"):
        (root / name).mkdir()
    whole = wire.rmdir_request(wire.new_token(), os.fsencode(root), [b"day-1"])
    agent.run(whole[: whole.index(b"./day-1") + len(b"./day")])
    assert names(root) == {b"day", b"day-1"}


def test_a_killed_agent_is_not_taken_for_finished(agent: Agent, root: Path) -> None:
    for number in range(3000):
        put(root, b"%d" % number)
    token = wire.new_token()
    with agent.process() as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(agent.start.preamble + scanwire.scan_request(token, os.fsencode(root)))
        process.stdin.flush()
        parser = wire.RecordParser(token)
        parser.feed(process.stdout.read(5000))
        process.kill()
        with pytest.raises(AgentFailed, match="without its closing record"):
            parser.require_finished()


def test_a_listener_that_left_is_no_drama(agent: Agent, root: Path) -> None:
    for number in range(5000):
        put(root, b"%d" % number)
    with agent.process() as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(agent.start.preamble + scanwire.scan_request(wire.new_token(), os.fsencode(root)))
        process.stdin.flush()
        process.stdout.read(100)
        process.stdout.close()
        process.stdin.close()
        process.stdin = None
        assert b"Traceback" not in process.stderr.read()
        process.wait(10)


TOOLS = "sh find stat id date xargs dd head cat mv ln rm rmdir sha256sum tar wc sleep"


@pytest.fixture
def dash_with(open_folder: Path) -> Callable[..., Agent]:
    """Makes an agent under dash that finds only TOOLS, and of those given a script before the tool, or None: nothing.

    GNU tools: busybox's shell and xargs use their own applets, whatever PATH says.
    """

    def make(**changed: str | None) -> Agent:
        folder = Path(tempfile.mkdtemp(dir=open_folder))
        folder.chmod(0o755)
        for name in TOOLS.split():
            real, script = shutil.which("dash" if name == "sh" else name), changed.get(name, "")
            assert real, f"these tests need {name}"
            if script is not None:
                (folder / name).write_text(f'#!/bin/sh\n{script}\nexec {real} "$@"\n')
                (folder / name).chmod(0o755)
        return shell_agent("dash", [shutil.which("dash") or "dash"], str(folder))

    return make


def refuse(pattern: str) -> str:
    return f'case "$*" in {pattern}) echo "$0: unrecognized option" >&2; exit 1 ;; esac'


@pytest.mark.parametrize(
    ("tool", "verb"),
    [("find", "scan"), ("stat", "stat"), ("tar", "tar"), ("sha256sum", "purge"), ("xargs", "settle"), ("dd", "scan")],
)
def test_a_missing_tool_is_named(dash_with: Callable[..., Agent], root: Path, tool: str, verb: str) -> None:
    agent = dash_with(**{tool: None})
    put(root, b"a")
    top = os.fsencode(root)
    calls: dict[str, Callable[[], object]] = {
        "scan": lambda: agent.scan(top),
        "stat": lambda: agent.restat(top, [b"a"]),
        "tar": lambda: agent.tar(top, [b"a"]),
        "purge": lambda: agent.purge(top, [wanted(b"a")]),
        "settle": lambda: agent.settle(top, [(b"a", b"p")]),
    }
    with pytest.raises(wire.ToolMissing) as caught:
        calls[verb]()
    assert caught.value.tool == tool
    assert names(root) == {b"a"}


def test_a_mv_that_could_replace_is_not_used(dash_with: Callable[..., Agent], root: Path) -> None:
    put(root, b"a")
    with pytest.raises(wire.ToolMissing, match="mv -n"):
        dash_with(mv=refuse("-n*")).purge(os.fsencode(root), [wanted(b"a")])
    assert names(root) == {b"a"}


def test_without_hard_links_files_still_get_their_names_back(dash_with: Callable[..., Agent], root: Path) -> None:
    agent = dash_with(ln="exit 1")
    put(root, b"a")
    put(root, b"taken")
    put(root, b".p1")
    put(root, b".p2")
    assert agent.outcome(os.fsencode(root), wanted(b"a", b"CONTENT")) is PurgeOutcome.CHANGED
    pairs = [(b"back", b".p1"), (b"taken", b".p2")]
    assert agent.settle(os.fsencode(root), pairs) == {b"back": "restored", b"taken": "stranded"}
    assert names(root) == {b"a", b"back", b"taken", b".p2"}


@pytest.mark.parametrize("links", [True, False])
def test_a_name_taken_at_the_last_moment_is_not_replaced(
    dash_with: Callable[..., Agent], root: Path, links: bool
) -> None:
    put(root, b".p1")
    take = 'for last; do :; done; echo theirs >"$last"'
    agent = dash_with(ln=take) if links else dash_with(ln="exit 1", mv=take)
    assert agent.settle(os.fsencode(root), [(b"a", b".p1")]) == {b"a": "stranded"}
    assert (root / "a").read_bytes() == b"theirs\n"
    assert names(root) == {b"a", b".p1"}


def test_a_failing_step_is_told_and_the_next_request_still_read(dash_with: Callable[..., Agent], root: Path) -> None:
    first, second = wire.new_token(), wire.new_token()
    top = os.fsencode(root)
    asked = scanwire.stat_request(first, top, [b"x" * 250] * 3000)  # more than a pipe holds
    out, _ = dash_with(xargs="exit 3").run(asked + scanwire.scan_request(second, top))
    middle = out.index(second) - 1
    (problem,) = wire.read_problems(finished(first, out[:middle]))
    assert problem.reason == "stat: a step ended with status 3"
    assert len(finished(second, out[middle:])) == 2


def test_a_file_that_cannot_be_unlinked_gets_its_name_back(dash_with: Callable[..., Agent], root: Path) -> None:
    put(root, b"a")
    agent = dash_with(rm='case "$*" in *.media-sync-*) [ -e ./a ] || exit 1 ;; esac')
    assert agent.outcome(os.fsencode(root), wanted(b"a")) is PurgeOutcome.DENIED
    assert names(root) == {b"a"}


def test_a_dd_without_fullblock_and_a_stat_without_nanoseconds(dash_with: Callable[..., Agent], root: Path) -> None:
    agent = dash_with(dd=refuse("*fullblock*"), stat=refuse("*%.9Y* | *%y*"))
    put(root, b"a b")
    put(root, b"c")
    (entry,) = [e for e in agent.scan(os.fsencode(root)).entries if e.path == b"a b"]
    assert (entry.mtime_ns, entry.exact) == (OLD // 10**9 * 10**9, False)
    item = wanted(b"a b", mtime_ns=entry.mtime_ns, exact=False)
    assert agent.outcome(os.fsencode(root), item) is PurgeOutcome.PURGED
    assert agent.outcome(os.fsencode(root), wanted(b"c")) is PurgeOutcome.PURGED


def test_busybox_finds_its_own_tools_without_a_path(busybox_path: str, root: Path) -> None:
    agent = shell_agent("busybox", [f"{busybox_path}/busybox", "sh"], "/nonexistent")
    put(root, b"a")
    assert {e.path for e in agent.scan(os.fsencode(root)).entries} == {b"", b"a"}
    assert agent.tar(os.fsencode(root), [b"a"])[0].keys() == {b"a"}
    assert agent.outcome(os.fsencode(root), wanted(b"a")) is PurgeOutcome.PURGED


def test_an_interpreter_that_is_none_is_an_agent_failed() -> None:
    token = wire.new_token()
    parser = wire.RecordParser(token)
    parser.feed(b"sh: python3: not found\n")
    with pytest.raises(AgentFailed, match="python3: not found"):
        parser.require_finished()


@pytest.mark.parametrize("name", ["agent.py", "agent_eyes.py", "agent_marks.py", "agent_purge.py", "agent_watch.py"])
def test_agents_keep_to_python_3_6(name: str) -> None:
    source = files("sidecar.transports.docker").joinpath(name).read_text()
    ast.parse(source, feature_version=(3, 6))


def test_what_tar_alone_knows_of_is_a_note(dash_with: Callable[..., Agent], root: Path) -> None:
    """An error that a second reading does not show: any file of that step may hold zeros."""
    put(root, b"a")
    for script in ("echo 'tar: ./a: Read error at byte 0, while reading 7 bytes' >&2; exit 2", "exit 137"):
        token = wire.new_token()
        agent = dash_with(tar=f'case "$*" in *--version*) ;; *) {script} ;; esac')
        _, err = agent.run(wire.tar_request(token, os.fsencode(root), [b"a"]) + wire.quit_request())
        (found,) = wire.read_problems(finished(token, err))
        assert found.path == b""
        assert "Read error" in found.reason or "status 137" in found.reason


def ticks(agent: Agent, root: Path, size: int) -> int:
    """How many signs of life come while one file is hashed and purged."""
    content = bytes(size)
    put(root, b"long.mp4", content)
    token, item = wire.new_token(), wanted(b"long.mp4", content)
    out, err = agent.run(wire.purge_request(token, os.fsencode(root), [item]))
    assert err == b""
    (result,) = wire.PurgeAnswers([item]).take(finished(token, out))
    assert result.outcome is PurgeOutcome.PURGED
    return out.count(token + b" tick")


def test_a_shell_gives_signs_of_life_while_it_hashes(dash_with: Callable[..., Agent], root: Path) -> None:
    agent = dash_with(sha256sum=f"{shutil.which('sleep')} 1", sleep=f"exec {shutil.which('sleep')} 0.1")
    assert ticks(agent, root, 1 << 10) == 0, "a process for nothing"
    assert ticks(agent, root, 16 << 20) >= 3


def test_python_gives_signs_of_life_while_it_hashes(root: Path) -> None:
    assert ticks(python_agent(), root, 3 << 20) == 0
    assert ticks(python_agent(source=lambda code: code.replace(b"BEAT = 2.0", b"BEAT = 0.0")), root, 3 << 20) == 3
