"""Where a notification may go: to the open internet, unless private networks are allowed.

A name is resolved here, every address that it has is judged, and the connection goes to one of those: a name that
answers otherwise the second time (DNS rebinding) leads nowhere else. Redirects are not followed at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from sidecar.config import place_of
from sidecar.errors import Refused
from sidecar.http_client import aiohttp

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address
_HINT = "set notify.allow_private=true if it is meant"


class TargetRefused(Refused, OSError):
    """A notification would have gone where none may go. An OSError, too, because it is raised from inside aiohttp."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet: not to this host, a private network, or a special use."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return bool(ip.is_global and not ip.is_multicast and not ip.is_reserved)


def require_literal_allowed(url: str, *, allow_private: bool) -> None:
    """Raise TargetRefused for an address written as a number, which nobody resolves, if it may not be notified."""
    host = urlsplit(url).hostname or ""
    try:
        public = is_public(host)
    except ValueError:
        return  # a name: the resolver judges it
    if not public and not allow_private:
        raise _refused(place_of(url))


class CheckedResolver(aiohttp.abc.AbstractResolver):
    """Resolves names as the host does, and refuses one with any address that may not be notified."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
                      ) -> list[aiohttp.abc.ResolveResult]:  # fmt: skip
        """Every address of the name. Raises TargetRefused, and OSError when it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        if not self._allow_private and not all(is_public(str(entry[4][0])) for entry in found):
            raise _refused(host)
        return [
            aiohttp.abc.ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto,
                          flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
            for kind, _, proto, _, address in found
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is kept open."""


def _refused(where: str) -> TargetRefused:
    return TargetRefused(f"{where} is in a private network", hint=_HINT)
