"""What the API says of jobs and sources: no secret that a reason quotes."""

from __future__ import annotations

import dataclasses
import json

from pydantic_core import PydanticUndefined

from sidecar.api import views
from sidecar.jobs.job import Action, Cause, JobState, JobView, Request
from sidecar.jobs.patience import Slowed
from sidecar.progress import Snapshot, SourceProgress
from sidecar.telling.jobs import ProgressShape, SourceProgressShape, job

SECRET = "hunter2hunter2"
WHY = f"cannot reach ssh://root:{SECRET}@box: no route"
VIEW = JobView(
    "j", Request(Action.RUN, Cause.API), JobState.PARTLY, 1, 2, 3,
    {"sync": [{"name": "a", "problems": [{"path": "token=is_a_name.png", "reason": WHY}]}],
     "purge": [{"name": "a", "refused": WHY, "error": None, "files": [{"path": "b.png", "reason": WHY}]}]},
    WHY,
)  # fmt: skip


def test_jobs_and_sources_tell_no_secret() -> None:
    told = json.dumps([job(VIEW).model_dump(), views.sources(None, [], {"a": Slowed(3, 5, WHY)}, {}), views._slowed(
        Slowed(3, 5, WHY))])  # fmt: skip
    assert SECRET not in told
    assert "token=is_a_name.png" in told, "a file has the name that it has"


def test_progress_goes_over_the_wire_whole() -> None:
    def fields(of: type) -> dict[str, object]:
        return {one.name: None if one.default is dataclasses.MISSING else one.default for one in dataclasses.fields(of)}

    source = fields(SourceProgress)
    assert {name: one.default for name, one in SourceProgressShape.model_fields.items()} == source | {
        "name": PydanticUndefined}  # fmt: skip
    assert ProgressShape.model_fields.keys() == fields(Snapshot).keys() - {"action", "job"}
