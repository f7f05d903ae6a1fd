"""aiohttp, and aiodocker on top of it, imported without the certificates that would be read for nothing.

Import them from here, and nowhere else. While aiohttp is imported it makes two TLS contexts, for connections that
bring none of their own, and reads every certificate authority of the system into both: as long as all the rest of it
takes. An engine's socket needs none. So these two trust nobody, and whoever speaks TLS gives its connector a context
of its own (`ssl.create_default_context()`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_authorities() -> Iterator[None]:
    """TLS contexts that are made meanwhile trust nobody."""
    ssl.SSLContext.set_default_verify_paths = lambda _context: None  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # what it covered, its base class's, is there again


with _no_authorities():
    import aiodocker
    import aiodocker.stream
    import aiohttp
    import aiohttp.abc

__all__ = ["aiodocker", "aiohttp"]
