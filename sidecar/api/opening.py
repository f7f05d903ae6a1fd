"""Lets a running service be asked over HTTP, as its settings say. The service imports this when they do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

from loguru import logger

from sidecar.api.app import make_app
from sidecar.api.board import Board
from sidecar.api.server import listen, serving
from sidecar.api.tokens import FILE_NAME, keys_of
from sidecar.jobs.desk import JobDesk
from sidecar.jobs.work import Tools
from sidecar.manifest import Search
from sidecar.telling.health import Health
from sidecar.transports.base import SourceProvider


@asynccontextmanager
async def answering(
    tools: Tools,
    desk: JobDesk,
    providers: Sequence[SourceProvider],
    health: Callable[[], Awaitable[Health]],
    metrics: Callable[[], bytes] | None = None,
) -> AsyncIterator[None]:
    """Answer HTTP while the body runs. Raises ConfigError when nothing can listen at `api.listen`."""
    settings = tools.settings
    with ExitStack() as stack:
        listener = stack.enter_context(listen(settings.api.listen))
        keys = keys_of(settings.api, settings.state)
        search = Search(settings.state)
        stack.callback(search.close)
        board = Board(tools, desk, search, health, tuple(provider.ping for provider in providers), metrics)
        async with serving(make_app(board, keys), listener):
            where = "api.token" if settings.api.token else str(settings.state / FILE_NAME)
            logger.info("the page and the API are at http://{}/, their token is in {}", settings.api.listen, where)
            yield
