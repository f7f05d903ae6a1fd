"""Commands: thin adapters between a person's words and the orchestrator.

A command takes little longer than its imports. So `app` only says which commands there are, and each imports its work
when it is called; libraries that few runs need are imported where they are used.
"""

import gc


def main() -> None:
    """Entry point of `media-sync` and `python -m sidecar`. Ends the process."""
    gc.disable()  # what is imported stays: nothing is looked for in it before the work begins, see `run_async`
    from sidecar.cli.app import main as run

    run()


__all__ = ["main"]
