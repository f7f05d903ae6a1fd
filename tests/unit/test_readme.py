"""The README says what is true: its table of settings is the model's, its commands and exit codes exist.

To write the table anew: `python -m tests.unit.test_readme`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from typer.main import get_command

from sidecar.cli.app import app
from sidecar.cli.exits import Exit
from sidecar.config import every_setting
from sidecar.events import TYPES
from sidecar.notify.posting import signature
from sidecar.telling.metrics import Metrics

README = Path(__file__).resolve().parents[2] / "README.md"
_TABLE = re.compile(r"(<!-- settings: [^\n]* -->\n).*?(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    rows = ["| key | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for s in every_setting():
        description = s.description.replace("|", "\\|")
        default = f"`{s.default}`" if s.default else ""
        rows.append(f"| `{s.key}` | `{s.env}` | {default} | {description} |")
    return "\n".join(rows) + "\n"


def rendered(text: str) -> str:
    return _TABLE.sub(lambda m: m[1] + table() + m[2], text)


def test_the_table_of_settings_is_the_models() -> None:
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text, "run: python -m tests.unit.test_readme"


def test_every_command_is_in_the_table_of_commands() -> None:
    text = README.read_text(encoding="utf-8")
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert re.search(rf"^\| .*`{name}[` ]", text, re.MULTILINE), f"{name} is not in the README"


def test_every_exit_code_is_explained() -> None:
    section = README.read_text(encoding="utf-8").split("## Exit codes")[1].split("##")[0]
    assert [int(code) for code in re.findall(r"^\| (\d)", section, re.MULTILINE)] == [int(code) for code in Exit]


def test_the_receiver_of_the_readme_knows_our_posts() -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    known: dict[str, Any] = {}
    exec(code[1], known)
    body, at = b'{"type": "job.done"}', str(int(time.time()))
    headers = {"X-Media-Sync-Timestamp": at, "X-Media-Sync-Signature": signature("a-secret", at, body)}
    assert known["is_ours"](headers, body, "a-secret")
    assert not known["is_ours"](headers, body + b" ", "a-secret")
    assert not known["is_ours"](headers, body, "another")
    old = str(int(at) - 3600)
    headers = {"X-Media-Sync-Timestamp": old, "X-Media-Sync-Signature": signature("a-secret", old, body)}
    assert not known["is_ours"](headers, body, "a-secret")


def test_every_metric_and_event_is_named() -> None:
    section = README.read_text(encoding="utf-8").split("## Being told")[1].split("\n## ")[0]
    for family in Metrics().registry.collect():
        assert family.name in section, family.name
    for event in TYPES:
        assert f"`{event}`" in section, event


def test_files_that_are_linked_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
