"""The page: static files, and nothing else that is in their folder."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
           "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'")  # fmt: skip
_HEADERS = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}


def files() -> dict[str, tuple[bytes, str]]:
    """The page's files by name, with their types. Read once: what is not among them is not reachable."""
    folder = resources.files("sidecar.api") / "page"
    return {
        one.name: (one.read_bytes(), TYPES[suffix])
        for one in folder.iterdir()
        if one.is_file() and (suffix := one.name.rpartition(".")[2]) in TYPES
    }


def _add(name: str, content: bytes, kind: str) -> None:
    async def part() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    for path in ("/", f"/{name}") if name == "index.html" else (f"/{name}",):
        router.add_api_route(path, part, methods=["GET", "HEAD"], name=f"page {path}")


for _name, (_content, _kind) in sorted(files().items()):
    _add(_name, _content, _kind)
