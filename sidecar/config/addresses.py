"""Addresses of the web that are secrets: who knows where a heartbeat or a webhook goes may send there, too."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from sidecar.config import units
from sidecar.config.units import Wrong

_HINT = "write it like https://hc-ping.com/your-check"


def web_url(value: object) -> str:
    """An http or https address with a host. It is never quoted back: its path is as good as a password."""
    text = units.parse_text(value)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Wrong("is not a web address", _HINT) from None
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in text):
        raise Wrong("is not a web address", _HINT)
    if parts.fragment:
        raise Wrong("has a part behind #, which is never sent", "remove it")
    return text


def place_of(url: str) -> str:
    """Where an address points to, without what must stay secret: scheme, host and port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def hidden_option(value: str) -> str:
    """An option of a sink as it may be shown: an address by its place alone, anything else as `***`."""
    try:
        return f"{place_of(value)}/***" if "://" in value else "***" if value else ""
    except ValueError:
        return "***"


def secret_parts(value: str) -> Iterator[str]:
    """The texts in a secret setting that must not be seen: of an address its login, path and query; else all of it."""
    if "://" not in value:
        yield value
        return
    parts = urlsplit(value)
    yield from (part for part in (parts.password, parts.query) if part)
    if parts.scheme in ("http", "https") and parts.path.strip("/"):
        yield parts.path.strip("/")
