"""A real HTTP server that receives records, and can be made to answer otherwise."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sidecar.ingest.base import Record


@dataclass
class Receiver:
    """Remembers what it took. `answers` are the statuses of the next requests; `refuses` are paths, and `most` is how
    many records it takes at a time.
    """

    url: str = ""
    posts: list[tuple[bytes, Mapping[str, str]]] = field(default_factory=list)
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    most: int = 10_000

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.posts.append((body, dict(request.headers)))
        if self.answers and (status := self.answers.pop(0)) != 200:
            return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"} if status < 400 else {})
        told = json.loads(body)
        assert told["event"] == request.headers["X-Media-Sync-Event"]
        if len(told["records"]) > self.most:
            return web.Response(status=413)
        if any(one["path"] in self.refuses for one in told["records"]):
            return web.Response(status=422)
        self.batches.append(told["records"])
        for one in told["records"]:
            self.records[one["key"]] = Record(**(one | {"problems": tuple(one["problems"])}))
        return web.Response(status=204)

    def paths(self) -> list[str]:
        """Of all records that it took, in their order."""
        return [one["path"] for batch in self.batches for one in batch]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, listening meanwhile."""
    made = Receiver()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/records/a-secret-path"
        yield made
    finally:
        await runner.cleanup()
