"""An engine that goes away in the middle: no traceback, nothing partial, and the next run ends where it should."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeGenerator
from tests.engine.commands import heavy_png, leftovers, log_lines
from tests.rig.program import Program
from tests.rig.proxy import EngineProxy

IMPATIENT = {"MEDIA_SYNC_DOCKER__TIMEOUT": "2s", "MEDIA_SYNC_SYNC__STALL_TIMEOUT": "2s"}
FILES = {f"f{n:02}.png": heavy_png(200_000, n) for n in range(30)}
WHOLE = sum(map(len, FILES.values()))


def stored(cli: Program) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (cli.library / "a").glob("**/*") if path.is_file()}


# Bytes of answers that have passed: while containers are looked at, at the first file, in the middle, near the end.
MOMENTS = {"discovery": 500, "first bytes": 40_000, "middle": WHOLE // 2, "end": WHOLE - 50_000}
HARMS: dict[str, Callable[[EngineProxy], None]] = {"cut": EngineProxy.cut, "gone": EngineProxy.gone}


@pytest.mark.parametrize("at", MOMENTS.values(), ids=list(MOMENTS))
@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_the_engine_breaks_off(
    harm: Callable[[EngineProxy], None], at: int, cli: Program, generator: MakeGenerator, tmp_path: Path
) -> None:
    made = generator()
    made.put(FILES, age=60)
    source = ["--source", f"a={made.name}:/output"]
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.after(at, lambda: harm(proxy))
        done = Program(cli.folder, proxy.host, IMPATIENT)("sync", *source)
    assert "Traceback" not in done.err
    assert done.code in (0, 3, 4) if harm is EngineProxy.cut else done.code in (3, 4), done.err
    assert all(" — " in line["message"] for line in log_lines(done.err) if line["level"] == "error"), done.err
    assert leftovers(cli.library) == []
    assert all(FILES[name] == data for name, data in stored(cli).items())
    cli("sync", *source).ok()
    assert stored(cli) == FILES
    assert leftovers(cli.library) == []


@pytest.mark.parametrize("at", [500, WHOLE // 2], ids=["discovery", "middle"])
def test_the_engine_hangs(at: int, cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put(FILES, age=60)
    source = ["--source", f"a={made.name}:/output"]
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        proxy.after(at, proxy.hang)
        done = Program(cli.folder, proxy.host, IMPATIENT)("sync", *source)
    assert "Traceback" not in done.err
    assert done.code in (3, 4), done.err
    assert leftovers(cli.library) == []
    assert all(FILES[name] == data for name, data in stored(cli).items())
    cli("sync", *source).ok()
    assert stored(cli) == FILES


def test_the_container_goes_while_it_is_read(cli: Program, generator: MakeGenerator, tmp_path: Path) -> None:
    made = generator()
    made.put(FILES, age=60)
    source = ["--source", f"a={made.name}:/output"]
    with EngineProxy(tmp_path / "p.sock", cli.host) as proxy:
        removal = threading.Thread(target=made.close)
        proxy.after(WHOLE // 2, removal.start)
        done = Program(cli.folder, proxy.host, IMPATIENT)("sync", *source)
        removal.join()
    assert "Traceback" not in done.err
    assert done.code in (0, 3), done.err
    assert leftovers(cli.library) == []
    assert all(FILES[name] == data for name, data in stored(cli).items())
