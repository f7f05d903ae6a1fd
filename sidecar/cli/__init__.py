"""Commands: thin adapters between a person's words and the orchestrator."""

from sidecar.cli.app import main

__all__ = ["main"]
