"""What is said to the agents inside containers, and what is made of their answers. No input or output happens here.

A request is a header line `VERB TOKEN ROOTLEN LEN STEP`, the root, then NUL-ended fields; root and fields are each
padded with NULs to whole blocks of 512 bytes, because `dd` reads blocks and never ahead. STEP is how many fields the
shell agent may hand to one process. An answer is records, each `newline TOKEN space ...`, where a path comes last and
so may hold anything: no file name can guess the token. The closing record is `end COUNT`, or `end -` from a shell,
which cannot count. Records: `hello`, `e` and `t` (one name each), `r` (outcome of one item), `problem REASON PATH`,
`note TEXT`, `missing TOOL`, `noroot REASON`, and `tick`, which says that slow work goes on.

The container is not trusted: what is malformed raises StreamBroken, what is merely impossible (a path out of the root,
the same name twice) is left out and listed as a problem. Nothing else is raised than MediaSyncError's children.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files

from sidecar.errors import AgentFailed, RootMissing, StreamBroken
from sidecar.models import Problem, PurgeItem, PurgeOutcome, PurgeResult, shown
from sidecar.values import dataclass

BLOCK = 512
STEP_BYTES = 32 << 10  # argument bytes for one process: far below every kernel's limit, and below busybox's own
STEP_FIELDS = 448
LEAD = 34  # bytes before each record: newline, token, space
_TICK = b"tick"

_PYTHON_BOOT = "import sys;i=sys.stdin.buffer;exec(i.read(int(i.readline())))"
_SH_BOOT = """c=;while IFS= read -r l||exit 1;do [ "$l" = "#go" ]&&break;c="$c$l
";done;eval "$c\""""


class ToolMissing(AgentFailed):
    """The container's shell lacks a program that the verb needs. `tool` names it."""

    transient = False

    def __init__(self, tool: str) -> None:
        super().__init__(f"the container has no usable `{tool}`", hint="use an image with coreutils, busybox or Python")
        self.tool = tool


@dataclass(frozen=True, slots=True)
class Start:
    """How to start an agent: the exec's argv, and the bytes that go into its standard input before any request."""

    scanner: str
    argv: tuple[str, ...]
    preamble: bytes


def start_python(interpreter: str) -> Start:
    """The agent for a container with a Python of at least 3.6 at `interpreter`."""
    return _python(interpreter, ("agent_marks.py", "agent_purge.py", "agent.py"))


def start_watcher(interpreter: str) -> Start:
    """The same agent with the `watch` verb, which it is sent only where somebody watches."""
    return _python(interpreter, ("agent_marks.py", "agent_purge.py", "agent_eyes.py", "agent_watch.py", "agent.py"))


def _python(interpreter: str, parts: Sequence[str]) -> Start:
    source = b"".join(map(_agent, parts))
    return Start("python", (interpreter, "-I", "-S", "-c", _PYTHON_BOOT), b"%d\n" % len(source) + source)


def start_sh() -> Start:
    """The agent for a container with a POSIX shell and GNU tools or busybox."""
    return Start("sh", ("sh", "-c", _SH_BOOT), _agent("agent.sh") + b"#go\n")


@cache
def _agent(name: str) -> bytes:
    source = files(__package__).joinpath(name).read_bytes()
    if name.endswith(".sh"):  # a shell reads it byte by byte: send no more than it needs
        lines = (line.strip() for line in source.splitlines())
        source = b"".join(line + b"\n" for line in lines if line and not line.startswith(b"#"))
    return source


def new_token(entropy: Callable[[int], bytes] = os.urandom) -> bytes:
    """32 hexadecimal digits that nobody in the container can guess; a fresh one for each request."""
    return entropy(16).hex().encode()


# ---- requests


def request(verb: str, token: bytes, root: bytes, fields: Sequence[bytes] = (), group: int = 1) -> bytes:
    """One request. `group` is how many fields belong to one item; groups are never split between processes. An index
    comes last in its group, so that input that is cut off can never leave half a name looking whole.

    Raises ValueError for a root that is not absolute, or a NUL inside the root or a field: those are our own mistakes.
    """
    if not root.startswith(b"/") or b"\0" in root:
        raise ValueError(f"not an absolute path: {root!r}")
    payload = b"".join(field + b"\0" for field in fields)
    if payload.count(b"\0") != len(fields) or len(fields) % group:
        raise ValueError("NUL inside a field, or an incomplete group")
    largest = max((sum(map(len, fields[i : i + group])) + 16 * group for i in range(0, len(fields), group)), default=1)
    step = group * max(1, min(STEP_BYTES // largest, STEP_FIELDS // group))
    head = b"%s %s %d %d %d\n" % (verb.encode(), token, len(root), len(payload), step)
    return head + _padded(root) + _padded(payload)


def quit_request() -> bytes:
    """Makes an agent end. Sent behind a `tar` request so that the archive's stream ends too."""
    return b"quit - 0 0 0\n"


def tar_request(token: bytes, root: bytes, paths: Iterable[bytes]) -> bytes:
    """Answered by archives on standard output, members named `path` or `./path`, several archives one behind the other;
    and by records for `read_problems` on standard error. Follow it with `quit_request`."""
    return request("tar", token, root, [dotted(path) for path in paths])


def purge_request(token: bytes, root: bytes, items: Sequence[PurgeItem]) -> bytes:
    """Answered by records for `PurgeAnswers`. Items sorted by folder need fewer processes."""
    fields: list[bytes] = []
    for index, item in enumerate(items):
        sign, mtime = (b"-" if item.mtime_ns < 0 else b""), abs(item.mtime_ns)
        fields += (
            dotted(item.path),
            b"%d" % item.size,
            b"%s%010d" % (sign, mtime),  # ten digits: the shell cuts nine off to get whole seconds
            b"1" if item.exact else b"0",
            item.sha256.hex().encode(),
            _private(item.private),
            b"%d" % index,
        )
    return request("purge", token, root, fields, group=7)


def settle_request(token: bytes, root: bytes, items: Sequence[tuple[bytes, bytes]]) -> bytes:
    """(path, private name) pairs; answered by records for `read_settled`."""
    fields = [
        field
        for index, (path, private) in enumerate(items)
        for field in (dotted(path), _private(private), b"%d" % index)
    ]
    return request("settle", token, root, fields, group=3)


def rmdir_request(token: bytes, root: bytes, folders: Sequence[bytes]) -> bytes:
    """Answered by records for `read_removed`. Put deeper folders first."""
    fields = [field for index, path in enumerate(folders) for field in (dotted(path), b"%d" % index)]
    return request("rmdir", token, root, fields, group=2)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def dotted(path: bytes) -> bytes:
    """A path as the agents take it: with `./` before it no name looks like an option."""
    if path and UNSAFE_PATH(path):
        raise ValueError(f"not a path below a root: {path!r}")
    return b"./" + path if path else b"."


def _private(name: bytes) -> bytes:
    if not re.fullmatch(rb"[A-Za-z0-9._-]{1,255}", name) or name.startswith(b"-") or name in (b".", b".."):
        raise ValueError(f"not a private name: {name!r}")
    return name


# ---- answers


class RecordParser:
    """Cuts an answer into records. Holds at most one unfinished record of `max_record` bytes.

    What comes before the first record (a shell's complaint) is not a record; its beginning is kept in `noise`.
    """

    def __init__(self, token: bytes, *, max_record: int = 64 << 10, max_records: int = 4_000_000) -> None:
        self._lead = b"\n" + token + b" "
        self._held = b""
        self._begun = False
        self._max_record = max_record
        self._left = max_records
        self._count = 0
        self.noise = b""
        self.finished = False

    def feed(self, data: bytes) -> list[bytes]:
        """The records that `data` completes, without token and newline; the closing one and ticks are not among them.

        Raises StreamBroken for bytes behind the end, a wrong count, or when a cap is exceeded.
        """
        if self.finished:
            if data:
                raise StreamBroken("the agent went on after its closing record")
            return []
        parts = (self._held + data).split(self._lead)
        self._held = parts.pop()
        if parts and not self._begun:
            self._begun, before = True, parts.pop(0)
            self.noise = (self.noise + before)[:400]
        if len(self._held) > self._max_record or (parts and max(map(len, parts)) > self._max_record):
            raise StreamBroken("the agent sent a record that is too long")
        self._left -= len(parts)
        if self._left < 0:
            raise StreamBroken("the agent sent too many records")
        self._count += len(parts)
        if self._begun and self._held.startswith(b"end ") and self._held.endswith(b"\n"):
            self._close(self._held[4:-1])
        return [part for part in parts if part != _TICK] if _TICK in parts else parts

    def _close(self, count: bytes) -> None:
        if count not in (b"-", b"%d" % self._count):
            raise StreamBroken(f"the agent's answer has {self._count} records, not {count[:20]!a}")
        self.finished = True
        self._held = b""

    def require_finished(self) -> None:
        """Raises AgentFailed when the agent ended, or was cut off, without its closing record."""
        if not self.finished:
            said = shown((self.noise + (b"" if self._begun else self._held)).strip()[:200])
            raise AgentFailed("the agent ended without its closing record" + (f": {said}" if said else ""))


UNSAFE_PATH = re.compile(rb"(?:^|/)\.{0,2}(?:/|\Z)|\0").search
_RESULT = re.compile(rb"r (\d{1,9}) ([a-z]{1,20})(?: (.*))?", re.DOTALL).fullmatch
_PROBLEM = re.compile(rb"problem (\S{1,200}) (?:\./)?(.*)", re.DOTALL).fullmatch


def parse_problem(record: bytes) -> Problem:
    """A `problem` or `note` record; a note is about no path in particular. Raises StreamBroken when it is neither."""
    if record.startswith(b"note "):
        return Problem(b"", _text(record[5:]))
    found = _PROBLEM(record)
    if not found:
        raise StreamBroken(f"the agent sent a malformed record: {record[:80]!a}")
    why, path = found.groups()
    return Problem(b"" if path == b"." else path, _text(why.replace(b"_", b" ")))


def _text(words: bytes) -> str:
    return shown(words.strip()[:200])


def read_problems(records: Iterable[bytes]) -> list[Problem]:
    """The records of a `tar` answer, or those of another answer that are neither entries nor results.

    Raises RootMissing for `noroot`, ToolMissing for `missing`, StreamBroken for anything malformed.
    """
    problems = []
    for record in records:
        if record.startswith(b"noroot "):
            raise RootMissing(
                f"the root cannot be read: {_text(record[7:]).replace('_', ' ')}",
                hint="check the source's path and the user that the agent runs as",
            )
        if record.startswith(b"missing "):
            raise ToolMissing(_text(record[8:]).replace("_", " "))
        problems.append(parse_problem(record))
    return problems


class _Results:
    """Outcomes by index, each index once."""

    def __init__(self, count: int) -> None:
        self._waiting = [True] * count

    def take(self, records: Iterable[bytes]) -> list[tuple[int, str, str]]:
        """(index, outcome, detail) of each `r` record.

        Raises StreamBroken for an index that was not asked for or was answered before.
        """
        results = []
        for record in records:
            found = _RESULT(record)
            if not found:
                read_problems([record])
                continue
            index = int(found[1])
            if index >= len(self._waiting) or not self._waiting[index]:
                raise StreamBroken(f"the agent answered item {index}, which it was not asked for")
            self._waiting[index] = False
            results.append((index, found[2].decode(), _text((found[3] or b"").replace(b"_", b" "))))
        return results


class PurgeAnswers:
    """Turns the records of one purge request into results as they come. Items without an answer stay unknown."""

    def __init__(self, items: Sequence[PurgeItem]) -> None:
        self._items = items
        self._results = _Results(len(items))

    def take(self, records: Iterable[bytes]) -> list[PurgeResult]:
        """Raises StreamBroken for an index out of range or twice, or an outcome that does not exist."""
        try:
            return [
                PurgeResult(self._items[index], PurgeOutcome(outcome), detail)
                for index, outcome, detail in self._results.take(records)
            ]
        except ValueError as error:
            raise StreamBroken(f"the agent sent an unknown outcome: {error}") from error


def read_settled(records: Iterable[bytes], items: Sequence[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """path -> `restored`, `absent` or `stranded`. Raises StreamBroken for any other word."""
    settled = {}
    for index, outcome, _ in _Results(len(items)).take(records):
        if outcome not in ("restored", "absent", "stranded"):
            raise StreamBroken(f"the agent sent an unknown outcome: {outcome}")
        settled[items[index][0]] = outcome
    return settled


def read_removed(records: Iterable[bytes], folders: Sequence[bytes]) -> list[bytes]:
    """The folders that are gone."""
    return [folders[index] for index, outcome, _ in _Results(len(folders)).take(records) if outcome == "removed"]
