"""Commands that look and change nothing: `sources` and `doctor`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.cli import tables
from sidecar.cli.context import Context, run_async
from sidecar.cli.exits import Exit, common_code
from sidecar.config import Loaded
from sidecar.doctor import examine
from sidecar.errors import Refused
from sidecar.models import Check, Source, Verdict, shown
from sidecar.transports import open_providers
from sidecar.transports.base import SourceProvider

SOURCE = "source "  # what the names of checks of one source begin with


def sources(context: Context) -> Exit:
    """The sources, and what was left out and why."""
    found = run_async(find_sources(context.loaded, os.environ))
    context.show(found, lambda: sources_text(found))
    if not any(left["faulty"] for left in found["left_out"]):
        return Exit.DONE
    return Exit.PARTLY if found["sources"] else Exit.USAGE


def doctor(context: Context) -> Exit:
    """Engine, folders, clocks and sources, checked."""
    checks = run_async(examine_all(context.loaded, os.environ))
    rows = [{"name": c.name, "verdict": c.verdict.value, "detail": c.detail, "hint": c.hint} for c in checks]
    context.show({"ok": all(c.error is None for c in checks), "checks": rows}, lambda: doctor_text(checks))
    return doctor_exit(checks)


async def find_sources(loaded: Loaded, env: Mapping[str, str]) -> dict[str, Any]:
    """Every source and what it allows, and every candidate that was left out. Raises EngineUnreachable."""
    found: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    warnings: list[str] = []
    for provider in open_providers(loaded, env):
        try:
            discovery = await provider.discover()
            found += [await _described(provider, source) for source in discovery.sources]
            left_out += [
                {"name": left.name, "container": left.container, "reason": left.reason, "hint": left.hint,
                 "faulty": left.faulty}
                for left in discovery.left_out
            ]  # fmt: skip
            warnings += discovery.warnings
        finally:
            await provider.close()
    return {"sources": found, "left_out": left_out, "warnings": warnings}


async def _described(provider: SourceProvider, source: Source) -> dict[str, Any]:
    adapter = await provider.adapter(source)
    try:
        able = await adapter.prepare()
    finally:
        await adapter.close()
    mounts = source.mounts or ("",) * len(source.roots)
    return {
        "name": source.name,
        "kind": source.kind,
        "transport": source.transport,
        "container": source.container,
        "generation": source.generation,
        "state": source.state,
        "roots": [{"path": shown(r), "mount": m} for r, m in zip(source.roots, mounts, strict=True)],
        "scanner": able.scanner,
        "purge": able.purge and source.rules.purge,
        "why_not_purge": able.why_not_purge or ("" if source.rules.purge else "switched off for this source"),
        "group": source.group,
    }


def sources_text(found: dict[str, Any]) -> str:
    """The table of sources, then what was left out."""
    head = ("source", "kind", "container", "generation", "state", "root", "mount", "scanner", "purge")
    rows = [
        (s["name"] if n == 0 else "", s["kind"], s["container"], s["generation"][:12], s["state"], root["path"],
         root["mount"], s["scanner"], "yes" if s["purge"] else s["why_not_purge"])
        for s in found["sources"] for n, root in enumerate(s["roots"])
    ]  # fmt: skip
    parts = [tables.table(head, rows, minor=("generation", "kind")) if rows else "no source found"]
    if found["left_out"]:
        parts += ["", "left out:"]
        for left in found["left_out"]:
            hint = f" — {left['hint']}" if left["hint"] else ""
            parts.append(f"  {left['container'] or left['name']}: {left['reason']}{hint}")
    parts += [f"warning: {warning}" for warning in found["warnings"]]
    return "\n".join(parts)


async def examine_all(loaded: Loaded, env: Mapping[str, str]) -> list[Check]:
    """All checks of the doctor."""
    return [check async for check in examine(loaded, env)]


def doctor_text(checks: Sequence[Check]) -> str:
    """A line per check; what to do stands under what is not well."""
    lines = []
    for check in checks:
        lines.append(f"{check.verdict.value:4}  {check.name}: {check.detail}")
        if check.hint and check.verdict is not Verdict.OK:
            lines.append(f"      {check.hint}")
    return "\n".join(lines)


def doctor_exit(checks: Sequence[Check]) -> Exit:
    """The code that a run would end with."""
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    if not failed:
        return Exit.DONE
    for check in failed:
        if not check.name.startswith(SOURCE):
            return common_code([check.error or Refused(check.detail)])
    return common_code([c.error if c.verdict is Verdict.FAIL else None for c in checks if c.name.startswith(SOURCE)])
