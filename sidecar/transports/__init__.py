"""How sources are reached. Engines know `base` alone; concrete transports are plugins, imported when first used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.config import Loaded, resolve_host

if TYPE_CHECKING:
    from sidecar.transports.base import SourceProvider


def open_providers(loaded: Loaded, env: Mapping[str, str]) -> list[SourceProvider]:
    """The providers that the settings ask for. None is connected yet. Raises ConfigError."""
    from sidecar.transports.docker.provider import DockerProvider

    return [DockerProvider(loaded.settings, resolve_host(loaded.settings, env, origin=loaded.origin("host")))]
