"""What the routes share: the board of the running service, and who asks."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from sidecar.api.access import Access, Grant
from sidecar.api.board import Board


def _board(connection: HTTPConnection) -> Board:
    return cast(Board, connection.app.state.board)


def _access(connection: HTTPConnection) -> Access:
    return cast(Access, connection.app.state.access)


def _grant(connection: HTTPConnection) -> Grant:
    return cast(Grant, connection.state.grant)


TheBoard = Annotated[Board, Depends(_board)]
TheAccess = Annotated[Access, Depends(_access)]
TheGrant = Annotated[Grant, Depends(_grant)]
