"""dockerd is restarted under `serve`, and killed: it recovers unaided, and says so in health and log."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from generators import container as inside
from generators import images

from sidecar.telling.health import Health, health
from sidecar.transports.docker.events import WAITS
from tests.engine.commands import eventually, heavy_png, log_lines, serving, stop
from tests.rig.engine import OwnEngine, why_not
from tests.rig.program import Program

pytestmark = pytest.mark.alone


@pytest.fixture
def own() -> Iterator[OwnEngine]:
    if reason := why_not():
        pytest.skip(reason)
    with OwnEngine() as engine:
        yield engine


def test_an_engine_that_is_restarted_and_killed(cli: Program, own: OwnEngine) -> None:
    def verdict() -> Health:
        return health(cli.state, time.time_ns())

    def put(name: str, seed: int) -> None:
        client = own.client()
        container = client.containers.get("gen")
        container.start()  # an engine that ends takes its containers with it
        inside.put(container, "/output", [inside.Entry(name.encode(), heavy_png(100, seed), mtime_ns=AN_HOUR_AGO)])
        client.close()

    client = own.client()
    made = client.containers.create(images.busybox(client), list(inside.HOLD), name="gen", network_mode="none")
    made.start()
    inside.run(made, ["mkdir", "-p", "/output"])
    client.close()
    put("a.png", 1)
    with serving(cli, "--source", "gen=gen:/output", host=own.host) as process:
        eventually((cli.library / "gen" / "a.png").exists, "the first file")
        for name, end in (("b.png", own.stop), ("c.png", own.kill)):
            eventually(lambda: verdict()[0], "good health")
            end()
            eventually(lambda: "cannot reach Docker" in verdict()[1], "bad health")
            own.start()
            put(name, ord(name[0]))
            eventually((cli.library / "gen" / name).exists, f"{name} after the engine came back")
        eventually(lambda: verdict()[0], "good health")
        time.sleep(WAITS[-1] + 1)  # until the engine is heard again, which is told in the log alone
        code, err = stop(process)
    assert code == 0, err
    assert "Traceback" not in err
    said = [line["message"] for line in log_lines(err)]
    assert any(line.startswith("the engine is not heard any more") for line in said), said
    assert "the engine is heard again" in said
    assert said.count("all is well again") == 2


AN_HOUR_AGO = time.time_ns() - 3600 * inside.NS
