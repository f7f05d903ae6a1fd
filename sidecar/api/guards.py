"""Which requests are let in, decided on their headers alone: by which name, from which site, with what right."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.api.tokens import Scope
from sidecar.config import ApiSettings
from sidecar.values import dataclass

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANY = ("0.0.0.0", "[::]")  # noqa: S104 (compared with, not listened on)
API = "/api/v1"
SESSION = f"{API}/session"
METRICS = "/metrics"


@dataclass(frozen=True, slots=True)
class Places:
    """Names that this service has, and sites whose scripts may call it."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, settings: ApiSettings) -> Places:
        """As the settings say. A host without a port stands for the port listened on, and for a proxy's own."""
        name, _, port = settings.listen.rpartition(":")
        hosts = {f"{one}:{port}" for one in _LOOPBACK}
        if name not in _ANY:
            hosts.add(settings.listen)
        for host in settings.allowed_hosts:
            bare = host.startswith("[") and host.endswith("]")
            hosts |= {host} if ":" in host and not bare else {host, f"{host}:{port}"}
        if port == "80":  # browsers leave it out
            hosts |= {host.removesuffix(":80") for host in hosts}
        return cls(frozenset(hosts), frozenset(settings.allowed_origins))

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Why a request is refused as foreign; "" when it is not.

        A page of another site can make a browser send requests here, also under a name of its own that it lets point
        here (DNS rebinding). Host and Origin are written by the browser and tell which page it was.
        """
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return "this service is not known by the name in the Host header"
        origin = headers.get("origin")
        if origin is not None:
            own = origin in (f"http://{host}", f"https://{host}")
            return "" if own or origin in self.origins else "requests from this origin are not allowed"
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return ""
        # a link from elsewhere may lead to the page, which holds nothing; all that it loads is its own
        by_link = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
        return "" if by_link else "requests from other sites are not allowed"

    def cross_origin(self, headers: Mapping[str, str]) -> str | None:
        """The origin of an allowed other site that a request comes from."""
        origin = headers.get("origin")
        return origin if origin in self.origins else None


def needed(method: str, path: str, *, metrics_open: bool) -> Scope | None:
    """What one must be allowed to do for a request; None where anybody may. What is not named here needs a token."""
    if path == METRICS:
        return None if metrics_open else Scope.READ
    if path == SESSION:  # its own check: this is where a browser presents a token
        return None if method == "POST" else Scope.READ
    if path == "/api" or path.startswith("/api/"):
        return Scope.READ if method in SAFE else Scope.CONTROL
    return None
