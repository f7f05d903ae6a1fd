"""`serve` tells others: a heartbeat for each pass and a signed post for each event, over a real connection."""

from __future__ import annotations

import json

import pytest

from sidecar.notify.posting import signature
from tests.conftest import MakeGenerator
from tests.engine.commands import eventually, heavy_png, log_lines, serving
from tests.rig.program import Program
from tests.rig.receiver import receiver

pytestmark = pytest.mark.alone

SECRET = "a-secret-of-some-length"


def test_passes_beat_and_events_are_posted(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    made.put({"a.png": heavy_png(100, 1)}, age=100)
    with receiver() as (url, got):
        env = {
            "MEDIA_SYNC_NOTIFY__HEARTBEAT_URL": f"{url}/beat/0123456789",
            "MEDIA_SYNC_NOTIFY__WEBHOOK_URL": f"{url}/hook",
            "MEDIA_SYNC_NOTIFY__EVENTS": "file.stored,job.done,job.failed",
            "MEDIA_SYNC_NOTIFY__SECRET": SECRET,
            "MEDIA_SYNC_NOTIFY__ALLOW_PRIVATE": "true",
        }
        with serving(cli, "--source", f"a={made.name}:/output", **env):
            eventually(lambda: sum(path == "/beat/0123456789" for path, _, _ in got) >= 2, "two passes that went well")
            made.close()
            eventually(lambda: any(path.endswith("/fail") for path, _, _ in got), "a pass that failed")
        beats = [path.removeprefix("/beat/0123456789") for path, _, _ in got if path.startswith("/beat")]
        assert beats[:2] == ["/start", ""]
        why = next(body for path, body, _ in got if path.endswith("/fail")).decode()
        assert made.name in why, why
        posts = [(json.loads(body), body, headers) for path, body, headers in got if path == "/hook"]
        kinds = [told["type"] for told, _, _ in posts]
        assert kinds.count("file.stored") == 1
        assert kinds.count("job.done") == 1, "passes that did nothing are not worth a post"
        assert "job.failed" in kinds
        for _, body, headers in posts:
            assert headers["X-Media-Sync-Signature"] == signature(SECRET, headers["X-Media-Sync-Timestamp"], body)


def test_private_targets_are_refused_and_the_address_is_not_told(cli: Program, generator: MakeGenerator) -> None:
    made = generator()
    with receiver() as (url, got):
        with serving(cli, "--source", f"a={made.name}:/output",
                     MEDIA_SYNC_NOTIFY__HEARTBEAT_URL=f"{url}/beat/0123456789") as process:  # fmt: skip
            eventually(lambda: "the last pass ended well" in cli("healthcheck").out, "a pass")
            process.terminate()
            process.wait(timeout=30)
            err = process.stderr.read() if process.stderr is not None else ""
        assert got == []
    said = [line["message"] for line in log_lines(err)]
    assert sum("heartbeat" in line and "private network" in line for line in said) == 1, said
    assert "0123456789" not in err
