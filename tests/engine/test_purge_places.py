"""Purge as the folder's owner, and never outside the root, whatever is swapped in."""

from __future__ import annotations

from typing import Any

import docker
import pytest
from generators.container import Entry

from tests.conftest import MakeGenerator
from tests.engine.purging import bench, filled, given, outcomes, pictures, purge, states
from tests.rig.program import Program

IMAGES = ["busybox_image", "python_image"]


@pytest.mark.parametrize("image", IMAGES)
async def test_links_swapped_in_after_the_plan_lead_nowhere(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image))
    files = pictures(["in/deep/a.png", "in/deep/b.png", "c.png", "d.png", "e/f.png"])
    filled(cli, one, files)
    async with bench(cli, one) as work, work.planned() as planned:
        assert planned.plan.candidates == len(files)
        # the very same files, moved: nothing but the way to them is wrong
        one.exec(
            "sh", "-c", 'cd "$1" && mkdir /elsewhere beside && mv in c.png /elsewhere && mv e beside', "-", one.root
        )
        away = one.stats("/elsewhere")
        one.put([
            Entry(b"in", link=b"/elsewhere/in"), Entry(b"c.png", link=b"/elsewhere/c.png"),
            Entry(b"e", link=b"beside/e"),
        ])  # fmt: skip
        found = await planned.outcomes()
    linked = ("failed", "could not be deleted: folder is a link")
    assert found == dict.fromkeys((b"in/deep/a.png", b"in/deep/b.png", b"e/f.png"), linked) | {
        b"c.png": ("kept", "changed at the last moment"), b"d.png": ("purged", ""),
    }  # fmt: skip
    assert one.stats("/elsewhere") == away
    assert one.files() == {b"beside/e/f.png"}


def users_of_execs(engine: docker.DockerClient, container: str) -> list[str]:
    """The user of each exec that the engine remembers of a container, the agents' among them."""
    ids: list[str] = engine.api.inspect_container(container)["ExecIDs"] or []
    found: list[dict[str, Any]] = [engine.api.exec_inspect(one)["ProcessConfig"] for one in ids]
    return [str(one.get("user", "")) for one in found]


@pytest.mark.parametrize("image", IMAGES)
async def test_the_folders_owner_deletes(
    image: str, generator: MakeGenerator, cli: Program, engine: docker.DockerClient, request: pytest.FixtureRequest
) -> None:
    one = generator(image=request.getfixturevalue(image), owner=(1000, 1000))
    filled(cli, one, pictures(["a.png", "theirs/b.png"]))
    one.exec("chown", "-R", "1234:5", one.path("theirs"))
    users: list[str] = []
    async with bench(cli, one) as work:
        await work.sync()
        async with work.planned() as planned:
            planned.engine.bus.subscribe(lambda _: users.extend(users_of_execs(engine, one.id)))
            assert (await planned.execute()).purged == 2
    assert {"1000:1000", "1234:5"} <= set(users)
    assert one.files() == set()


@pytest.mark.parametrize("image", IMAGES)
def test_what_the_owner_may_not_delete_is_said(
    image: str, generator: MakeGenerator, cli: Program, request: pytest.FixtureRequest
) -> None:
    """The container runs as uid 1000, as most generators do, and some of its folders are closed to it."""
    one = generator(image=request.getfixturevalue(image), user="1000:1000", owner=(1000, 1000), root="/tmp/output")
    files = pictures(["a.png", "closed/b.png", "closed/c.png"])
    filled(cli, one, files)
    one.exec("chmod", "0555", one.path("closed"))
    before = one.stats()
    code, report = purge(cli, one)
    denied = ("failed", "permission denied: permission denied")
    assert outcomes(report) == {"a.png": ("purged", ""), "closed/b.png": denied, "closed/c.png": denied}
    assert (code, report["purged"], report["failed"], report["bytes_freed"]) == (3, 1, 2, len(files["a.png"]))
    assert {p: s for p, s in one.stats().items() if p not in (b".", b"a.png")} == {
        p: s for p, s in before.items() if p not in (b".", b"a.png")
    }
    assert states(cli.state)["closed/b.png"] == "stored"
    one.exec("chmod", "0755", one.path("closed"))
    assert purge(cli, one)[1]["purged"] == 2


def test_other_names_of_the_same_file_stay(generator: MakeGenerator, cli: Program) -> None:
    one = generator()
    one.put([Entry(b"a.png", b"one", mtime_ns=10**18), Entry(b"favourites.db", hard=b"a.png")])
    one.put({"b.png": b"one"}, mtime_ns=10**18)
    assert cli("sync", *given(one)).code == 0
    assert purge(cli, one)[1]["purged"] == 2
    assert one.files() == {b"favourites.db"}
    assert one.read("favourites.db") == b"one"
