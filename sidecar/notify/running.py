"""Notifies while a service runs, as its settings say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sidecar.config import NotifySettings
from sidecar.events import Bus
from sidecar.models import NS
from sidecar.notify.heartbeat import Heartbeat
from sidecar.notify.sender import Sender
from sidecar.notify.webhook import Webhook


@asynccontextmanager
async def notifying(settings: NotifySettings, bus: Bus) -> AsyncIterator[None]:
    """Heartbeat and webhook, each with a queue of its own, so that neither waits for the other."""
    timeout, allow_private = settings.timeout / NS, settings.allow_private
    async with AsyncExitStack() as stack:
        senders: list[Sender] = []
        if settings.heartbeat_url is not None:
            sender = Sender("heartbeat", timeout=timeout, allow_private=allow_private)
            senders.append(sender)
            await stack.enter_async_context(sender.running())
            stack.callback(bus.subscribe(Heartbeat(settings.heartbeat_url, sender).heard))
        if settings.webhook_url is not None:
            sender = Sender("webhook", timeout=timeout, allow_private=allow_private)
            senders.append(sender)
            await stack.enter_async_context(sender.running())
            hook = Webhook(settings.webhook_url, settings.events, settings.secret, sender, time.time_ns)
            stack.callback(bus.subscribe(hook.heard))
            if hook.frequent:
                stack.callback(bus.subscribe(hook.heard, *hook.frequent))
        try:
            yield
        finally:
            await asyncio.gather(*(sender.last_words() for sender in senders))
