"""Who may do what: tokens, the file that one is kept in, and the sessions of browsers."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from sidecar.config import ApiSettings
from sidecar.errors import ConfigError, LibraryUnsafe
from sidecar.logs import SECRETS
from sidecar.models import NS
from sidecar.values import dataclass

FILE_NAME = "token"
SESSION_NS = 30 * 24 * 3600 * NS
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")
_COOKIE = re.compile(r"(read|control)\.([0-9]{1,20})\.([0-9a-f]{32})\.([0-9a-f]{64})")


class Scope(StrEnum):
    """What somebody may do: look at everything, or also start, cancel and purge."""

    READ = "read"
    CONTROL = "control"

    def allows(self, needed: Scope) -> bool:
        """Whether it is enough."""
        return self is Scope.CONTROL or needed is Scope.READ


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The tokens in force."""

    control: str
    read: str | None = None

    def scope_of(self, presented: str) -> Scope | None:
        """What the holder of this token may do; None for a wrong one. Takes as long for any wrong one."""
        given = presented.encode(errors="replace")
        control = hmac.compare_digest(given, self.control.encode())
        read = hmac.compare_digest(given, (self.read or self.control).encode()) and self.read is not None
        if control:
            return Scope.CONTROL
        return Scope.READ if read else None

    def secret(self, scope: Scope) -> bytes | None:
        """What sessions of a scope are signed with: they end when their token is changed."""
        token = self.control if scope is Scope.CONTROL else self.read
        return None if token is None else hmac.digest(token.encode(), b"media-sync session 1", "sha256")


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """A browser that proved itself.

    The cookie alone lets it look: browsers send it to every port of this host, so another server here may see it. To
    control, `key` has to come with it, which the page keeps and sends in a header.
    """

    scope: Scope
    expires_ns: int
    cookie: str
    key: str


class Sessions:
    """Makes and checks sessions. They are signed and not remembered, so they outlive a restart of the service."""

    def __init__(self, keys: Keys, clock_ns: Callable[[], int]) -> None:
        self._keys = keys
        self._clock_ns = clock_ns

    def begin(self, scope: Scope) -> Session:
        """A new session for a holder of that scope's token."""
        expires_ns = self._clock_ns() + SESSION_NS
        made = self._made(scope, expires_ns, secrets.token_hex(16))
        if made is None:
            raise ValueError(f"nobody has the scope {scope}")
        return made

    def check(self, cookie: str) -> Session | None:
        """The session that a cookie stands for; None for one that is forged, of another token, or over."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        made = self._made(Scope(found[1]), int(found[2]), found[3])
        if made is None or not hmac.compare_digest(made.cookie, cookie):
            return None
        left = made.expires_ns - self._clock_ns()
        return made if 0 < left <= SESSION_NS else None

    def _made(self, scope: Scope, expires_ns: int, nonce: str) -> Session | None:
        secret = self._keys.secret(scope)
        if secret is None:
            return None
        claim = f"{scope}.{expires_ns}.{nonce}"
        mark = hmac.new(secret, b"cookie " + claim.encode(), hashlib.sha256).hexdigest()
        key = hmac.new(secret, b"key " + claim.encode(), hashlib.sha256).hexdigest()
        return Session(scope, expires_ns, f"{claim}.{mark}", key)


def keys_of(settings: ApiSettings, state: Path) -> Keys:
    """The tokens that the settings name; the controlling one is made and kept in the state folder if they name none.

    Raises ConfigError, LibraryUnsafe.
    """
    control = settings.token or kept_token(state)
    if settings.read_token is not None and hmac.compare_digest(settings.read_token, control):
        raise ConfigError("api.read_token is the token that may control",
                          hint="choose another one, or unset it")  # fmt: skip
    SECRETS.add(control, settings.read_token)
    return Keys(control, settings.read_token)


def kept_token(state: Path) -> str:
    """The token in `state/token`, made there when there is none (mode 0600, durable before it is used).

    Raises ConfigError when something else is there, LibraryUnsafe when it cannot be made.
    """
    path = state / FILE_NAME
    try:
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _make(path)
        return _read(path)
    except OSError as error:
        raise LibraryUnsafe(f"{path} cannot be used: {(error.strerror or str(error)).lower()}",
                            hint="check owner and permissions, or set api.token") from error  # fmt: skip


def _read(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        text = os.read(fd, 1024).decode("ascii", "replace").strip() if stat.S_ISREG(found.st_mode) else ""
        if not _TOKEN.fullmatch(text):
            raise ConfigError(f"{path} holds no token", hint="delete it, and a new one is made")
        if found.st_mode & 0o077:
            os.fchmod(fd, 0o600)
        return text
    finally:
        os.close(fd)


def _make(path: Path) -> None:
    """Under its name there is a whole token or none, whatever happens in between."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, secrets.token_urlsafe(32).encode() + b"\n")
        os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        os.close(fd)
        os.unlink(part)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
