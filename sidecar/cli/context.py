"""What every command shares: its common options, settings, logs, and how it ends."""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import inspect
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from loguru import logger
from typer.core import TyperCommand

from sidecar import logs
from sidecar.cli.exits import Exit, code_of
from sidecar.config import Loaded, load, secrets_of
from sidecar.errors import ConfigError, MediaSyncError
from sidecar.host import privileges
from sidecar.values import dataclass

T = TypeVar("T")
PATIENCE = 1.4  # seconds that a cancelled command gets before it is ended: `docker stop` users expect two at most
_YOUNG = 20_000  # new objects between two collections: lists of files grow, and little of them is garbage

_COMMON: dict[str, Any] = {
    "config": Annotated[Path | None, typer.Option("--config", metavar="FILE", help="YAML settings file.")],
    "library": Annotated[
        Path | None, typer.Option("--library", metavar="DIR", help="Folder that the files end up in.")
    ],
    "state": Annotated[Path | None, typer.Option("--state", metavar="DIR", help="Folder for the manifest.")],
    "host": Annotated[
        str | None, typer.Option("--host", metavar="URL", help="The engine; else DOCKER_HOST, context, socket.")
    ],
    "source": Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME=CONTAINER[:PATH]", help="Pull from this container; repeatable."),
    ],
    "as_json": Annotated[bool, typer.Option("--json", help="Print the result as one JSON value.")],
    "log_format": Annotated[
        str | None, typer.Option("--log-format", metavar="auto|text|json", help="Form of log lines on stderr.")
    ],
    "log_level": Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
    ],
}
_DEFAULTS: dict[str, Any] = {"as_json": False}


@dataclass(frozen=True, slots=True)
class Context:
    """One command's surroundings."""

    options: dict[str, Any]
    loaded: Loaded

    @property
    def as_json(self) -> bool:
        """Whether the result is to be printed as JSON."""
        return bool(self.options["as_json"])

    def show(self, value: Any, text: Callable[[], str]) -> None:
        """Print the result on stdout: `value` as JSON, or what `text` makes of it, where that is anything.

        JSON is laid out for a person at a terminal; a program gets a line, which is made five times as fast.
        """
        if said := json.dumps(value, indent=2 if sys.stdout.isatty() else None) if self.as_json else text():
            print(said)  # noqa: T201


def settings_of(options: dict[str, Any], extra: dict[str, Any] | None = None) -> Loaded:
    """Settings of all layers, this command line on top. Raises ConfigError."""
    cli: dict[str, Any] = {
        "library": _text(options["library"]),
        "state": _text(options["state"]),
        "host": options["host"],
        "log": {"format": options["log_format"], "level": options["log_level"]},
    }
    return load(cli | (extra or {}), env=os.environ, cwd=Path.cwd(), config=options["config"],
                sources=options["source"] or ())  # fmt: skip


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


class _Plain(TyperCommand):
    """Help without Python's types, which newer versions of typer put behind the names of arguments."""

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return re.sub(r"(?m)^(  [A-Z]+) <[a-z\[\]]+>", r"\1", super().get_help(ctx))


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Exit | None]], Callable[..., None]]:
    """Register a command: its own parameters, the common options, and one way to end.

    The function gets a Context first. Keyword parameters whose names hold a double underscore are settings
    (`purge__older_than`), given on the command line.
    """

    def register(function: Callable[..., Exit | None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(n), annotation=a)
            for n, a in _COMMON.items()
        ]

        @functools.wraps(function)
        def run(**given: Any) -> None:
            options = {n: given.pop(n) for n in _COMMON}
            raise typer.Exit(int(_ended(function, options, given)))

        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*own, *common)}
        app.command(name, cls=_Plain)(run)
        return run

    return register


def _ended(function: Callable[..., Exit | None], options: dict[str, Any], given: dict[str, Any]) -> Exit:
    try:
        loaded = _begun(options, given)
        ended = function(Context(options, loaded), **given) or Exit.DONE
        sys.stdout.flush()
        return ended
    except ConfigError as error:
        for problem in error.problems or (error.line(),):
            logger.error("{}", problem)
        return Exit.USAGE
    except MediaSyncError as error:
        logger.error("{}", error.line())
        return code_of(error)
    except KeyboardInterrupt:
        logger.warning("interrupted; what was finished is kept")
        return Exit.PARTLY
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (the reader of our results went away)
        return Exit.DONE
    except Exception as error:
        logger.error(
            "unexpected {}: {} — please report it, with what --log-level debug adds", type(error).__name__, error
        )
        logger.debug("{}", traceback.format_exc())
        return Exit.UNEXPECTED


def _begun(options: dict[str, Any], given: dict[str, Any]) -> Loaded:
    """The settings, with rights and logs as they want them. What is wrong with them is logged as the options say."""
    try:
        loaded = settings_of(options, _settings_among(given))
        privileges.settle(os.environ, (str(loaded.settings.library), str(loaded.settings.state)))
    except BaseException:
        logs.setup("info", options["log_format"] if options["log_format"] in ("text", "json") else "auto")
        raise
    logs.SECRETS.add(*secrets_of(loaded.settings))
    logs.setup(loaded.settings.log.level, loaded.settings.log.format)
    return loaded


def _settings_among(given: dict[str, Any]) -> dict[str, Any]:
    """Take `section__key` parameters out and nest them as the settings are."""
    nested: dict[str, Any] = {}
    for name in [n for n in given if "__" in n]:
        section, _, key = name.partition("__")
        value = given.pop(name)
        if value is not None:
            nested.setdefault(section, {})[key] = value
    return nested


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. The first SIGTERM or SIGINT cancels, which is a KeyboardInterrupt here; a second one forces exit.

    A thread that hangs in a read of a dead engine must not hold up the exit: after a while the process just ends.
    Everything durable is durable by then, or was never begun.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    gc.enable()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        stopping = False

        def stop(task: asyncio.Task[T]) -> None:
            nonlocal stopping
            if stopping:
                _leave()
            stopping = True
            task.cancel()
            last = threading.Timer(PATIENCE, _leave)
            last.daemon = True
            last.start()

        async def main() -> T:
            task = asyncio.ensure_future(work)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop, task)
            return await task

        try:
            return runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _leave() -> None:
    sys.stderr.flush()
    os._exit(int(Exit.DONE if _SERVING.is_set() else Exit.PARTLY))


_SERVING = threading.Event()


def serving() -> None:
    """From now on being told to stop is the normal end."""
    _SERVING.set()


def leave(code: int) -> NoReturn:
    """End the process at once: everything is closed and durable by now. To take a program of this size apart, module by
    module, takes as long as a pass in which nothing happened, and on a busy machine longer than people wait for.
    """
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            continue  # whoever read this went away
        except (OSError, ValueError):
            code = code or int(Exit.UNEXPECTED)
    os._exit(code)
