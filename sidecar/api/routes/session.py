"""Sessions of browsers, which cannot put a token on an image or a WebSocket."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from sidecar.api.access import cookie_name
from sidecar.api.routes.common import TheAccess, TheGrant
from sidecar.api.shapes import SessionAsked, SessionBegun, Whoami
from sidecar.api.tokens import SESSION_NS
from sidecar.models import NS
from sidecar.telling.shapes import maybe_moment, moment

router = APIRouter(tags=["session"])


@router.post("/session", response_model=SessionBegun, summary="Begin a session with a token",
             openapi_extra={"x-problems": [401, 429]})  # fmt: skip
async def begin(access: TheAccess, request: Request, response: Response, asked: SessionAsked) -> Any:
    """Sets a cookie that lets the browser look. To control, `key` has to come with each request."""
    scope = access.by_token(asked.token, request.client.host if request.client else "")
    session = access.sessions.begin(scope)
    secure = request.headers.get("origin", "").startswith("https:")
    response.set_cookie(cookie_name(request.headers), session.cookie, max_age=SESSION_NS // NS, path="/api/v1",
                        secure=secure, httponly=True, samesite="strict")  # fmt: skip
    return {"scope": scope.value, "expires_at": moment(session.expires_ns), "key": session.key}


@router.get("/session", response_model=Whoami, summary="What one may do")
async def whoami(grant: TheGrant) -> Any:
    """What the token or session that came with the request allows."""
    return {"scope": grant.scope.value, "expires_at": maybe_moment(grant.expires_ns)}


@router.delete("/session", status_code=204, summary="Forget the session")
async def end(request: Request, response: Response) -> None:
    """Takes the cookie away. To end every session, change the token."""
    response.delete_cookie(cookie_name(request.headers), path="/api/v1", httponly=True, samesite="strict")
