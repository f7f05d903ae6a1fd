"""Which originals may go: the pure decision, rule by rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from sidecar.cleanup.plan import PurgePlan, PurgeRules, RootPlan, limit, plan_root
from sidecar.manifest import Known
from sidecar.media.kinds import Kind
from sidecar.models import NS, FileStat, FileType, Rules, Scan

HOUR = 3600 * NS
NOW = 1_790_856_000 * NS  # 2026-10-01 12:00:00 UTC
OLD = NOW - 48 * HOUR
OWNER = (1000, 1000)
RULES = Rules()
FREE = PurgeRules(keep_newest=0, allow_empty=True)


def original(path: bytes, *, mtime_ns: int = OLD) -> FileStat:
    return FileStat(path, 100, mtime_ns, inode=7, uid=1000, gid=1000)


def record(stat: FileStat, *, generation: int = 1, stored_ns: int = OLD) -> Known:
    return Known(
        1, stat.size, stat.mtime_ns, stat.inode, stat.exact, generation, b"h" * 32, b"gen/" + stat.path, stored_ns
    )


def folders(paths: Iterable[bytes]) -> list[FileStat]:
    above = {b"/".join(p.split(b"/")[:n]) for p in paths for n in range(1, p.count(b"/") + 1)}
    return [FileStat(p, 0, OLD, uid=1000, gid=1000, type=FileType.DIRECTORY) for p in sorted(above)]


def plan(*files: FileStat, known: dict[bytes, Known] | None = None, rules: Rules = RULES, purge: PurgeRules = FREE,
         now_ns: int = NOW, clock_ns: int = NOW) -> RootPlan:  # fmt: skip
    entries = (*folders(f.path for f in files), *files)
    scan = Scan(b"/output", entries, now_ns, "python", owner=OWNER)
    return plan_root(scan, {f.path: record(f) for f in files} if known is None else known, 1, rules, purge, clock_ns)


def why(*files: FileStat, known: dict[bytes, Known] | None = None, rules: Rules = RULES, purge: PurgeRules = FREE,
        now_ns: int = NOW, clock_ns: int = NOW) -> dict[bytes, str]:  # fmt: skip
    """path -> reason to keep, "" for what may go."""
    made = plan(*files, known=known, rules=rules, purge=purge, now_ns=now_ns, clock_ns=clock_ns)
    assert len(made.candidates) + len(made.kept) == len(files)
    return dict(made.kept) | {c.stat.path: "" for c in made.candidates}


def one(stat: FileStat, known: Known | None, rules: Rules = RULES, purge: PurgeRules = FREE) -> str:
    return why(stat, known={stat.path: known} if known else {}, rules=rules, purge=purge)[stat.path]


A = original(b"a.png")


def test_what_is_stored_old_and_unchanged_may_go() -> None:
    (candidate,) = plan(A).candidates
    assert (candidate.stat, candidate.sha256, candidate.library_path) == (A, b"h" * 32, b"gen/a.png")
    assert candidate.owner == OWNER


@pytest.mark.parametrize(
    ("stat", "known", "reason"),
    [
        (A, None, "not stored yet"),
        (replace(A, size=101), record(A), "changed since it was stored"),
        (replace(A, mtime_ns=OLD + 1), record(A), "changed since it was stored"),
        (replace(A, inode=8), record(A), "changed since it was stored"),
        (replace(A, mtime_ns=OLD // NS * NS, exact=False), record(A), ""),
        (replace(A, mtime_ns=OLD + NS, exact=False), record(A), "changed since it was stored"),
        (A, record(A, generation=2), "new generation, not looked at by a sync yet"),
        (replace(A, uid=0), record(A), "foreign owner"),
        (replace(A, type=FileType.LINK), record(A), "a link"),
        (original(b"x.safetensors"), record(original(b"x.safetensors")), "model file"),
        (original(b"x.latent"), record(original(b"x.latent")), "latent"),
        (original(b"log.csv"), record(original(b"log.csv")), "table"),
        (original(b"x.sqlite3"), record(original(b"x.sqlite3")), "database"),
        (original(b"x.glb"), record(original(b"x.glb")), "not a kind that is purged"),
        (original(b".media-sync-0a.png"), record(original(b".media-sync-0a.png")), "private purge name"),
    ],
)
def test_what_is_not_the_file_that_was_stored_stays(stat: FileStat, known: Known | None, reason: str) -> None:
    assert one(stat, known) == reason


@pytest.mark.parametrize(
    ("age_ns", "reason"),
    [
        (-1, "its mtime lies in the future"),
        (-400 * 24 * HOUR, "its mtime lies in the future"),
        (0, "younger than the age limit"),
        (24 * HOUR, "younger than the age limit"),
        (24 * HOUR + 1, ""),
    ],
)
def test_age_is_told_by_the_sources_own_clock(age_ns: int, reason: str) -> None:
    now = NOW + 5 * 60 * NS  # five minutes ahead of ours, which is no reason for alarm
    stat = original(b"a.png", mtime_ns=now - age_ns)
    assert why(stat, now_ns=now) == {b"a.png": reason}


@pytest.mark.parametrize("skew_ns", [HOUR, -HOUR, 10 * 60 * NS + 1])
def test_a_clock_that_jumped_keeps_everything(skew_ns: int) -> None:
    made = plan(A, original(b"b.png"), now_ns=NOW + skew_ns)
    assert made.candidates == ()
    assert made.refused
    assert "clock" in made.refused
    assert dict(made.kept) == {b"a.png": "clock jumped", b"b.png": "clock jumped"}


def test_min_stored_counts_by_our_own_clock() -> None:
    rules = replace(FREE, min_stored_ns=HOUR)
    assert one(A, record(A, stored_ns=NOW - HOUR), purge=rules) == ""
    assert one(A, record(A, stored_ns=NOW - HOUR + 1), purge=rules) == "stored too short a time ago"
    assert one(A, record(A, stored_ns=NOW + 1)) == "stored too short a time ago"  # our clock went back


def test_patterns() -> None:
    files = [original(p) for p in (b"keep/a.png", b"b.png", b"c.webp", b"d.png")]
    assert why(*files, rules=Rules(preserve=("keep/**", "c.*"))) == {
        b"keep/a.png": "preserved by pattern", b"b.png": "", b"c.webp": "preserved by pattern", b"d.png": "",
    }  # fmt: skip
    assert why(*files, rules=Rules(exclude=("b.png",), include=("*.png",))) == {
        b"keep/a.png": "", b"b.png": "not to be pulled any more", b"c.webp": "not to be pulled any more", b"d.png": "",
    }  # fmt: skip


def test_only_kinds_on_the_list_go() -> None:
    files = [original(p) for p in (b"a.png", b"b.mp4", b"c.flac", b"d.txt")]
    gone = {k for k, v in why(*files, purge=replace(FREE, kinds=frozenset((Kind.VIDEO, Kind.TEXT)))).items() if not v}
    assert gone == {b"b.mp4", b"d.txt"}


def newest(keep: int, *paths: bytes) -> set[bytes]:
    """What stays for being the newest of its prefix."""
    found = why(*map(original, paths), purge=replace(FREE, keep_newest=keep))
    assert set(found.values()) <= {"", "newest of its prefix"}
    return {path for path, reason in found.items() if reason}


COMFY = [
    b"ComfyUI_00009_.png",
    b"ComfyUI_00010_.png",
    b"ComfyUI_00011_.png",
    b"x/ComfyUI_00002_.png",
    b"x/flux_00001_.png",
]
FORGE = [b"2026-10-01/00007-1.png", b"2026-10-01/00008-2.png", b"2026-10-01/grid-0003.png", b"2026-10-01/grid-0002.png"]


def test_the_newest_of_each_folder_and_prefix_stays() -> None:
    assert newest(1, *COMFY) == {COMFY[2], COMFY[3], COMFY[4]}
    assert newest(2, *COMFY) == set(COMFY[1:])
    assert newest(3, *COMFY) == set(COMFY)
    assert newest(0, *COMFY) == set()
    assert newest(1, *FORGE) == {FORGE[1], FORGE[2]}
    assert newest(1, b"ComfyUI_99999_.png", b"ComfyUI_100000_.png") == {b"ComfyUI_100000_.png"}
    assert newest(1, b"beach.png", b"IMG_1234.png") == set()  # nobody counts on from these


def test_a_number_counts_whoever_holds_it() -> None:
    latent, picture = original(b"ComfyUI_00012_.latent"), original(b"ComfyUI_00011_.png")
    found = why(latent, picture, purge=replace(FREE, keep_newest=1))
    assert found == {latent.path: "latent", picture.path: ""}  # the counter goes on from the latent
    young = original(b"ComfyUI_00013_.png", mtime_ns=NOW)
    assert why(picture, young, purge=replace(FREE, keep_newest=1))[picture.path] == ""


@pytest.mark.parametrize(
    ("day", "stays"),
    [
        (b"2026-09-29", False),
        (b"2026-09-30", False),
        (b"2026-10-01", True),
        (b"2026-10-02", True),
        (b"2026-13-40", True),
    ],
)
def test_folders_of_past_days_count_no_more(day: bytes, stays: bool) -> None:
    paths = [day + b"/00001-5.png", day + b"/00002-6.png"]
    assert newest(1, *paths) == ({paths[1]} if stays else set())


def test_yesterday_may_be_today_elsewhere() -> None:
    path = b"2026-09-30/00002-6.png"
    early = NOW - 11 * HOUR  # 01:00 UTC: still the 30th in the Americas
    files = [original(path, mtime_ns=early - 30 * HOUR)]
    found = why(*files, now_ns=early, clock_ns=early, purge=replace(FREE, keep_newest=1))
    assert found == {path: "newest of its prefix"}


def test_companions_go_together_or_not_at_all() -> None:
    files = [original(b"v_00001.png"), original(b"v_00001.mp4"), original(b"v_00001-audio.mp4", mtime_ns=NOW - HOUR)]
    assert why(*files, original(b"w_00001.png"), original(b"w_00001.txt")) == {
        b"v_00001.png": "belongs to a file that stays",
        b"v_00001.mp4": "belongs to a file that stays",
        b"v_00001-audio.mp4": "younger than the age limit",
        b"w_00001.png": "",
        b"w_00001.txt": "",
    }
    text, picture = original(b"a.txt"), original(b"a.png")
    known = {b"a.png": record(picture)}
    assert why(text, picture, known=known)[b"a.png"] == "belongs to a file that stays"  # its text is not stored yet


def test_the_owner_of_each_folder_counts() -> None:
    theirs = original(b"root/a.png")
    scan = Scan(
        b"/o", (FileStat(b"root", 0, OLD, uid=0, gid=0, type=FileType.DIRECTORY), theirs, A), NOW, "sh", (), OWNER
    )
    made = plan_root(scan, {f.path: record(f) for f in (theirs, A)}, 1, RULES, FREE, NOW)
    assert dict(made.kept) == {b"root/a.png": "foreign owner"}
    nobody = Scan(b"/o", (A,), NOW, "archive")
    assert dict(plan_root(nobody, {A.path: record(A)}, 1, RULES, FREE, NOW).kept) == {A.path: "foreign owner"}


def test_emptying_a_folder_needs_a_word() -> None:
    strict = replace(FREE, allow_empty=False)
    many = [original(b"%d.png" % n) for n in range(21)]
    assert plan(*many[:20], purge=strict).refused is None
    assert plan(*many, purge=strict).refused == "all 21 files would go; give --allow-empty if that is meant"
    assert plan(*many, original(b"placeholder"), original(b"m.ckpt"), purge=strict).refused  # no pictures are left
    assert plan(*many, original(b"young.png", mtime_ns=NOW), purge=strict).refused is None
    assert plan(*many, purge=FREE).refused is None


def test_limits_are_about_the_whole_run() -> None:
    def plans() -> list[PurgePlan]:
        young = [original(b"y%d.png" % n, mtime_ns=NOW) for n in range(4)]
        return [
            PurgePlan("a", (plan(original(b"1.png"), original(b"2.png")), plan(original(b"3.png"), *young))),
            PurgePlan("b", (plan(original(b"1.png"), original(b"2.png"), original(b"3.png")),)),
            PurgePlan("c", (plan(*(original(b"%d.png" % n) for n in range(9))),), refused="paused"),
        ]

    def after(rules: PurgeRules) -> list[str | None]:
        made = plans()
        limit(made, rules)
        return [p.refused for p in made]

    free = [None, None, "paused"]
    assert after(FREE) == after(replace(FREE, max_count=6)) == after(replace(FREE, max_percent=60)) == free
    count = "6 files would go, purge.max_delete allows 5"
    assert after(replace(FREE, max_count=5)) == [count, count, "paused"]
    share = "6 of 10 files would go, purge.max_delete allows 59.9 %"
    assert after(replace(FREE, max_percent=59.9)) == [share, share, "paused"]


def test_what_a_required_sink_lacks_stays_and_keeps_its_companions() -> None:
    files = [original(b"a.png"), original(b"a.txt"), original(b"b.png")]
    known = {f.path: replace(record(f), file_id=number) for number, f in enumerate(files, 1)}
    scan = Scan(b"/output", tuple(files), NOW, "python", owner=OWNER)
    made = plan_root(scan, known, 1, RULES, FREE, NOW, {1: "pg"})
    assert dict(made.kept) == {b"a.png": "not delivered to pg yet", b"a.txt": "belongs to a file that stays"}
    assert [c.stat.path for c in made.candidates] == [b"b.png"]
    young = plan_root(scan, known, 1, Rules(older_than_ns=72 * HOUR), FREE, NOW, {1: "pg"})
    assert set(dict(young.kept).values()) == {"younger than the age limit"}, (
        "what everybody has to wait for comes first"
    )
