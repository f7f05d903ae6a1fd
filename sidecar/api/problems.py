"""Every answer that is an error, as problem details (RFC 9457): what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from sidecar.errors import (
    ConfigError,
    EngineRefused,
    EngineUnreachable,
    LibraryUnsafe,
    ManifestDamaged,
    MediaSyncError,
    Refused,
    UnknownSource,
)

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """One part of a request that cannot be meant."""

    where: str = Field(description="The part: `query.limit`, `body.sources.0`.", examples=["query.limit"])
    wrong: str = Field(description="What is wrong with it.", examples=["Input should be less than or equal to 500"])


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 has it. `hint` says what to do next, `errors` name the parts of a request at fault."""

    type: str = Field("about:blank", description="`about:blank`: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.", examples=["Conflict"])
    status: int = Field(description="The HTTP status.", examples=[409])
    detail: str = Field(description="What is wrong, in a sentence.", examples=["purging is switched off"])
    hint: str = Field("", description="What to do next; may be empty.", examples=["set purge.enabled: true"])
    errors: list[Mistake] = Field(default_factory=list, description="The parts of the request that are at fault.")


class Problem(Exception):
    """Ends a request with a problem. `headers` go with it."""

    def __init__(self, status: int, detail: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Its answer."""
        return response(self.status, self.detail, hint=self.hint, headers=self.headers)


def response(status: int, detail: str, *, hint: str = "", headers: Mapping[str, str] | None = None,
             errors: Sequence[Mistake] = ()) -> Response:  # fmt: skip
    """The answer for a problem."""
    body = ProblemDetails(title=HTTPStatus(status).phrase, status=status, detail=detail, hint=hint, errors=[*errors])
    return JSONResponse(body.model_dump(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: MediaSyncError) -> Problem:
    """What an error of the program is to a client."""
    headers = {"Retry-After": "10"} if error.transient else {}
    return Problem(_status(error), str(error), hint=error.hint, headers=headers)


def _status(error: MediaSyncError) -> int:
    if isinstance(error, UnknownSource):
        return 404
    if isinstance(error, ConfigError):
        return 422
    if isinstance(error, EngineUnreachable | EngineRefused | ManifestDamaged | LibraryUnsafe):
        return 503
    if isinstance(error, Refused):
        return 409
    return 503 if error.transient else 500


def install(app: FastAPI) -> None:
    """Let every error that a route or the framework raises be a problem."""

    @app.exception_handler(Problem)
    async def ours(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(MediaSyncError)
    async def told(_: Request, error: MediaSyncError) -> Response:
        return of_error(error).response()

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> Response:
        detail = {404: "there is nothing here", 405: "this cannot be done here"}.get(error.status_code, error.detail)
        return response(error.status_code, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [Mistake(where=".".join(str(part) for part in e["loc"]), wrong=str(e["msg"])) for e in error.errors()]
        return response(422, "the request cannot be meant", errors=found[:20])
