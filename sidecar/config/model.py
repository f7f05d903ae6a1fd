"""The settings: every key, its default, and the sentence that explains it in `.env.example` and the README.

Lengths of time are stored as int ns, sizes as int bytes. All models are frozen and know no layer: `load` feeds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from sidecar.config import timing, units
from sidecar.config.addresses import place_of, web_url
from sidecar.config.ingest import IngestSettings
from sidecar.config.section import Section, Switch, name_of
from sidecar.config.units import DAY, HOUR, MINUTE, Percent, Wrong, quoted
from sidecar.events import TYPES as EVENT_TYPES
from sidecar.events import EventType
from sidecar.models import NS
from sidecar.patterns import matches
from sidecar.values import dataclass

KINDS = ("comfyui", "forge", "a1111", "custom")
TYPES = ("images", "video", "audio", "companions")
TARGETS = ("container", "service", "label")  # a source names what it stands for by exactly one of these
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST_HINT = "write it like unix:///var/run/docker.sock or tcp://host:2376"
_SSH_HINT = "forward its socket, `ssh -NL ./far.sock:/var/run/docker.sock user@host`, and name it as unix:///…/far.sock"
_HOST_NAME = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])"
_LISTEN = re.compile(rf"(?P<host>{_HOST_NAME}):(?P<port>[0-9]{{1,5}})")
_ALLOWED_HOST = re.compile(rf"{_HOST_NAME}(?::[0-9]{{1,5}})?")
_ORIGIN = re.compile(rf"https?://{_HOST_NAME}(?::[0-9]{{1,5}})?")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")
_NO_SCHEME = re.compile(r"[A-Za-z0-9_.@-]+(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Shown:
    """How a field's stored value is written as text; carried in the field's annotation."""

    text: Callable[[Any], str]


def source_name(value: object) -> str:
    """A source's name in lower case, so that two names never differ by case alone on a disk that ignores it."""
    return name_of(value, "source")


def root_path(value: str) -> str:
    """An absolute, normal path of a folder inside a container; `/` and what climbs are refused."""
    parts = value.split("/")
    if not value.startswith("/") or "\0" in value:
        raise Wrong(f"{quoted(value)} is not an absolute path", "write the folder's full path in the container")
    if ".." in parts:
        raise Wrong(f"{quoted(value)} climbs with ..", "write the folder's full path in the container")
    normal = [part for part in parts if part not in ("", ".")]
    if not normal or normal[0] in ("proc", "sys", "dev"):
        raise Wrong(f"{quoted(value)} cannot be an output folder", "name the folder that holds the images")
    if normal[-1] == "temp":
        raise Wrong(f"{quoted(value)} is a folder for temporary files, never output", "name the output folder")
    return "/" + "/".join(normal)


def _root_paths(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(root_path(path) for path in units.parse_list(value)))


def _container(value: object) -> str:
    text = units.parse_text(value).removeprefix("/")
    project, _, name = text.rpartition("/")
    if not _CONTAINER.fullmatch(name) or not (project == "" or _CONTAINER.fullmatch(project)):
        raise Wrong(f"{quoted(value)} cannot be a container", "name a container, an ID, a service or project/service")
    return text


def engine_url(value: object) -> str:
    """The address of an engine: unix, tcp, http or https."""
    text = units.parse_text(value)
    if _NO_SCHEME.fullmatch(text):  # no login can be in it, so it need not be masked
        raise Wrong(f"{quoted(text)} is not an engine's address", _HOST_HINT)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Wrong(f"{quoted(redacted(text))} is not an engine's address", _HOST_HINT) from None
    if text.startswith("/"):
        raise Wrong(f"{quoted(text)} is a path, not an engine's address", f"write unix://{text}")
    if parts.scheme == "ssh":
        raise Wrong(f"{quoted(redacted(text))}: an engine cannot be reached over ssh yet", _SSH_HINT)
    named = parts.path.startswith("/") if parts.scheme == "unix" else host
    if parts.scheme not in ("unix", "tcp", "http", "https") or not named:
        raise Wrong(f"{quoted(redacted(text))} is not an engine's address", _HOST_HINT)
    return text


def redacted(value: str) -> str:
    """A secret as it may be shown: an address without its password, anything else as `***`."""
    if "://" not in value:
        return "***" if value else ""
    scheme, _, rest = value.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{host}"


def globs(value: object) -> tuple[str, ...]:
    """Globs that sidecar.patterns can match with."""
    found = units.parse_list(value)
    for glob in found:
        try:
            matches(b"", (glob,))
        except (re.error, UnicodeError):
            raise Wrong(f"{quoted(glob)} is not a glob", "write it like *.png or previews/**") from None
    return found


_optional_duration = units.optional(units.parse_duration)


def listen_address(value: object) -> str:
    """Where a server listens, as `host:port`; an IPv6 address stands in brackets."""
    text = units.parse_text(value)
    found = _LISTEN.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise Wrong(f"{quoted(value)} is not an address to listen on",
                    "write it like 127.0.0.1:8787, 0.0.0.0:8787 or [::1]:8787")  # fmt: skip
    return text.lower()


def _secret(value: object) -> str:
    """A token: long enough that nobody guesses it, and of characters that travel in a header as they are."""
    text = units.parse_text(value)
    if not _TOKEN.fullmatch(text):  # not quoted back: it may be somebody's password
        raise Wrong("is not a token", "write 16 to 256 letters, digits or any of - . _ ~ + / =")
    return text


def _hosts(value: object) -> tuple[str, ...]:
    found = units.parse_list(value.replace(",", ";") if isinstance(value, str) else value)
    for host in found:
        if not _ALLOWED_HOST.fullmatch(host):
            raise Wrong(f"{quoted(host)} is not a host", "write it like nas.lan or nas.lan:8787, without http://")
    return tuple(dict.fromkeys(host.lower() for host in found))


def _origins(value: object) -> tuple[str, ...]:
    found = units.parse_list(value.replace(",", ";") if isinstance(value, str) else value)
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise Wrong(f"{quoted(origin)} is not an origin", "write it like https://media.example, without a path")
    return tuple(dict.fromkeys(origin.lower() for origin in found))


Duration = Annotated[int, BeforeValidator(units.parse_duration), Shown(units.format_duration)]
MaybeDuration = Annotated[
    int | None,
    BeforeValidator(_optional_duration),
    Shown(lambda ns: "" if ns is None else units.format_duration(ns)),
]
MaybePause = Annotated[
    int | None,
    BeforeValidator(units.optional(timing.pause)),
    Shown(lambda ns: "" if ns is None else units.format_duration(ns)),
]
MaybeTiming = Annotated[
    timing.Timing | None,
    BeforeValidator(units.optional(timing.parse_timing)),
    Shown(lambda when: "" if when is None else str(when)),
]
Size = Annotated[int, BeforeValidator(units.parse_size), Shown(units.format_size)]
Globs = Annotated[tuple[str, ...], BeforeValidator(globs)]
Roots = Annotated[tuple[str, ...], BeforeValidator(_root_paths)]
Folder = Annotated[Path, BeforeValidator(lambda value: Path(units.parse_text(str(value))))]
Text = Annotated[str | None, BeforeValidator(units.optional(units.parse_text))]
Secret = Annotated[str | None, BeforeValidator(units.optional(_secret))]
WebUrl = Annotated[
    str | None,
    BeforeValidator(units.optional(web_url)),
    Shown(lambda url: "" if url is None else f"{place_of(url)}/***"),
]


class LogSettings(Section):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(units.choice("debug", "info", "warning", "error"))
    ] = Field("info", description="Least important lines that are logged: debug, info, warning or error.")
    format: Annotated[Literal["auto", "text", "json"], BeforeValidator(units.choice("auto", "text", "json"))] = Field(
        "auto", description="How log lines look: text, json, or auto (text on a terminal, json elsewhere)."
    )
    summary_every: MaybePause = Field(HOUR, description="How often `serve` logs a summary; none: never.")


class SyncSettings(Section):
    """How files are pulled."""

    settle: Duration = Field(2 * NS, description="How long a file must stay unchanged before it is pulled.")
    settle_incomplete: Duration = Field(
        10 * MINUTE, description="After this long without change, a file that lacks its format's end is pulled anyway."
    )
    max_freeze: Duration = Field(
        NS // 4, description="Longest time that one read may hold the engine's lock on a generator's container."
    )
    parallel: Annotated[int, BeforeValidator(units.whole(1, 64))] = Field(
        2, description="How many reads run at the same time."
    )
    include: Globs = Field((), description="Pull only files that match one of these globs (; between several).")
    exclude: Globs = Field((), description="Never pull files that match one of these globs (; between several).")
    watch: Switch = Field(
        True, description="Whether `serve` watches running containers and pulls each file as soon as it settled."
    )
    full_scan_every: Duration = Field(
        60 * MINUTE, description="How often every file is looked at, also in folders left alone; 0s is in each pass."
    )
    stall_timeout: Duration = Field(10 * NS, description="A read that delivers nothing for this long is cut off.")
    group_files: Annotated[int, BeforeValidator(units.whole(1, 100_000))] = Field(
        1024, description="Most files that are committed to disk and manifest together."
    )
    group_bytes: Size = Field(64 * 2**20, description="Most bytes that are committed to disk and manifest together.")


class PurgeSettings(Section):
    """When originals may be deleted."""

    enabled: Switch = Field(False, description="Whether `run` and `serve` purge after syncing.")
    older_than: Duration = Field(DAY, description="Only originals at least this old are deleted.")
    min_stored: Duration = Field(0, description="Only originals stored in the library for at least this long go.")
    keep_newest: Annotated[int, BeforeValidator(units.whole(0, 1_000_000))] = Field(
        1, description="How many of the highest numbers of each folder and prefix stay, so that counters go on."
    )
    max_delete: Annotated[int | Percent | None, BeforeValidator(units.optional(units.parse_limit))] = Field(
        None, description="Refuse a purge of more files than this count or percentage (500, 50%); unset is no limit."
    )
    preserve: Globs = Field((), description="Never delete originals that match one of these globs (; between several).")
    remove_empty_dated: Switch = Field(False, description="Whether emptied folders named for a past date are removed.")
    types: Annotated[
        tuple[Literal["images", "video", "audio", "companions"], ...], BeforeValidator(units.choices(*TYPES))
    ] = Field(("images", "video", "audio", "companions"), description="Media types that may be deleted.")


class DockerSettings(Section):
    """How the engine is used."""

    pull_only: Switch = Field(
        False, description="Never POST to the engine: no agent, no purge, for proxies that allow reading alone."
    )
    labels: Switch = Field(True, description="Whether containers labelled media-sync.enable=true become sources.")
    timeout: Duration = Field(10 * NS, description="How long one answer of the engine may take.")


class ScheduleSettings(Section):
    """When `serve` works."""

    every: MaybePause = Field(None, description="From one pass of `serve` to the next, at least 1s; unset is 1m.")
    sync: MaybeTiming = Field(
        None, description="When `serve` syncs: @every 5m, a cron line, @daily, never; unset follows schedule.every."
    )
    purge: MaybeTiming = Field(None, description="When `serve` purges, if purge.enabled; unset is after each sync.")
    verify: MaybeTiming = Field(None, description="When `serve` re-reads all copies in the library; unset is never.")
    timezone: Annotated[str, BeforeValidator(timing.parse_zone)] = Field(
        "local", description="Time zone of cron lines, like Europe/Berlin; local follows TZ, then /etc/localtime."
    )
    jitter: Duration = Field(0, description="Up to this much later, at random, does each scheduled job begin.")
    on_start: Switch = Field(True, description="Whether `serve` begins with a pass, whatever the schedules say.")
    events: Switch = Field(
        True, description="Whether `serve` pulls at once when the engine tells that a container started or stopped."
    )


class SourceTiming(Section):
    """When `serve` works on one source."""

    sync: MaybeTiming = Field(None, description="When this source is synced, in place of schedule.sync.")
    purge: MaybeTiming = Field(None, description="When this source is purged, in place of schedule.purge.")
    verify: MaybeTiming = Field(None, description="When this source's copies are re-read, besides schedule.verify.")


class ApiSettings(Section):
    """How `serve` answers HTTP: the page, the API, probes and metrics."""

    enabled: Switch = Field(True, description="Whether `serve` answers HTTP: the page, the API, probes and metrics.")
    listen: Annotated[str, BeforeValidator(listen_address)] = Field(
        "127.0.0.1:8787", description="Address and port that `serve` answers HTTP on."
    )
    token: Secret = Field(
        None,
        description="What clients that may control have to present; unset is made once and kept in state/token.",
        json_schema_extra={"secret": True},
    )
    read_token: Secret = Field(
        None,
        description="A second token, whose holders may look at everything and start nothing.",
        json_schema_extra={"secret": True},
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = Field(
        (), description="Names that browsers may call this service by, besides localhost and api.listen (; between)."
    )
    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = Field(
        (), description="Other sites whose scripts may call the API with a token, like https://media.example."
    )
    metrics_open: Switch = Field(False, description="Whether /metrics is answered without a token.")


class NotifySettings(Section):
    """Whom `serve` tells how things are."""

    heartbeat_url: WebUrl = Field(
        None,
        description="Address that is asked for at the start (/start), success and failure (/fail) of each pass.",
        json_schema_extra={"secret": True},
    )
    webhook_url: WebUrl = Field(
        None,
        description="Address that events are posted to, as JSON.",
        json_schema_extra={"secret": True},
    )
    events: Annotated[
        tuple[EventType, ...],
        BeforeValidator(units.choices(*EVENT_TYPES)),
    ] = Field(
        ("file.failed", "job.done", "job.failed", "purge.done", "source.slowed", "source.recovered"),
        description="Events that are posted; README.md lists all that there are, like file.stored for each file.",
    )
    secret: Secret = Field(
        None,
        description="What posts are signed with (HMAC-SHA256); unset leaves them unsigned.",
        json_schema_extra={"secret": True},
    )
    allow_private: Switch = Field(False, description="Whether addresses in private networks may be notified.")
    timeout: Duration = Field(10 * NS, description="How long one notification may take.")


class MediaSettings(Section):
    """What `serve` finds out about stored files, and what that may cost."""

    enabled: Switch = Field(
        True, description="Whether `serve` looks into stored files: type, integrity, metadata, thumbnail."
    )
    thumbnails: Switch = Field(True, description="Whether small pictures are made, and kept in the state folder.")
    workers: Annotated[int, BeforeValidator(units.whole(1, 64))] = Field(
        1, description="How many processes look into files at the same time."
    )
    max_pixels: Annotated[int, BeforeValidator(units.whole(1, 10**10))] = Field(
        100_000_000, description="Pictures of more pixels are not decoded: they have no thumbnail."
    )
    max_memory: Size = Field(2**30, description="Memory that one of those processes may use.")
    max_time: Duration = Field(30 * NS, description="CPU time that one file may take.")


class SourceSettings(Section):
    """One source that the operator named. Exactly one of container, service and label says which container it is."""

    container: Annotated[str | None, BeforeValidator(units.optional(_container))] = Field(
        None, description="The container's name, its ID, its compose service or project/service."
    )
    service: Annotated[str | None, BeforeValidator(units.optional(_container))] = Field(
        None, description="The compose service, or project/service."
    )
    label: Text = Field(None, description="A label that the container has, as key or key=value.")
    kind: Annotated[
        Literal["comfyui", "forge", "a1111", "custom"] | None, BeforeValidator(units.optional(units.choice(*KINDS)))
    ] = Field(None, description="What runs in it: comfyui, forge, a1111 or custom; unset is guessed.")
    path: Roots = Field((), description="The output folders in the container (; between several); unset is detected.")
    include: Globs = Field((), description="Pull only these globs, in place of sync.include.")
    exclude: Globs = Field((), description="Never pull these globs, besides sync.exclude.")
    preserve: Globs = Field((), description="Never delete originals that match these globs, besides purge.preserve.")
    older_than: MaybeDuration = Field(None, description="Least age of what is deleted, in place of purge.older_than.")
    purge: Switch = Field(True, description="Whether this source may be purged at all.")
    group: Annotated[str, BeforeValidator(lambda value: source_name(value) if value != "" else "")] = Field(
        "", description="A name that sources shown together have in common."
    )
    user: Text = Field(None, description="User, or uid:gid, that the agent runs as in place of the root's owner.")
    schedule: SourceTiming = Field(default_factory=SourceTiming)
    enabled: Switch = Field(True, description="Whether this source is used.")

    @model_validator(mode="after")
    def _one_target(self) -> SourceSettings:
        named = [key for key in TARGETS if getattr(self, key)]
        if not named:
            raise Wrong("names no container", "add container:, service: or label:")
        if len(named) > 1:
            raise Wrong(f"has {' and '.join(named)} at once", f"keep one of {', '.join(TARGETS)}")
        return self


class Settings(Section):
    """Everything that can be set. Made by `load`, which alone reads files and the environment."""

    library: Folder = Field(Path("/library"), description="Folder that the files end up in.")
    state: Folder = Field(Path("/state"), description="Folder for the manifest and other state.")
    host: Annotated[str | None, BeforeValidator(units.optional(engine_url))] = Field(
        None,
        description="Docker Engine's address; unset follows DOCKER_HOST, the docker context, then the default sockets.",
        json_schema_extra={"secret": True},
    )
    log: LogSettings = Field(default_factory=LogSettings)
    sync: SyncSettings = Field(default_factory=SyncSettings)
    purge: PurgeSettings = Field(default_factory=PurgeSettings)
    docker: DockerSettings = Field(default_factory=DockerSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    media: MediaSettings = Field(default_factory=MediaSettings)
    ingest: IngestSettings = Field(default_factory=IngestSettings)
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
