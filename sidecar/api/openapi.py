"""The description of the API: what the framework cannot know of it is put in here, in one place for all paths."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from sidecar import __version__
from sidecar.api.content import INLINE
from sidecar.api.guards import SAFE, needed
from sidecar.api.problems import MEDIA_TYPE, ProblemDetails
from sidecar.api.tokens import Scope

_ABOUT = """\
Everything that media-sync knows and does. Clients present a token as `Authorization: Bearer …`; it lies in the file
`token` of the state folder. With `api.read_token` one may look and start nothing. Browsers begin a session.

Every error is a problem (RFC 9457), also those of the framework. Host and Origin are checked on every request: names
besides localhost stand in `api.allowed_hosts`.

**WebSocket.** `GET /api/v1/ws` needs a token as well: in the Authorization header, by the session's cookie, or as the
subprotocol `bearer.<token>` beside `media-sync`. Every message is one JSON object with a `seq` that grows:

- `{"type": "snapshot", "epoch", "seq", "jobs": […]}` comes first: the jobs that wait and run, as in `/api/v1/jobs`.
- `{"type": "event", "seq", "event": {"id", "type", "time", "job", "source", "correlation", "data"}}`: what happened, as
  `/api/v1/events/schema` describes it. `file.discovered`, `file.skipped`, `file.verified` and `purge.planned` come in
  thousands, and to those who ask for them: `?also=file.discovered&also=purge.planned`. They are not kept for who comes
  back.
- `{"type": "more", "seq", "of", "count"}`: so many more events of that type came too fast to be told one by one.
- `{"type": "progress", "seq", "job", "progress"}`: how far a running job is, at most ten times a second each.
- `{"type": "resumed", "epoch", "seq"}` comes first, in place of a snapshot, with `?epoch=…&since=<the last seq>`, and
  then what was missed. An epoch ends with its process.

Clients that do not keep up are closed with 1013; 1012 says that the service ends.
"""
_SAID = {
    400: "The request cannot be read.",
    401: "No token, or a wrong one.",
    403: "From a foreign host or origin, or more than the token allows.",
    404: "There is no such thing.",
    405: "The path knows other methods.",
    408: "The request's body did not come.",
    409: "A guard says no.",
    413: "The request's body is too large.",
    415: "The request's body is not JSON.",
    416: "The range is beyond the end of the file.",
    422: "The request cannot be meant; `errors` name the parts at fault.",
    429: "Too many wrong tokens, or too many requests.",
    500: "Something unexpected went wrong.",
    503: "The service, or something that it needs, cannot answer now.",
}
_DETAILS = {
    401: ("a token is needed", "send it as `Authorization: Bearer …`; it lies in the file `token` of the state folder"),
    403: ("this service is not known by the name in the Host header", "if it is yours, add it to api.allowed_hosts"),
    404: ("no file with this hash was ever stored", ""),
    409: ("purging is switched off", "set purge.enabled: true"),
    416: ("the file has 1843200 bytes", ""),
    503: ("cannot reach Docker at unix:///var/run/docker.sock", "is the engine running?"),
}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_RANGED = {"Range": "Bytes that are wanted.", "If-Range": "The ETag that the range belongs to.",
           "If-None-Match": "An ETag that is known already."}  # fmt: skip


def describe(app: FastAPI, *, metrics_open: bool) -> None:
    """Give the app its schema, made when it is first asked for."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app, metrics_open=metrics_open)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _made(app: FastAPI, *, metrics_open: bool) -> dict[str, Any]:
    schema = get_openapi(title="media-sync", version=__version__, description=_ABOUT, routes=app.routes,
                         license_info={"name": "MIT", "identifier": "MIT"})  # fmt: skip
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDetails"] = problem
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The token, or the read token."}
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation, metrics_open=metrics_open)
    return schema


def _complete(path: str, method: str, operation: dict[str, Any], *, metrics_open: bool) -> None:
    need = needed(method, path, metrics_open=metrics_open)
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = {403, 405, 500, 503}
    if need is not None:
        operation["security"] = [{"token": []}]
        statuses |= {401, 429}
        right = "looking" if need is Scope.READ else "control"
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds a token for {right}.".strip()
    if "requestBody" in operation or "parameters" in operation:
        statuses.add(422)
    if method not in SAFE:
        statuses |= {400, 408, 413, 415}
    statuses |= set(operation.pop("x-problems", ()))
    if "{" in path:
        statuses.add(404)
    for status in sorted(statuses):
        responses.setdefault(str(status), _problem(status))
    if path.endswith(("/content", "/thumbnail")):
        _file(operation)


def _problem(status: int) -> dict[str, Any]:
    detail, hint = _DETAILS.get(status, (_SAID[status].rstrip(".").lower(), ""))
    example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
               "hint": hint, "errors": []}  # fmt: skip
    content = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "example": example}
    return {"description": _SAID[status], "content": {MEDIA_TYPE: content}}


def _file(operation: dict[str, Any]) -> None:
    """A file's types and the headers that choose a part of it."""
    content = dict.fromkeys(sorted({*INLINE.values(), "application/octet-stream"}), _FILE)
    headers = {"ETag": {"description": "The SHA-256.", "schema": {"type": "string"}}}
    responses = operation["responses"]
    responses["200"] = {"description": "The file.", "content": content, "headers": headers}
    responses["206"] = {"description": "The part of it that was asked for.", "content": content, "headers": headers}
    responses["304"] = {"description": "It is known already.", "headers": headers}
    responses["416"] = _problem(416)
    operation["parameters"] += [
        {"name": name, "in": "header", "required": False, "description": said, "schema": {"type": "string"}}
        for name, said in _RANGED.items()
    ]
