"""Which containers are sources: from the operator's settings, the containers' labels, and what an engine tells of them.

Decisions are made on `docker inspect` answers alone; the one look into a container goes through the probe.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from sidecar.config import Settings, SourceSettings, near, source_name
from sidecar.errors import EngineUnreachable, MediaSyncError, RootMissing
from sidecar.models import LeftOut, Rules, Source
from sidecar.transports.base import Discovery
from sidecar.transports.docker.inspected import Container
from sidecar.transports.docker.labels import ENABLE, ENABLE_HINT, Wish, narrow, read_labels
from sidecar.transports.docker.roots import Probe, find_roots
from sidecar.values import dataclass

_STATES = ("running", "paused", "restarting", "exited", "created", "unknown")  # best first
_GOING = ("removing", "dead")


@dataclass(frozen=True, slots=True)
class _Ask:
    """One container that is wanted as a source. `settings` is None where only its labels ask for it."""

    name: str
    container: Container
    wish: Wish
    settings: SourceSettings | None = None


@dataclass(slots=True)
class _Notes:
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def leave(self, name: str, container: str, reason: str, hint: str = "", *, faulty: bool = False) -> None:
        self.left_out.append(LeftOut(name, container, reason, hint, faulty))


async def discover(
    settings: Settings, inspects: Iterable[Mapping[str, Any]], probe: Probe, *, own: str = ""
) -> Discovery:
    """Resolve all sources against the containers that there are. `own` is the sidecar's own container ID, or "".

    One container that cannot be used never hides the others: it is left out with its reason. Raises
    EngineUnreachable when the probe does.
    """
    notes = _Notes()
    containers = [container for container in map(Container.of, inspects)
                  if container.id and not (own and container.id.startswith(own))]  # fmt: skip
    wishes = {container.id: read_labels(container.name, container.labels) for container in containers}
    asks, claimed = _named(settings, containers, wishes, notes)
    rest = [container for container in containers if container.id not in claimed]
    asks += _labelled(settings, rest, wishes, {ask.name: ask for ask in asks}, notes)
    sources = []
    for ask in asks:
        source = await _resolve(ask, settings, probe, notes)
        if source is not None:
            sources.append(source)
    return Discovery(
        tuple(sorted(_careful(sources, notes), key=lambda source: source.name)),
        tuple(sorted(notes.left_out, key=lambda left: (left.name, left.container, left.reason))),
        tuple(dict.fromkeys(notes.warnings)),
    )


def _careful(sources: Sequence[Source], notes: _Notes) -> list[Source]:
    """Sources that see one folder keep what any of them keeps: deleting it in one deletes it in all."""
    careful = []
    for source in sources:
        rules = source.rules
        for other in sources:
            if other is not source and _overlap(source.places, other.places):
                rules = replace(
                    rules,
                    preserve=tuple(dict.fromkeys((*rules.preserve, *other.rules.preserve))),
                    older_than_ns=max(rules.older_than_ns, other.rules.older_than_ns),
                    purge=rules.purge and other.rules.purge,
                )
                names = " and ".join(sorted((source.name, other.name)))
                notes.warnings.append(f"sources {names} share a folder: what one of them keeps, both keep")
        careful.append(replace(source, rules=rules))
    return careful


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    return any(a == b or a.startswith(b + "/") or b.startswith(a + "/") for a in some for b in others)


def _named(
    settings: Settings, containers: Sequence[Container], wishes: Mapping[str, Wish], notes: _Notes
) -> tuple[list[_Ask], set[str]]:
    """The sources that settings name, and the IDs of every container that they speak of."""
    asks: list[_Ask] = []
    claimed: set[str] = set()
    for name, source in settings.sources.items():
        target = source.container or source.service or source.label or ""
        found = _matching(source, containers)
        claimed |= {container.id for container in found}
        if not source.enabled:
            notes.leave(name, target, "switched off in the settings", f"set sources.{name}.enabled=true to use it")
        elif not found:
            notes.leave(name, target, f"no such container: {target}", _names_hint(target, containers), faulty=True)
        elif source.container and len({c.id for c in found}) > 1 and not _same_service(source.container, found):
            several = ", ".join(sorted(container.name for container in found))
            notes.leave(name, target, f"{target} begins the IDs of several containers: {several}",
                        "write more of the ID, or the name", faulty=True)  # fmt: skip
        else:
            best = _best(name, found, notes)
            asks.append(_Ask(name, best, wishes[best.id], source))
    return asks, claimed


def _labelled(
    settings: Settings,
    containers: Sequence[Container],
    wishes: Mapping[str, Wish],
    taken: Mapping[str, _Ask],
    notes: _Notes,
) -> list[_Ask]:
    """The sources that labels ask for; containers that look like generators and do not ask are left out by name."""
    by_name: dict[str, list[Container]] = {}
    for container in containers:
        wish, name = wishes[container.id], default_name(container, wishes[container.id])
        if wish.enable and settings.docker.labels:
            by_name.setdefault(name, []).append(container)
        else:
            _left_alone(container, wish, name, notes, labels=settings.docker.labels, named=bool(settings.sources))
    asks = []
    for name, found in by_name.items():
        if name in taken:
            other = taken[name].container.name
            for container in found:
                notes.leave(name, container.name, f"the settings give the name {name} to container {other}",
                            "give one of them another name with the label media-sync.name", faulty=True)  # fmt: skip
        else:
            best = _best(name, found, notes)
            asks.append(_Ask(name, best, wishes[best.id]))
    return asks


def _left_alone(container: Container, wish: Wish, name: str, notes: _Notes, *, labels: bool, named: bool) -> None:
    """Say why a container is no source, if anybody could have thought that it is one.

    Where labels are not followed and sources are `named`, everything else is none of our business.
    """
    looks = bool(container.guess_kind()) and not container.is_sidecar
    if named and not labels:
        return
    notes.warnings.extend(wish.warnings)
    if wish.enable is False:
        notes.leave(name, container.name, f"label {ENABLE}=false", "set it to true to pull from it")
    elif not labels and (looks or wish.any):
        notes.leave(name, container.name, "labels are not followed, and no source names it",
                    f"name it with --source {name}={container.name}, or in the settings' sources")  # fmt: skip
    elif bad := [problem for problem in wish.problems if problem[0].startswith(f"label {ENABLE}:")]:
        notes.leave(name, container.name, *bad[0], faulty=True)
    elif looks or wish.any:
        notes.leave(name, container.name, f"no label {ENABLE}=true", ENABLE_HINT)


async def _resolve(ask: _Ask, settings: Settings, probe: Probe, notes: _Notes) -> Source | None:
    """One source, with its roots looked at; None with a note where it cannot be one."""
    container, wish = ask.container, ask.wish
    notes.warnings.extend(wish.warnings)
    for reason, hint in wish.problems:
        notes.leave(ask.name, container.name, reason, hint, faulty=True)
    if wish.problems:
        return None
    if wish.enable is False:
        notes.leave(ask.name, container.name, f"label {ENABLE}=false",
                    f"remove the label, or sources.{ask.name}", faulty=True)  # fmt: skip
        return None
    if container.state in _GOING:
        notes.leave(ask.name, container.name, f"is {container.state}", "wait for its successor", faulty=True)
        return None
    kind = (ask.settings.kind if ask.settings else None) or wish.kind or container.guess_kind()
    explicit = (ask.settings.path if ask.settings else ()) or wish.path
    try:
        roots = await find_roots(container, kind, explicit, probe)
    except EngineUnreachable:
        raise
    except MediaSyncError as error:
        hint = f"{error.hint} with {_path_key(ask)}" if isinstance(error, RootMissing) and not explicit else error.hint
        notes.leave(ask.name, container.name, str(error), hint, faulty=True)
        return None
    rules, unheard = narrow(operator_rules(settings, ask.settings), wish, container.name)
    notes.warnings.extend((*roots.warnings, *unheard))
    return Source(
        name=ask.name,
        kind=kind or roots.kind or "custom",
        transport="docker",
        generation=container.id,
        container=container.name,
        roots=roots.paths,
        state=container.state,
        rules=rules,
        mounts=roots.mounts,
        places=roots.places,
        group=(ask.settings.group if ask.settings else "") or wish.group,
    )


def operator_rules(settings: Settings, source: SourceSettings | None) -> Rules:
    """What the operator allows for one source: its own keys over the general ones, protections added up."""
    own = source or SourceSettings(container="any")
    return Rules(
        include=own.include or settings.sync.include,
        exclude=tuple(dict.fromkeys((*settings.sync.exclude, *own.exclude))),
        preserve=tuple(dict.fromkeys((*settings.purge.preserve, *own.preserve))),
        older_than_ns=settings.purge.older_than if own.older_than is None else own.older_than,
        purge=own.purge,
    )


def default_name(container: Container, wish: Wish) -> str:
    """A source's name where the operator gave none: the label, else the compose service, else the container's name.

    Only the label is the user's own word, so only there is a bad name an error; the others are made to fit.
    """
    if wish.name:
        return wish.name
    raw = container.service or container.name or container.id[:12]
    text = re.sub(r"[^a-z0-9._-]", "-", raw.lower()).lstrip("._-")
    if len(text) > 63:
        text = f"{text[:54]}-{hashlib.sha256(raw.encode()).hexdigest()[:8]}"
    return source_name(text or container.id[:12])


def _matching(source: SourceSettings, containers: Sequence[Container]) -> list[Container]:
    """The containers that a source's target fits: by exact name, else ID, else compose service."""
    if source.label:
        key, given, value = source.label.partition("=")
        return [c for c in containers if key in c.labels and (not given or c.labels[key] == value)]
    if source.service:
        return _by_service(source.service, containers)
    target = source.container or ""
    if named := [c for c in containers if c.name == target]:
        return named
    if re.fullmatch(r"[0-9a-f]{4,64}", target) and (found := [c for c in containers if c.id.startswith(target)]):
        return found
    return _by_service(target, containers)


def _by_service(target: str, containers: Sequence[Container]) -> list[Container]:
    project, slash, service = target.rpartition("/")
    return [c for c in containers if c.service == service and service and (not slash or c.project == project)]


def _same_service(target: str, found: Sequence[Container]) -> bool:
    return all(container.service == target.rpartition("/")[2] for container in found)


def _best(name: str, found: Sequence[Container], notes: _Notes) -> Container:
    """The container that stands for a source now: running before stopped, then the newest."""

    def rank(container: Container) -> tuple[int, float]:
        place = _STATES.index(container.state) if container.state in _STATES else len(_STATES)
        return place, -container.created.timestamp() if container.created.year > 1 else 0.0

    best, *others = sorted(found, key=rank)
    for other in others:
        alive = other.state in ("running", "paused", "restarting")
        why = "is newer" if other.state == best.state else f"is {best.state}"
        hint = "give it a name of its own with the label media-sync.name" if alive else ""
        notes.leave(name, other.name, f"source {name} is container {best.name}, which {why}", hint, faulty=alive)
    return best


def _names_hint(target: str, containers: Sequence[Container]) -> str:
    names = sorted({name for c in containers for name in (c.name, c.service) if name})
    listed = f"there are {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else "there are none at all"
    return near(target, names) or listed


def _path_key(ask: _Ask) -> str:
    return f"sources.{ask.name}.path" if ask.settings else "the label media-sync.path"
