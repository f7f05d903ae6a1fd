"""The one way in: every request passes here before a route sees it, and every answer on its way out."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping

from loguru import logger
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.api.access import CHALLENGE, KEY_HEADER, Access
from sidecar.api.guards import SAFE, Places, needed
from sidecar.api.problems import Problem

BODY_MOST = 64 * 1024  # bytes of a request's body
BODY_PATIENCE = 10.0  # seconds until it has to be there
AT_ONCE = 128  # requests
_OUT = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Gate:
    """ASGI middleware. A request that it lets in has its grant in `state["grant"]`."""

    def __init__(self, app: ASGIApp, *, places: Places, access: Access, metrics_open: bool) -> None:
        self._app = app
        self._places = places
        self._access = access
        self._metrics_open = metrics_open
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or answer it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        out = _Out(send, self._places.cross_origin(headers))
        self._busy += 1
        try:
            answer = self._shown_out(scope, headers)
            if answer is None and scope["method"] not in SAFE:
                receive = await _whole_body(headers, receive)
            await (answer or self._app)(scope, receive, out)
        except Problem as problem:
            await problem.response()(scope, receive, out)
        except Exception as error:
            logger.error("unexpected {} in {} {}: {} — please report it, with what --log-level debug adds",
                         type(error).__name__, scope["method"], scope["path"], error)  # fmt: skip
            logger.debug("{}", traceback.format_exc())
            if out.begun:
                raise
            await Problem(500, "something unexpected went wrong", hint="the log says more").response()(
                scope, receive, out
            )
        finally:
            self._busy -= 1

    def _shown_out(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer for a preflight; None for what goes on to a route. Raises Problem for who is not let in."""
        method, path = scope["method"], scope["path"]
        if self._busy > AT_ONCE:
            raise Problem(503, "too many requests at once", headers={"Retry-After": "1"})
        if why := self._places.refusal(method, path, headers):
            raise _foreign(why, headers)
        if method == "OPTIONS" and "access-control-request-method" in headers:
            return _preflight(self._places.cross_origin(headers) is not None)
        scope.setdefault("state", {})["grant"] = None
        need = needed(method, path, metrics_open=self._metrics_open)
        if need is None:
            return None
        grant = self._access.grant(headers, _address(scope), safe=method in SAFE)
        if grant is None:
            raise Problem(401, "a token is needed", hint="send it as `Authorization: Bearer …`; it lies in the file "
                          "`token` of the state folder", headers=CHALLENGE)  # fmt: skip
        if not grant.scope.allows(need):
            raise Problem(403, "this may be looked at, not controlled, with what was presented",
                          hint="present the token that may control, or the key of its session")  # fmt: skip
        scope["state"]["grant"] = grant
        return None

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            if why := self._places.refusal("GET", scope["path"], headers):
                raise _foreign(why, headers)
            grant = self._access.socket_grant(headers, _address(scope))
            if grant is None:
                raise Problem(403, "a token is needed", hint="send it as `Authorization: Bearer …`, or begin a session")
        except Problem as problem:
            status = 403 if problem.status == 401 else problem.status
            refused = Problem(status, problem.detail, hint=problem.hint, headers=problem.headers)
            await receive()  # websocket.connect
            await refused.response()(scope, receive, send)
            return
        scope.setdefault("state", {})["grant"] = grant
        await self._app(scope, receive, send)


class _Out:
    """Sends, and puts the headers on that every answer has; a route's own are left."""

    def __init__(self, send: Send, cross_origin: str | None) -> None:
        self._send = send
        self._cross_origin = cross_origin
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _OUT.items():
                headers.setdefault(name, value)
            if self._cross_origin is not None:
                headers["access-control-allow-origin"] = self._cross_origin
                headers.add_vary_header("Origin")
        await self._send(message)


def _foreign(why: str, headers: Mapping[str, str]) -> Problem:
    name = "origin" if "name" not in why and "origin" in headers else "host"
    return Problem(403, why, hint=f"if it is yours, add it to api.allowed_{name}s")


def _preflight(allowed: bool) -> Response:
    """Browsers ask this before a script of another site may send a token. Cookies are never for other sites."""
    if not allowed:
        return Problem(403, "scripts of other sites are not allowed here").response()
    headers = {"Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE", "Access-Control-Max-Age": "600",
               "Access-Control-Allow-Headers": f"Authorization, Content-Type, Range, {KEY_HEADER}"}  # fmt: skip
    return Response(status_code=204, headers=headers)


async def _whole_body(headers: Headers, receive: Receive) -> Receive:
    """The body, read whole, as a `receive` of its own. Raises Problem for one that is too large, late or no JSON."""
    too_large = Problem(413, f"a request's body may have {BODY_MOST} bytes", headers={"Connection": "close"})
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > BODY_MOST:
        raise too_large
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > BODY_MOST:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "the request's body did not come", headers={"Connection": "close"}) from None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if (body or kind) and kind != "application/json":  # what forms can send needs no preflight
        raise Problem(415, "a request's body has to be JSON", hint="send it with Content-Type: application/json")
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
