"""Which sinks there are: our own, those of packages that are installed, and what is said of those that are not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.config import IngestSettings, SinkSettings
from sidecar.errors import ConfigError
from sidecar.ingest.base import MediaIngest, Record
from sidecar.ingest.jsonlines import JsonLines
from sidecar.ingest.sinks import kinds, make_sinks
from sidecar.ingest.testing import Known, SinkContract, by_key, record, same
from sidecar.ingest.webhook import Webhook
from tests.rig.program import Program
from tests.unit.ingest.plugin import install
from tests.unit.ingest.telling import Pictures


def settings(**sinks: dict[str, str]) -> IngestSettings:
    return IngestSettings(sinks={name: SinkSettings(**options) for name, options in sinks.items()})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def installed(site: Path) -> Iterator[None]:
    sys.path.insert(0, str(site))
    try:
        yield
    finally:
        sys.path.remove(str(site))
        sys.modules.pop("sink_example", None)


def problems(**sinks: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        make_sinks(settings(**sinks))
    return caught.value.problems


def test_the_type_is_the_name_where_none_is_given() -> None:
    made = make_sinks(settings(jsonlines={"path": "/x"}, hook={"type": "webhook", "url": "https://media.example"}))
    assert isinstance(made["jsonlines"], JsonLines)
    assert isinstance(made["hook"], Webhook)


def test_every_mistake_is_told_at_once_with_its_key() -> None:
    found = problems(a={"type": "jsonlines"}, b={"type": "webhok"}, c={"type": "webhook", "url": "https://x.example",
                                                                         "scret": "x"})  # fmt: skip
    assert found == (
        "ingest.sinks.a: path is missing — write it like path: /state/records.jsonl",
        'ingest.sinks.b: "webhok" is no type of sink — did you mean webhook?',
        "ingest.sinks.c: scret is no option of this sink — did you mean secret?",
    )


def test_a_type_that_nobody_offers_is_told_with_those_that_are() -> None:
    (line,) = problems(x={"type": "elasticsearch"})
    assert "add type:, one of jsonlines, postgresql, webhook, or install its plugin" in line


@pytest.mark.usefixtures("installed")
def test_an_installed_package_offers_its_sink(tmp_path: Path) -> None:
    assert "folder" in kinds()
    (made,) = make_sinks(settings(mine={"type": "folder", "path": str(tmp_path)})).values()
    assert type(made).__module__ == "sink_example"
    assert problems(folder={}) == ("ingest.sinks.folder: path is missing — name the folder that the files go to",)


def test_the_contract_says_which_field_of_which_record_differs() -> None:
    told = by_key([record(1), record(2), record(3)])
    same(told, dict(told))
    with pytest.raises(AssertionError) as caught:
        same(by_key([record(1), record(2, state="purged"), record(4)]), told)
    assert str(caught.value).splitlines() == [
        f"{record(2).key!r}: state is 'purged', not 'stored'", f"{record(3).key!r} is not known",
        f"{record(4).key!r} is known, and should not be",
    ]  # fmt: skip


@pytest.mark.usefixtures("installed")
class TestTheExample(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> MediaIngest:
        return make_sinks(settings(folder={"path": str(tmp_path / "records")}))["folder"]

    @pytest.fixture
    def known(self, tmp_path: Path) -> Known:
        async def read() -> dict[str, Record]:
            told = [json.loads(file.read_text()) for file in (tmp_path / "records").glob("*.json")]
            return {one["key"]: Record(**(one | {"problems": tuple(one["problems"])})) for one in told}

        return read


def broken(tmp_path: Path, code: str) -> None:
    """A package whose sink is no good."""
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[media_sync.sinks]\nbroken = broken_sink:make\njsonlines = broken_sink:make\n"
    )
    (tmp_path / "broken_sink.py").write_text(code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_library", "needs is not installed: No module named 'no_such_library'"),
        ("def other(options): ...", "its plugin failed: AttributeError"),
        ("def make(options): return 1 / 0", "its plugin failed: ZeroDivisionError"),
        ("def make(options: 1 1)", "its plugin failed: SyntaxError"),
    ],
)
def test_a_plugin_that_is_broken_is_named(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    (line,) = problems(broken={})
    sys.modules.pop("broken_sink", None)
    assert line.startswith("ingest.sinks.broken: ")
    assert words in line
    assert " — " in line


def test_a_plugin_does_not_take_the_place_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "def make(options): return 1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isinstance(make_sinks(settings(jsonlines={"path": "/x"}))["jsonlines"], JsonLines)


def test_the_program_finds_an_installed_sink(site: Path, tmp_path: Path) -> None:
    cli = Program(tmp_path, f"unix://{tmp_path}/none", {"MEDIA_SYNC_MEDIA__ENABLED": "false"})
    pictures = Pictures(cli.state)
    pictures.store(a="1", b="2")
    pictures.manifest.close()
    at = "MEDIA_SYNC_INGEST__SINKS__MINE__"
    env = {f"{at}TYPE": "folder", f"{at}PATH": str(tmp_path / "r"),
           "PYTHONPATH": os.pathsep.join((str(site), os.environ.get("PYTHONPATH", "")))}  # fmt: skip
    done = cli("ingest", "retry", "--json", env=env).ok()
    assert done.json["sinks"][0]["told"] == 2
    assert {json.loads(file.read_text())["path"] for file in (tmp_path / "r").glob("*.json")} == {"a", "b"}
