"""A source's report is the sum of its roots' reports."""

from __future__ import annotations

from dataclasses import fields

from sidecar.models import Problem, Road
from sidecar.sync.report import SyncReport

OF_THE_SOURCE = {"name", "container", "root", "transport", "seconds", "error"}


def test_every_count_of_every_root_is_in_the_sum() -> None:
    part = SyncReport("gen", "comfy", "", "docker")
    for number, one in enumerate(fields(SyncReport), 1):
        if one.name == "road":
            part.road = {road: number + at for at, road in enumerate(Road)}
        elif one.name not in OF_THE_SOURCE:
            is_list = isinstance(getattr(part, one.name), list)
            setattr(part, one.name, [Problem(one.name.encode(), "why")] if is_list else number)
    whole = SyncReport("gen", "comfy", "/a;/b", "docker")
    whole.add(part)
    whole.add(part)
    assert (whole.root, whole.error) == ("/a;/b", None)
    for one in fields(SyncReport):
        if one.name == "road":
            assert whole.road == {road: 2 * count for road, count in part.road.items()}
        elif one.name not in OF_THE_SOURCE:
            assert getattr(whole, one.name) == 2 * getattr(part, one.name), one.name
