"""Commands: thin adapters between a person's words and the orchestrator.

A command takes little longer than its imports. So `app` only says which commands there are, and each imports its work
when it is called; libraries that few runs need are imported where they are used.
"""

import gc

_YOUNG = 20_000  # new objects between two collections


def main() -> None:
    """Entry point of `media-sync` and `python -m sidecar`. Ends the process."""
    gc.set_threshold(
        _YOUNG, 10, 10
    )  # modules and lists of files stay: to look through them again and again is for nothing
    from sidecar.cli.app import main as run

    run()


__all__ = ["main"]
