"""What events look like."""

from __future__ import annotations

from fastapi import APIRouter, Response

from sidecar.telling.wire import published_schema

router = APIRouter(tags=["events"])

MEDIA_TYPE = "application/schema+json"


@router.get("/events/schema", summary="The JSON Schema of events", response_class=Response,
            responses={200: {"description": "A JSON Schema, draft 2020-12.",
                             "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}})  # fmt: skip
async def events_schema() -> Response:
    """Of every event that WebSocket and webhook tell. It is part of the package, and the same for everybody."""
    return Response(published_schema(), media_type=MEDIA_TYPE)
