"""What the routes share: the board of the running service, and who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from sidecar.api.access import Access, Grant
from sidecar.api.board import Board
from sidecar.api.checks import Checks
from sidecar.config import near
from sidecar.errors import UnknownSource


def _board(connection: HTTPConnection) -> Board:
    return cast(Board, connection.app.state.board)


def _access(connection: HTTPConnection) -> Access:
    return cast(Access, connection.app.state.access)


def _grant(connection: HTTPConnection) -> Grant:
    return cast(Grant, connection.state.grant)


def _checks(connection: HTTPConnection) -> Checks:
    return cast(Checks, connection.app.state.checks)


TheBoard = Annotated[Board, Depends(_board)]
TheAccess = Annotated[Access, Depends(_access)]
TheChecks = Annotated[Checks, Depends(_checks)]
TheGrant = Annotated[Grant, Depends(_grant)]


def require_known(board: Board, names: Sequence[str]) -> None:
    """Raise UnknownSource for a name that discovery did not find; before its first look any name may be right."""
    found = board.tools.catalog.latest()
    if found is None:
        return
    known = {source.name for source in found.sources} | {left.name for left in found.left_out if left.faulty}
    for name in names:
        if name.lower() not in known:
            raise UnknownSource(f"there is no source {name}", hint=near(name, sorted(known)))
