"""Speed lives here and not in the tests: `tests/bench/run.sh` measures media-sync beside other ways to copy."""
