"""What a job's record keeps of long lists."""

from __future__ import annotations

from sidecar.cleanup.report import PurgeReport
from sidecar.errors import StreamBroken
from sidecar.jobs.report import LISTED, JobReport
from sidecar.models import Problem
from sidecar.sync.report import SyncReport
from sidecar.verify import VerifyReport


def test_long_lists_are_cut_and_say_so() -> None:
    sync = SyncReport("a", "c", "/o", "docker", error=StreamBroken("it broke off"))
    sync.skipped = [Problem(b"%d" % n, "no") for n in range(1000)]
    purge = PurgeReport("a")
    for n in range(1000):
        purge.keep(b"%d" % n, "young")
    purge.fail(b"bad", "failed", "stayed")
    told = JobReport("j", "run", [sync], [purge]).summary("")["result"]
    pulled, purged = told["sync"][0], told["purge"][0]
    assert (pulled["problems"][0]["path"], len(pulled["problems"]), pulled["problems_more"]) == ("", LISTED + 1, 900)
    assert (purged["files"][0]["path"], len(purged["files"]), purged["files_more"]) == ("bad", LISTED, 901)
    assert (pulled["skipped"], purged["kept"]) == (1000, {"young": 1000}), "all are counted"
    whole = JobReport("j", "run", [sync], [purge]).as_json()
    assert len(whole["purge"][0]["files"]) == 1001
    assert "files_more" not in whole["purge"][0]
    assert len(whole["sync"][0]["problems"]) == 1001
    checked = VerifyReport("a", missing=1000, problems=[(b"x", "missing")] * 1000)
    assert checked.as_json(LISTED)["problems_more"] == 900
