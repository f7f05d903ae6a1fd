"""Batches as posts, to a real HTTP server: the contract, the signature, and what each answer means."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator

import pytest

from sidecar.errors import ConfigError
from sidecar.ingest.base import MediaIngest, SinkDown, SinkRefused
from sidecar.ingest.testing import Known, SinkContract, record
from sidecar.ingest.webhook import sink
from tests.unit.ingest.receiver import Receiver, receiving

SECRET = "a-secret-of-some-length"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def to(receiver: Receiver, **options: str) -> MediaIngest:
    return sink({"url": receiver.url, "allow_private": "true", **options})


class TestWebhook(SinkContract):
    @pytest.fixture
    def sink(self, receiver: Receiver) -> MediaIngest:
        return to(receiver)

    @pytest.fixture
    def known(self, receiver: Receiver) -> Known:
        async def read() -> dict[str, object]:
            return dict(receiver.records)

        return read  # type: ignore[return-value]


async def test_a_post_is_signed_and_named(receiver: Receiver) -> None:
    one = to(receiver, secret=SECRET)
    await one.open()
    for _ in range(2):
        await one.ingest([record(1)])
    await one.retract([record(1, state="purged")])
    await one.close()
    (first, head), (again, head_again), (last, head_last) = receiver.posts
    assert first == again
    assert head["X-Media-Sync-Delivery"] == head_again["X-Media-Sync-Delivery"] != head_last["X-Media-Sync-Delivery"]
    assert (head["X-Media-Sync-Event"], head_last["X-Media-Sync-Event"]) == ("ingest", "retract")
    at = head_last["X-Media-Sync-Timestamp"]
    right = hmac.new(SECRET.encode(), at.encode() + b"." + last, hashlib.sha256).hexdigest()
    assert head_last["X-Media-Sync-Signature"] == f"sha256={right}"
    assert abs(int(at) - time.time()) < 3600
    assert json.loads(last) == {"event": "retract", "records": [record(1, state="purged").as_json()]}


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    one = to(receiver)
    await one.open()
    await one.ingest([record(1)])
    await one.close()
    assert "X-Media-Sync-Signature" not in receiver.posts[0][1]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_is_wrong_with_the_batch_is_refused(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    one = to(receiver)
    await one.open()
    with pytest.raises(SinkRefused, match=f"it answered {status}") as caught:
        await one.ingest([record(1)])
    await one.close()
    assert "a-secret-path" not in caught.value.line()


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 410, 429, 500, 503])
async def test_what_is_wrong_with_the_receiver_may_mend(receiver: Receiver, status: int) -> None:
    """A wrong token or address would have every file refused, one by one."""
    receiver.answers = [status]
    one = to(receiver)
    await one.open()
    with pytest.raises(SinkDown, match=f"it answered {status}"):
        await one.ingest([record(1)])
    await one.ingest([record(1)])
    await one.close()
    assert len(receiver.posts) == 2, "a redirect was not followed"


async def test_private_networks_are_no_receivers_unless_that_is_meant(receiver: Receiver) -> None:
    for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
        one = sink({"url": url})
        await one.open()
        with pytest.raises(SinkDown, match="is in a private network") as caught:
            await one.ingest([record(1)])
        await one.close()
        assert "allow_private" in caught.value.hint
    assert receiver.posts == []


async def test_nobody_listens(receiver: Receiver) -> None:
    one = sink({"url": "http://127.0.0.1:9/x-secret", "allow_private": "yes"})
    await one.open()
    with pytest.raises(SinkDown, match=r"http://127\.0\.0\.1:9 cannot be reached") as caught:
        await one.ingest([record(1)])
    await one.close()
    assert "x-secret" not in caught.value.line()


async def test_it_has_to_be_open(receiver: Receiver) -> None:
    with pytest.raises(SinkDown, match="not open"):
        await to(receiver).ingest([record(1)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "url is missing"),
        ({"url": "media.example"}, "url: is not a web address"),
        ({"url": "https://media.example", "timeout": "soon"}, "timeout: .* is not a length of time"),
        ({"url": "https://media.example", "allow_private": "maybe"}, "allow_private: "),
        ({"url": "https://media.example", "adress": "x"}, "adress is no option"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        sink(options)
    assert caught.value.hint
