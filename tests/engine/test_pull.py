"""Single files that somebody told of: stored by the same rules as in a pass, without a scan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from generators.container import Entry

from sidecar.errors import ConfigError
from sidecar.models import NS, Road, Standing
from sidecar.transports.base import TransportAdapter
from tests.conftest import MakeGenerator
from tests.engine.inprocess import Parts, opened
from tests.engine.syncing import png, pngs, renamed
from tests.rig.generator import Generator


@pytest.fixture
def made(generator: MakeGenerator, python_image: str) -> Generator:
    return generator(image=python_image)


@pytest_asyncio.fixture
async def parts(tmp_path: Path, engine_host: str, made: Generator) -> AsyncIterator[Parts]:
    async with opened(tmp_path, engine_host, {"gen": made}) as parts:
        yield parts


@pytest_asyncio.fixture
async def adapter(parts: Parts) -> AsyncIterator[TransportAdapter]:
    adapter = await parts.provider.adapter(parts.source())
    await adapter.prepare()
    yield adapter
    await adapter.close()


async def test_what_is_settled_is_stored_and_what_is_not_is_named_for_later(
    parts: Parts, made: Generator, adapter: TransportAdapter
) -> None:
    """One walk through the rules, so that one container does."""
    made.put(pngs("old/a.png", "old/unasked.png"), age=60)
    made.put({"young.png": png(7)}, age=0)
    made.put({"cut.png": png(8)[:-20], "empty.png": b"", "model.safetensors": b"x", "lone.txt": b"x"}, age=60)
    young = made.stats()[b"young.png"].mtime_ns
    asked = [b"old/a.png", b"young.png", b"cut.png", b"empty.png", b"model.safetensors", b"lone.txt", b"gone.png"]
    done = await parts.pull(adapter, *asked, now_ns=young + NS)
    assert parts.files() == {b"old/a.png": png(0)}
    assert done.report.road[Road.FOLDER] == 0, "nobody knows what else lies in that folder"
    assert done.later.keys() == {b"young.png", b"cut.png"}
    assert done.later[b"young.png"] == young + 2 * NS
    assert done.later[b"cut.png"] > young + 500 * NS
    assert done.again == {b"lone.txt"}, "its picture may come yet"

    done = await parts.pull(adapter, b"young.png", b"old/a.png", now_ns=young + 3 * NS)
    assert (done.report.stored, done.report.unchanged, done.later, done.again) == (1, 1, {}, set())
    done = await parts.pull(adapter, b"cut.png", now_ns=young + 3 * NS)
    assert done.report.bytes_received == 0, "its bytes are known: not fetched twice"
    assert done.later.keys() == {b"cut.png"}
    done = await parts.pull(adapter, b"cut.png", now_ns=young + 700 * NS)
    assert (done.report.stored, len(done.report.incomplete)) == (1, 1)

    made.put({"lone.png": png(9)}, age=60)
    assert (await parts.pull(adapter, b"lone.png")).report.stored == 1
    made.put({"lone.txt": b"about it"}, age=60)
    assert (await parts.pull(adapter, b"lone.txt")).report.stored == 1, "its picture was stored before"
    report = await parts.run(adapter)
    assert (report.stored, report.vanished) == (1, 0), "only what nobody told of"
    assert parts.stored == [b"old/a.png", b"young.png", b"cut.png", b"lone.png", b"lone.txt", b"old/unasked.png"]


async def test_a_name_given_again_and_its_companion_keep_together(
    parts: Parts, made: Generator, adapter: TransportAdapter
) -> None:
    made.put({"a_00001.png": png(1), "a_00001.txt": b"one"}, age=60)
    assert (await parts.pull(adapter, b"a_00001.txt", b"a_00001.png")).report.stored == 2
    made.put({"a_00001.png": png(2)}, age=50)
    assert (await parts.pull(adapter, b"a_00001.png")).report.stored == 1
    made.put({"a_00001.txt": b"two"}, age=50)
    assert (await parts.pull(adapter, b"a_00001.txt")).report.stored == 1
    tagged = renamed(b"a_00001.png", png(2))
    assert parts.files() == {
        b"a_00001.png": png(1), b"a_00001.txt": b"one", tagged: png(2), tagged.replace(b".png", b".txt"): b"two"
    }  # fmt: skip


async def test_links_are_not_followed_and_other_files_not_taken_for_gone(
    parts: Parts, made: Generator, adapter: TransportAdapter
) -> None:
    made.put({"real/a.png": png(1), "real/b.png": png(2)}, age=60)
    made.exec("sh", "-c", "cd /output && ln -s real/a.png link.png && ln -s real folder && mkfifo pipe.png")
    done = await parts.pull(adapter, b"link.png", b"folder/a.png", b"pipe.png")
    assert (parts.stored, done.later, done.again) == ([], {}, set())
    assert (await parts.run(adapter)).stored == 2
    made.remove("real/a.png")
    await parts.pull(adapter, b"real/a.png")
    assert parts.manifest.known(parts.manifest.look_up(parts.source()), b"/output").keys() == {
        b"real/a.png",
        b"real/b.png",
    }


async def test_a_container_that_stopped_leaves_all_for_later(
    parts: Parts, made: Generator, adapter: TransportAdapter
) -> None:
    made.put({"a.png": png(1)}, age=60)
    made.stop()
    done = await parts.pull(adapter, b"a.png")
    assert done.report.error is not None
    assert (done.again, parts.stored) == ({b"a.png"}, [])


async def test_a_library_inside_the_folder_is_not_pulled_into_itself(
    tmp_path: Path, engine_host: str, generator: MakeGenerator, python_image: str
) -> None:
    made = generator(image=python_image, volumes={str(tmp_path): "/output"})
    async with opened(tmp_path, engine_host, {"gen": made}) as parts:
        adapter = await parts.provider.adapter(parts.source())
        await adapter.prepare()
        made.put([Entry(b"library/x/a.png", png(1), mtime_ns=10**18)])
        done = await parts.pull(adapter, b"library/x/a.png")
        await adapter.close()
        assert isinstance(done.report.error, ConfigError)
        assert parts.stored == []


async def test_who_may_not_look_becomes_the_owner(
    tmp_path: Path, engine_host: str, generator: MakeGenerator, python_image: str
) -> None:
    """Image default user and output owner differ (mmartial/comfyui-nvidia-docker), and files are private."""
    made = generator(image=python_image, user="7", owner=(1000, 1000))
    async with opened(tmp_path, engine_host, {"gen": made}) as parts:
        adapter = await parts.provider.adapter(parts.source())
        assert (await adapter.prepare()).watch
        seen: list[object] = []
        async with aclosing(adapter.watch(b"/output")) as sights:
            async for sight in sights:
                seen.append(sight)
                if isinstance(sight, Standing) and len([one for one in seen if isinstance(one, Standing)]) == 1:
                    made.put([Entry(b"a.png", png(1), mtime_ns=10**18, uid=1000, gid=1000, mode=0o600)])
                elif isinstance(sight, Standing):
                    break
        assert (await parts.pull(adapter, b"a.png")).report.stored == 1
        await adapter.close()
