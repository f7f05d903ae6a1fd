"""A sink on the web: each batch is a POST of JSON, `{"event": "ingest" or "retract", "records": [...]}`.

Options: `url`; `secret`, under which posts are signed as notifications are, see notify/posting.py; `allow_private`,
whether the address may lie in a private network; `timeout` of one post. `X-Media-Sync-Delivery` is the same when a
batch comes again. A receiver takes a batch as a whole: 2xx when all of it is kept; 400, 413, 415 or 422 when it never
will be. After anything else, or no answer, the same comes again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence

from sidecar.config import parse_duration, parse_switch, place_of, web_url
from sidecar.http_client import aiohttp
from sidecar.ingest import options as given
from sidecar.ingest.base import MediaIngest, Record, SinkDown, SinkRefused
from sidecar.models import NS
from sidecar.notify.guard import TargetRefused
from sidecar.notify.posting import NoAddress, NoAnswer, headers_of, open_session, post, wrong

_NEVER = frozenset({400, 413, 415, 422})  # answers that are about what was posted; others are about who posted it
_URL_HINT = "write it like url: https://media.example/records"
_PRIVATE_HINT = "set allow_private: true for this sink if it is meant"


def sink(options: Mapping[str, str]) -> MediaIngest:
    """The factory. Raises ConfigError."""
    given.only(options, ("url", "secret", "allow_private", "timeout"))
    return Webhook(
        given.required(options, "url", web_url, _URL_HINT),
        secret=given.optional(options, "secret", str, None),
        allow_private=given.optional(options, "allow_private", parse_switch, default=False),
        timeout=given.optional(options, "timeout", parse_duration, 30 * NS) / NS,
    )


class Webhook:
    """Posts to one address. `timeout` is of one post, in s; `clock_ns` is when it is signed, in ns since the epoch."""

    def __init__(self, url: str, *, secret: str | None, allow_private: bool, timeout: float,
                 clock_ns: Callable[[], int] = time.time_ns) -> None:  # fmt: skip
        self._url = url
        self._secret = secret
        self._allow_private = allow_private
        self._timeout = timeout
        self._clock_ns = clock_ns
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make ready to connect; whether anybody listens, the first batch shows."""
        if self._session is None:
            self._session = open_session(self._timeout, allow_private=self._allow_private)

    async def ingest(self, batch: Sequence[Record]) -> None:
        """Post them. Raises SinkDown, SinkRefused."""
        await self._post("ingest", batch)

    async def retract(self, batch: Sequence[Record]) -> None:
        """Post them. Raises SinkDown, SinkRefused."""
        await self._post("retract", batch)

    async def close(self) -> None:
        """Close connections; idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, event: str, batch: Sequence[Record]) -> None:
        if not batch:
            return
        if self._session is None:
            raise SinkDown("it is not open")
        body = json.dumps({"event": event, "records": [one.as_json() for one in batch]}).encode()
        headers = headers_of(event, hashlib.sha256(body).hexdigest(), body, self._secret, self._clock_ns())
        where = place_of(self._url)
        try:
            status = await post(self._session, self._url, body, headers, allow_private=self._allow_private)
        except TargetRefused as error:
            raise SinkDown(str(error), hint=_PRIVATE_HINT) from error
        except (NoAnswer, NoAddress) as error:
            raise SinkDown(f"{where} cannot be reached: {error}", hint="check address and receiver") from error
        if status in _NEVER:
            raise SinkRefused(f"{where} refused it: {wrong(status)}", hint="see the receiver's log")
        if wrong(status):
            raise SinkDown(f"{where}: {wrong(status)}", hint="see the receiver's log")
