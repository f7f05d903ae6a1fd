"""The API is what /openapi.json says: made-up requests, right and wrong ones, get documented answers and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from generators import media
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from sidecar.api.problems import MEDIA_TYPE
from tests.api.running import CONTROL, Api

EXAMPLES = 5  # made-up requests for each operation


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sidecar.api.throttle.FAILURES", 10**6)  # wrong tokens are made up, too, and from one address
        with Api(tmp_path_factory.mktemp("described")) as made:
            for n in range(3):
                made.store("gen", b"%d.png" % n, media.tiny_png(n))
            yield made


def test_every_answer_is_documented(api: Api) -> None:
    """Statuses, types, bodies and headers are as described, wrong requests are refused, right ones are not."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{api.port}/openapi.json")
    tried: set[str] = set()
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    for operation in operations:
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
                continue  # there is nothing to get wrong

            @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Case[Any]) -> None:
                case.call_and_validate(headers={"Authorization": f"Bearer {CONTROL}"})
                tried.add(case.operation.label)

            check()
    assert tried == {operation.label for operation in operations}
    assert len(operations) == schema.statistic.operations.total, "one of them is not valid"


def test_every_operation_is_described_in_full(api: Api) -> None:
    found = api.ask("/openapi.json").json
    assert set(found["paths"]) >= {
        "/livez", "/readyz", "/metrics", "/api/v1/status", "/api/v1/sources", "/api/v1/jobs", "/api/v1/jobs/{id}",
        "/api/v1/items", "/api/v1/items/{hash}/content", "/api/v1/items/{hash}/thumbnail",
        "/api/v1/items/{hash}/metadata", "/api/v1/purge/preview", "/api/v1/session", "/api/v1/events/schema",
    }  # fmt: skip
    names = set()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["operationId"] not in names, where
            names.add(operation["operationId"])
            for status, answer in operation["responses"].items():
                assert answer["description"], where
                if status[0] in "45" and not (path == "/readyz" and status == "503"):
                    problem = answer["content"][MEDIA_TYPE]
                    assert problem["example"]["status"] == int(status), where
            free = path in ("/livez", "/readyz") or (path, method) == ("/api/v1/session", "post")
            assert ("security" in operation) != free, where
            if not free:
                assert {"401", "403", "429"} <= set(operation["responses"]), where


def test_what_deletes_without_a_preview_is_said(api: Api) -> None:
    found = api.ask("/openapi.json").json
    told = found["components"]["schemas"]["JobAsked"]["properties"]["action"]["description"]
    for said in (told, found["paths"]["/api/v1/jobs"]["post"]["description"]):
        assert "purge.enabled" in said
        assert "without a preview" in said.replace("\n", " ")
