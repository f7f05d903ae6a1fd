"""A process that reads files which anybody may have made, and may be lost over one: `python -m sidecar.media.worker`.

Says READY when it is. Asked by lines of JSON on standard input, `{"path": hex, "steps": [names]}`; answers each by two
lengths (4 bytes, big endian), of a JSON object and of a thumbnail, and these. The object has `values` by step and
`problems`. The bounds come as the only argument, in JSON. A file that takes more than its CPU time ends the process;
memory ends that file's step.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from sidecar.errors import MediaSyncError
from sidecar.media.piece import Bounds, Piece, Step
from sidecar.models import shown

LENGTHS = struct.Struct(">II")
READY = b"+"  # said once, when everything is imported
NICE = 10  # transfers, and whatever else this machine does, go first


def examine(piece: Piece, chosen: Mapping[str, Step]) -> tuple[dict[str, Any], bytes]:
    """Run steps over one file: what they say together, and its thumbnail. A step that fails costs its own part."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    thumbnail = b""
    with piece.closing():
        for name, step in chosen.items():
            try:
                found = step(piece)
                json.dumps(found.values, allow_nan=False)  # a plugin's may be anything
            except MediaSyncError as error:
                problems.append(f"{name}: {error}")
            except MemoryError:
                problems.append(f"{name}: it takes more memory than it may")
            except Exception as error:  # a plugin's, or a library's over a file that nobody thought of
                problems.append(f"{name}: {type(error).__name__}: {shown(str(error).encode())[:200]}")
            else:
                problems += [f"{name}: {line}" for line in found.problems]
                thumbnail = found.thumbnail or thumbnail
                if found.values:
                    values[name] = dict(found.values)
    return {"values": values, "problems": list(dict.fromkeys(problems))}, thumbnail


def _bound(bounds: Bounds) -> None:
    """So much more CPU time from now on; memory for good."""
    now = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(now.ru_utime + now.ru_stime) + 1 + bounds.seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _enclose(bounds: Bounds) -> None:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (bounds.memory, bounds.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it reads; nothing that it is led to can write a file


def serve(asked: BinaryIO, answers: BinaryIO, bounds: Bounds) -> None:
    """Answer until the end of what is asked."""
    from sidecar.media import decoding  # noqa: F401 (most files need it: better here than with the first of them)
    from sidecar.media.steps import steps

    known = steps()
    answers.write(READY)
    answers.flush()
    for line in asked:
        request = json.loads(line)
        _bound(bounds)
        names: Sequence[str] = request["steps"]
        told, thumbnail = examine(Piece(bytes.fromhex(request["path"]), bounds),
                                  {name: known[name] for name in names if name in known})  # fmt: skip
        body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
        answers.write(LENGTHS.pack(len(body), len(thumbnail)) + body + thumbnail)
        answers.flush()


def arguments(bounds: Bounds) -> list[str]:
    """The command line of a worker."""
    return [sys.executable, "-P", "-m", "sidecar.media.worker", json.dumps(asdict(bounds))]


def main() -> None:
    """Standard output is for answers alone: what libraries print goes to standard error."""
    bounds = Bounds(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _enclose(bounds)
    serve(sys.stdin.buffer, answers, bounds)


if __name__ == "__main__":
    main()
