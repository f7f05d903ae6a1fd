"""What a request proves about who sent it."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie

from sidecar.api.problems import Problem
from sidecar.api.throttle import Throttle
from sidecar.api.tokens import Keys, Scope, Sessions
from sidecar.values import dataclass

SUBPROTOCOL = "media-sync"  # what a WebSocket speaks
_BEARER_PROTOCOL = "bearer."  # before a token in Sec-WebSocket-Protocol, where browsers can put one
KEY_HEADER = "x-media-sync-key"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="media-sync"'}


@dataclass(frozen=True, slots=True)
class Grant:
    """What the sender may do, and until when where that is limited (ns since the epoch)."""

    scope: Scope
    expires_ns: int | None = None


class Access:
    """Checks tokens and sessions."""

    def __init__(self, keys: Keys, clock_ns: Callable[[], int], clock: Callable[[], float]) -> None:
        self.sessions = Sessions(keys, clock_ns)
        self._keys = keys
        self._throttle = Throttle(clock)

    def by_token(self, token: str, address: str) -> Scope:
        """The scope of a token. Raises Problem: 401 for a wrong one, 429 for one of too many."""
        if wait := self._throttle.wait(address):
            raise Problem(429, "too many wrong tokens came from this address", hint=f"try again in {wait} s",
                          headers={"Retry-After": str(wait)})  # fmt: skip
        scope = self._keys.scope_of(token)
        if scope is None:
            self._throttle.failed(address)
            raise Problem(401, "the token is wrong", hint="it lies in the file `token` of the state folder",
                          headers=CHALLENGE)  # fmt: skip
        return scope

    def grant(self, headers: Mapping[str, str], address: str, *, safe: bool) -> Grant | None:
        """What a request proves: by its Authorization header, else by the cookie of its session.

        A cookie gives the right to look; only with the session's key it gives all of it. None when it brings neither.
        Raises as `by_token`.
        """
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind:
            if kind.lower() != "bearer":
                raise Problem(401, "this kind of authorization is not known here", headers=CHALLENGE)
            return Grant(self.by_token(token.strip(), address))
        session = self.sessions.check(cookie_of(headers))
        if session is None:
            return None
        if safe:
            return Grant(session.scope, session.expires_ns)
        keyed = hmac.compare_digest(headers.get(KEY_HEADER, "").encode(), session.key.encode())
        return Grant(session.scope if keyed else Scope.READ, session.expires_ns)

    def socket_grant(self, headers: Mapping[str, str], address: str) -> Grant | None:
        """Like `grant`; a browser, which sets no headers here, may name the token as a subprotocol."""
        for offered in headers.get("sec-websocket-protocol", "").split(","):
            if offered.strip().startswith(_BEARER_PROTOCOL):
                return Grant(self.by_token(offered.strip().removeprefix(_BEARER_PROTOCOL), address))
        return self.grant(headers, address, safe=True)


def cookie_name(headers: Mapping[str, str]) -> str:
    """The name of the session's cookie: browsers share cookies between ports, so the port is in the name."""
    _, _, port = headers.get("host", "").rpartition(":")
    return f"media_sync_{port}" if port.isascii() and port.isdigit() else "media_sync"


def cookie_of(headers: Mapping[str, str]) -> str:
    """The value of the session's cookie, "" without one."""
    jar = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = jar.get(cookie_name(headers))
    return "" if found is None else found.value
