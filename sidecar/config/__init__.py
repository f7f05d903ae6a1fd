"""The one settings model, and the only reader of environment and configuration files."""

from sidecar.config.describe import Loaded, Setting, ShownValue, every_setting, shown_values
from sidecar.config.host import ResolvedHost, Tls, resolve_host
from sidecar.config.layers import parse_source_arg
from sidecar.config.load import load
from sidecar.config.model import (
    KINDS,
    DockerSettings,
    LogSettings,
    PurgeSettings,
    ScheduleSettings,
    Settings,
    SourceSettings,
    SyncSettings,
    globs,
    redacted,
    root_path,
    source_name,
)
from sidecar.config.units import (
    Percent,
    Wrong,
    choice,
    format_duration,
    format_size,
    near,
    parse_duration,
    parse_list,
    parse_size,
    parse_switch,
    quoted,
)

__all__ = [
    "KINDS",
    "DockerSettings",
    "Loaded",
    "LogSettings",
    "Percent",
    "PurgeSettings",
    "ResolvedHost",
    "ScheduleSettings",
    "Setting",
    "Settings",
    "ShownValue",
    "SourceSettings",
    "SyncSettings",
    "Tls",
    "Wrong",
    "choice",
    "every_setting",
    "format_duration",
    "format_size",
    "globs",
    "load",
    "near",
    "parse_duration",
    "parse_list",
    "parse_size",
    "parse_source_arg",
    "parse_switch",
    "quoted",
    "redacted",
    "resolve_host",
    "root_path",
    "shown_values",
    "source_name",
]
