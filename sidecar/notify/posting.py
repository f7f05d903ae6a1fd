"""One POST of JSON: signed, with a time-out, to nowhere that it may not go. Redirects are not followed.

With a secret, `X-Media-Sync-Timestamp` is when it was sent, in seconds since the epoch, and `X-Media-Sync-Signature` is
`sha256=` and the hex HMAC-SHA256 of `<timestamp>.<body>` under the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Mapping

from sidecar import __version__
from sidecar.http_client import aiohttp
from sidecar.models import NS
from sidecar.notify.guard import CheckedResolver, TargetRefused, require_literal_allowed

_LATER = frozenset({408, 425, 429})  # besides 5xx, answers that mean: try again


class NoAnswer(Exception):
    """The receiver could not be reached, or took too long; a later attempt may better that."""


class NoAddress(Exception):
    """The address cannot be one."""


def open_session(timeout: float, *, allow_private: bool) -> aiohttp.ClientSession:
    """What posts go through; `timeout` is of one post, in s. To be closed."""
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(allow_private=allow_private), use_dns_cache=False,
                                     limit=2, ssl=ssl.create_default_context())  # fmt: skip
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"User-Agent": f"forge-media-sync/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str], *,
               allow_private: bool) -> int:  # fmt: skip
    """Post once; the answer's status. Raises NoAnswer, NoAddress, and TargetRefused where it may not go."""
    require_literal_allowed(url, allow_private=allow_private)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return answer.status
    except TargetRefused:
        raise
    except aiohttp.InvalidURL as error:
        raise NoAddress(str(error)) from None
    except TimeoutError:
        raise NoAnswer(f"no answer within {session.timeout.total:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        cause = error.__cause__ or getattr(error, "os_error", None)
        if isinstance(cause, TargetRefused):
            raise cause from None
        raise NoAnswer(str(error) or type(error).__name__) from None


def comes_later(status: int) -> bool:
    """Whether the same post may be taken later."""
    return status >= 500 or status in _LATER


def wrong(status: int) -> str:
    """What is wrong with an answer, in words; "" when nothing is."""
    if status < 300:
        return ""
    return f"it answered {status}" + (": redirects are not followed" if status < 400 else "")


def headers_of(kind: str, delivery: str, body: bytes, secret: str | None, now_ns: int) -> dict[str, str]:
    """The headers of a post: what it is, the ID that is the same in every attempt, and its signature."""
    headers = {"Content-Type": "application/json", "X-Media-Sync-Event": kind, "X-Media-Sync-Delivery": delivery}
    if secret is not None:
        at = str(now_ns // NS)
        headers["X-Media-Sync-Timestamp"] = at
        headers["X-Media-Sync-Signature"] = signature(secret, at, body)
    return headers


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What a receiver compares with the header, in constant time."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
