"""`python -m sidecar` is `media-sync`."""

from sidecar.cli import main

main()
